//! `aegis audit search`: decisions in the logs of all data nodes, asked of the control plane.

use std::time::Duration;

use aegis_model::clock::{Clock, UnixNanos};
use aegis_model::ids::TenantId;
use aegis_model::utc::Utc;
use clap::Args;
use serde_json::{Value, json};

use super::show::Line;
use crate::admin_client::{Failure, Server, block_on, segment};
use crate::ended::Ended;
use crate::output::{Output, Tone};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis audit search --tenant acme --outcome deny --since 1h
  aegis audit search --tenant acme --agent payer --reason BudgetExceeded --from 2026-11-27T00:00:00Z
  aegis audit search --tenant acme --id d-data-1-7-2f --output json | jq .record.what.decision
  aegis audit search --tenant acme --limit 0 --output json > all.jsonl

The newest first. With `--output json`, each line is `{\"node\", \"log\", \"index\", \"leaf\", \"at\", \"record\", \"linked\"}`: log, index and leaf are the
receipt, and `linked` names the records of completions and of shadow versions. What stands in the records is not verified here.

Ends with 1 if a data node could not be asked, or one of its logs is neither on its disk nor whole in the object store: what it
decided is missing, and a line on stderr names it. Reading records needs role
`auditor` or `admin` in the tenant.")]
pub(crate) struct Options {
    /// The tenant
    #[arg(long, env = "AEGIS_TENANT", value_name = "TENANT")]
    tenant: TenantId,
    /// Only those that this agent asked for
    #[arg(long, env = "AEGIS_AGENT", value_name = "AGENT")]
    agent: Option<String>,
    /// Only those about this tool
    #[arg(long, env = "AEGIS_TOOL", value_name = "TOOL")]
    tool: Option<String>,
    /// Only those about this action
    #[arg(long, env = "AEGIS_ACTION", value_name = "ACTION")]
    action: Option<String>,
    /// Only those that ended so: `allow`, `deny`, `sanitize` or `approval_required`
    #[arg(long, env = "AEGIS_OUTCOME", value_name = "OUTCOME")]
    outcome: Option<String>,
    /// Only those with this code among their reasons
    #[arg(long, env = "AEGIS_REASON_CODE", value_name = "CODE")]
    reason: Option<String>,
    /// Only those that this version of the policy judged
    #[arg(long, env = "AEGIS_POLICY_VERSION", value_name = "NUMBER")]
    version: Option<u64>,
    /// Only those of so long a time: `90s`, `15m`, `6h` or `7d`
    #[arg(long, env = "AEGIS_SINCE", value_name = "TIME", value_parser = span, conflicts_with = "from")]
    since: Option<Duration>,
    /// Only those from this moment on, e.g. `2026-11-27T12:00:00Z`
    #[arg(long, env = "AEGIS_FROM", value_name = "MOMENT")]
    from: Option<String>,
    /// Only those before this moment
    #[arg(long, env = "AEGIS_TO", value_name = "MOMENT")]
    to: Option<String>,
    /// Only the one with this id
    #[arg(long, env = "AEGIS_DECISION_ID", value_name = "ID")]
    id: Option<String>,
    /// Only those of this trace: 32 hexadecimal digits
    #[arg(long, env = "AEGIS_TRACE_ID", value_name = "ID")]
    trace: Option<String>,
    /// Only those with this id of the client's own
    #[arg(long, env = "AEGIS_REQUEST_ID", value_name = "ID")]
    request: Option<String>,
    /// Only those of this data node
    #[arg(long, env = "AEGIS_NODE", value_name = "NODE")]
    node: Option<String>,
    /// Also those of data nodes that were retired, as far as their logs are in the object store
    #[arg(long, env = "AEGIS_RETIRED")]
    retired: bool,
    /// How many at most; 0: all that there are
    #[arg(long, env = "AEGIS_LIMIT", default_value_t = 100, value_name = "NUMBER")]
    limit: usize,
    #[command(flatten)]
    server: Server,
}

/// Most that one answer may hold.
const PAGE: usize = 1_000;

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let path = format!("/tenants/{}/decisions", segment(options.tenant.as_str()));
    let filter = options.filter(Clock::System.now());
    let searched = block_on(async {
        let (mut left, mut cursor, mut missing) = (options.limit, String::new(), Vec::new());
        loop {
            let page = if options.limit == 0 { PAGE } else { left.min(PAGE) };
            let answer = match admin.get(&format!("{path}?limit={page}{filter}{cursor}")).await {
                Ok(answer) => answer,
                Err(failure) => return Ok(Err(failure)),
            };
            let items = answer["items"].as_array().map_or(&[][..], Vec::as_slice);
            items.iter().for_each(|item| print(item, output));
            note(&mut missing, &answer);
            left_out(&answer, output);
            left = left.saturating_sub(items.len());
            let next = answer["next"].as_str().unwrap_or_default();
            if next.is_empty() || (options.limit != 0 && left == 0) {
                return Ok(Ok(missing));
            }
            if let Some(back) = answer["looked_back_to"].as_str().filter(|back| !back.is_empty()) {
                output.progress(format_args!("looked back to {back} …"));
            }
            cursor = format!("&cursor={}", segment(next));
        }
    })?;
    told(searched, output)
}

fn told(searched: Result<Vec<Value>, Failure>, output: Output) -> anyhow::Result<Ended> {
    let missing = match searched {
        Ok(missing) => missing,
        Err(failure) => return failure.told(output),
    };
    for node in &missing {
        let (name, why) =
            (node["node"].as_str().unwrap_or_default(), node["why"].as_str().unwrap_or_default());
        if output.is_json() {
            output.problem(json!({ "missing": node }));
        } else {
            let log = node["log"].as_str().unwrap_or_default();
            output.problem(if log.is_empty() {
                format!("{name} was not searched ({why}): what it decided is missing here")
            } else {
                format!(
                    "the log {log} was not searched, or not to its end ({why}): what it has is missing here"
                )
            });
        }
    }
    Ok(if missing.is_empty() { Ended::Done } else { Ended::Refused })
}

/// Says how many retired data nodes were not asked. That is no failure: nobody asked for them.
fn left_out(answer: &Value, output: Output) {
    let Some(count) = answer["retired_left_out"].as_u64().filter(|count| *count > 0) else { return };
    if output.is_json() {
        output.problem(json!({ "retired_left_out": count }));
    } else {
        output.problem(format!("retired data nodes that were not asked: {count}; `--retired` does"));
    }
}

/// Keeps who is missing, each once, with the first reason.
fn note(missing: &mut Vec<Value>, answer: &Value) {
    for node in answer["missing"].as_array().into_iter().flatten() {
        if !missing.iter().any(|known| known["id"] == node["id"] && known["log"] == node["log"]) {
            missing.push(node.clone());
        }
    }
}

fn print(item: &Value, output: Output) {
    output.result(item, || {
        let line =
            Line::of(item["record"].clone()).to_text(item["index"].as_u64().unwrap_or_default(), output);
        let node = item["node"].as_str().unwrap_or_default();
        let completed = |linked: &Value| linked["kind"] == "completion";
        let linked = item["linked"].as_array().is_some_and(|all| all.iter().any(completed));
        let end = if linked { output.paint("  completed", Tone::Strong) } else { String::new() };
        format!("{node}  {line}{end}")
    });
}

impl Options {
    /// The query, behind others.
    fn filter(&self, now: UnixNanos) -> String {
        let ago = |span: Duration| {
            let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
            Utc(UnixNanos(now.0.saturating_sub(nanos))).to_string()
        };
        let parts = [
            ("agent", self.agent.clone()),
            ("tool", self.tool.clone()),
            ("action", self.action.clone()),
            ("outcome", self.outcome.clone()),
            ("reason", self.reason.clone()),
            ("version", self.version.map(|version| version.to_string())),
            ("from", self.from.clone().or_else(|| self.since.map(ago))),
            ("to", self.to.clone()),
            ("decision_id", self.id.clone()),
            ("trace_id", self.trace.clone()),
            ("request_id", self.request.clone()),
            ("node", self.node.clone()),
            ("retired", self.retired.then(|| "true".to_owned())),
        ];
        let given = parts.into_iter().filter_map(|(name, value)| Some((name, value?)));
        given.map(|(name, value)| format!("&{name}={}", segment(&value))).collect()
    }
}

/// Reads `90s`, `15m`, `6h` or `7d`.
fn span(text: &str) -> Result<Duration, String> {
    let bad = || "a number and `s`, `m`, `h` or `d`, e.g. `15m`".to_owned();
    let unit = text.chars().next_back().ok_or_else(bad)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(bad()),
    };
    let number = text.strip_suffix(unit).unwrap_or_default();
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| plain).ok_or_else(bad)?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("6h", 21_600), ("7d", 604_800)] {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "s", "7", "-1h", "+1h", "1.5h", "1 h", "1w", "99999999999999999999d", "1\u{e9}"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn who_is_missing_is_told_once() {
        let answer = |why: &str| json!({"missing": [{"node": "data-2", "id": "02", "why": why}]});
        let mut missing = Vec::new();
        note(&mut missing, &answer("late"));
        note(&mut missing, &answer("earlier"));
        note(&mut missing, &json!({"missing": []}));
        assert_eq!(missing, [json!({"node": "data-2", "id": "02", "why": "late"})]);
    }
}
