//! One record on one line.

use aegis_model::ids::TenantId;
use serde_json::{Value, json};

use crate::output::{Output, Tone};

/// A record, taken apart as far as it can be.
pub(super) struct Line {
    record: Value,
}

impl Line {
    pub(super) fn read(bytes: &[u8]) -> Self {
        Self { record: serde_json::from_slice(bytes).unwrap_or_default() }
    }

    /// A record that was taken apart already.
    pub(super) fn of(record: Value) -> Self {
        Self { record }
    }

    /// Whether it is in the chain of `tenant`.
    pub(super) fn is_of(&self, tenant: &TenantId) -> bool {
        self.record["chain"].as_str().and_then(|chain| chain.strip_prefix("tenant/")) == Some(tenant.as_str())
    }

    pub(super) fn to_json(&self, log: &str, index: u64) -> Value {
        json!({"log": log, "index": index, "record": self.record})
    }

    pub(super) fn to_text(&self, index: u64, output: Output) -> String {
        let chain = text(&self.record, "chain");
        let whose = chain.strip_prefix("tenant/").unwrap_or(&chain);
        let at = text(&self.record, "at");
        // To the millisecond, which is enough for people.
        let at = at.get(..23).map_or(at.clone(), |at| format!("{at}Z"));
        format!("{at}  #{index}  {whose}  {}", self.what(output))
    }

    fn what(&self, output: Output) -> String {
        let what = self.record["what"].as_object().and_then(|what| what.iter().next());
        let Some((kind, it)) = what else { return "not a record".to_owned() };
        match kind.as_str() {
            "decision" => decision(it, output),
            "completion" => format!(
                "{}  {}  completed: {}{}  {}",
                text(it, "agent"),
                call(it),
                text(it, "result"),
                given(it, "cost", "  cost "),
                text(it, "decision_id"),
            ),
            "shadow" => format!("shadow version {}: {}", it["policy"]["version"], text(it, "outcome")),
            "refusals" => format!(
                "{}: {} refused from {}",
                output.paint(&text(it, "code"), Tone::Bad),
                it["count"],
                text(it, "source"),
            ),
            "gap" => format!(
                "{}: records after number {} may be missing ({})",
                output.paint("gap", Tone::Bad),
                it["after"],
                text(it, "cause"),
            ),
            "pruning" => format!(
                "records of {} up to number {} deleted by retention of {} days",
                text(it, "log"),
                it["seq"],
                it["retention_days"],
            ),
            "segment_end" => format!(
                "segment {} ends{}",
                it["segment"],
                if it["last"] == true { ", and the log" } else { "" }
            ),
            other => plain(other),
        }
    }
}

fn decision(it: &Value, output: Output) -> String {
    let outcome = text(it, "outcome");
    let tone = match outcome.as_str() {
        "allow" | "sanitize" => Tone::Good,
        "deny" => Tone::Bad,
        _ => Tone::Open,
    };
    let mut line = format!("{}  {}  {}", text(it, "agent"), call(it), output.paint(&outcome, tone));
    if let Some(reason) = it["reasons"].get(0) {
        line.push_str(&format!("  {}{}", text(reason, "code"), given(reason, "path", " at ")));
    }
    if let Some(rule) = it["rules"].get(0).and_then(Value::as_str) {
        line.push_str(&format!("  by {}", plain(rule)));
    }
    if let Some(version) = it["policy"]["version"].as_u64() {
        line.push_str(&format!("  v{version}"));
    }
    if it["dry_run"] == true {
        line.push_str("  dry run");
    }
    format!("{line}  {}", text(it, "decision_id"))
}

fn call(it: &Value) -> String {
    format!("{}.{}", text(it, "tool"), text(it, "action"))
}

/// A member as text, with nothing that would steer a terminal.
fn text(it: &Value, member: &str) -> String {
    plain(it[member].as_str().unwrap_or_default())
}

fn given(it: &Value, member: &str, before: &str) -> String {
    it[member].as_str().map(|text| format!("{before}{}", plain(text))).unwrap_or_default()
}

fn plain(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    #[test]
    fn a_record_fits_a_line_and_steers_no_terminal() {
        let record = json!({
            "at": "2026-11-27T04:16:30.123456789Z", "chain": "tenant/acme", "what": {"decision": {
                "agent": "bot", "tool": "pay", "action": "call", "outcome": "deny", "decision_id": "d-1",
                "reasons": [{"code": "ToolDenied", "path": "/params/a"}], "rules": ["r\u{1b}[2J\n"], "policy": {"version": 2},
            }},
        });
        let line = Line { record }.to_text(41, Output::new(Format::Text));
        assert_eq!(
            line,
            "2026-11-27T04:16:30.123Z  #41  acme  bot  pay.call  deny  ToolDenied at /params/a  by r\u{fffd}[2J\u{fffd}  v2  d-1"
        );
        assert!(Line::read(b"?").to_text(0, Output::new(Format::Text)).ends_with("not a record"));
    }
}
