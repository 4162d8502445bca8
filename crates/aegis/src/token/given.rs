//! `aegis token list|revoke`: tokens that were given out, and their end.

use aegis_model::ids::TenantId;
use clap::Args;
use serde_json::json;

use crate::admin_client::{Server, block_on, segment};
use crate::ended::Ended;
use crate::listing::{self, text};
use crate::output::Output;
use crate::tenant::{put, told};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  aegis token list --tenant acme --output json")]
pub(crate) struct ListOptions {
    /// The tenant
    #[arg(long, env = "AEGIS_TENANT", value_name = "NAME")]
    tenant: TenantId,
    /// Only the newest so many
    #[arg(long, env = "AEGIS_LIMIT", value_name = "NUMBER", default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  aegis token revoke TOKEN-ID --tenant acme --reason 'it was in a log'")]
pub(crate) struct RevokeOptions {
    /// The token's `jti`, as `aegis token list` and `aegis token inspect` show it
    #[arg(value_name = "TOKEN-ID")]
    id: String,
    /// The tenant
    #[arg(long, env = "AEGIS_TENANT", value_name = "NAME")]
    tenant: TenantId,
    /// Why, in words that are kept
    #[arg(long, env = "AEGIS_REASON", value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    server: Server,
}

pub(super) fn list(options: &ListOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let path = format!("/tenants/{}/tokens?limit={}", segment(options.tenant.as_str()), options.limit);
    let page = match block_on(async { Ok(admin.get(&path).await) })? {
        Ok(page) => page,
        Err(failure) => return failure.told(output),
    };
    let rows = page["items"].as_array().cloned().unwrap_or_default();
    listing::print(
        output,
        &rows,
        &[
            ("AT", |row| text(row, "at")),
            ("AGENT", |row| text(row, "agent")),
            ("TOKEN", |row| text(row, "token_id")),
            ("UNTIL", |row| text(row, "expires_at")),
            ("BY", |row| text(row, "by")),
            ("CALLERS", |row| {
                let callers = row["callers"].as_array().into_iter().flatten();
                callers.filter_map(|caller| caller.as_str()).collect::<Vec<_>>().join(" ")
            }),
            ("SCOPE", |row| text(row, "scope")),
        ],
    );
    Ok(Ended::Done)
}

pub(super) fn revoke(options: &RevokeOptions, output: Output) -> anyhow::Result<Ended> {
    let mut body = json!({"kind": "token", "subject": options.id});
    put(&mut body, "reason", options.reason.clone());
    let admin = options.server.client()?;
    let path = format!("/tenants/{}/revocations", segment(options.tenant.as_str()));
    let done = block_on(async { Ok(admin.post(&path, body).await) })?;
    told(done, output, |row| format!("token {} is revoked since {}", text(row, "subject"), text(row, "at")))
}
