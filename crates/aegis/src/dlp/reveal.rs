//! `aegis dlp reveal`: the value that a token stands for.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use aegis_model::caps;
use aegis_model::ids::TenantId;
use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use crate::admin_client::{Server, block_on, segment};
use crate::ended::{Ended, WrongUse};
use crate::listing::text;
use crate::output::Output;
use crate::tenant::told;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis audit tail /var/lib/aegis/audit -n 1000 --output json |
    aegis dlp reveal --tenant acme --token '<us_ssn:v1:…>' --records - --reason 'ticket 4711'

Only for tokens of a rule that says `reversible: true`; the audit record of their call holds the value, sealed, and only the control plane
opens it. Who asked, and why, stands in the control log before the value is given. Needs the role `admin` in the tenant.")]
pub(crate) struct Options {
    /// Whose value
    #[arg(long, env = "AEGIS_TENANT", value_name = "TENANT")]
    tenant: TenantId,
    /// The token that stands for it
    #[arg(long, env = "AEGIS_DLP_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: String,
    /// Records of audit logs, a JSON document per line, as `aegis audit tail --output json` prints them; `-` is standard input
    #[arg(long, env = "AEGIS_DLP_RECORDS", value_name = "FILE")]
    records: PathBuf,
    /// Why, for people: it is recorded
    #[arg(long, env = "AEGIS_REASON", value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let shown = options.records.display();
    let sealed = match options.records.as_os_str() == "-" {
        true => find(std::io::stdin().lock(), &options.token),
        false => File::open(&options.records).and_then(|file| find(BufReader::new(file), &options.token)),
    };
    let Some(sealed) = sealed.with_context(|| format!("reading `{shown}`"))? else {
        let message = format!(
            "no record in `{shown}` holds a sealed value for this token: it needs the record of the call in which the token was made, and a rule with `reversible: true`"
        );
        return Err(WrongUse(message).into());
    };
    let admin = options.server.client()?;
    let path = format!("/tenants/{}/reveal", segment(options.tenant.as_str()));
    let body = json!({"token": options.token, "sealed": sealed, "reason": options.reason});
    let revealed = block_on(async { Ok(admin.post(&path, body).await) })?;
    told(revealed, output, |revealed| text(revealed, "value"))
}

/// `sealed` of the last record in which this token was made.
fn find(lines: impl BufRead, token: &str) -> std::io::Result<Option<Value>> {
    let mut found = None;
    let mut lines = lines;
    let mut line = Vec::new();
    // A record as text, and what stands around it in its line.
    let longest = (2 * caps::AUDIT_RECORD_BYTES_MAX) as u64;
    loop {
        line.clear();
        if std::io::Read::take(&mut lines, longest).read_until(b'\n', &mut line)? == 0 {
            return Ok(found);
        }
        let Ok(document) = serde_json::from_slice::<Value>(&line) else { continue };
        found = within(&document, token).cloned().or(found);
    }
}

/// `sealed`, wherever in the document, if it has the token.
fn within<'v>(value: &'v Value, token: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) => {
            let sealed = members.get("sealed").filter(|sealed| {
                let mut tokens = sealed["tokens"].as_array().into_iter().flatten();
                tokens.any(|known| known == token)
            });
            sealed.or_else(|| members.values().find_map(|member| within(member, token)))
        }
        Value::Array(items) => items.iter().find_map(|item| within(item, token)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_record_that_has_the_token_counts() {
        let lines = [
            r#"{"record": {"what": {"decision": {"sealed": {"key": 1, "tokens": ["<a>", "<b>"], "values": "x"}}}}}"#,
            "no JSON",
            r#"{"record": {"what": {"completion": {"sealed": {"key": 2, "tokens": ["<a>"], "values": "y"}}}}}"#,
            r#"{"record": {"what": {"decision": {"sealed": {"key": 3, "tokens": ["<c>"], "values": "z"}}}}}"#,
        ]
        .join("\n");
        let key = |token: &str| find(lines.as_bytes(), token).unwrap().map(|sealed| sealed["key"].clone());
        assert_eq!(key("<a>"), Some(json!(2)));
        assert_eq!(key("<b>"), Some(json!(1)));
        assert_eq!(key("<d>"), None);
    }
}
