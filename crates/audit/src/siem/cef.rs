//! ArcSight Common Event Format, version 0: a header of seven fields, and an extension of keys.

use std::fmt::Write;

use serde_json::Value;

use super::Read;

pub(super) fn event(read: &Read<'_>, version: &str) -> String {
    let mut line = format!(
        "CEF:0|Aegis|Aegis Gateway|{}|{}|{}|{}|",
        header(version),
        header(&format!("{}:{}", read.kind, read.outcome())),
        header(&read.message()),
        severity(read)
    );
    let mut first = true;
    let mut put = |key: &str, value: &str| {
        if value.is_empty() {
            return;
        }
        let space = if first { "" } else { " " };
        first = false;
        // A string takes any write.
        let _never = write!(line, "{space}{key}={}", extension(value));
    };
    put("rt", &(read.at.0 / 1_000_000).to_string());
    put("externalId", &read.id);
    put("act", read.outcome());
    put("suser", read.text("agent").unwrap_or_default());
    put("requestMethod", read.text("action").unwrap_or_default());
    put("destinationServiceName", read.text("tool").unwrap_or_default());
    put("dvchost", read.node());
    put("app", read.text("surface").unwrap_or_default());
    put("reason", &read.codes().join(","));
    put("cnt", &read.what.get("count").map(Value::to_string).unwrap_or_default());
    let policy = read.what.get("policy").unwrap_or(&Value::Null);
    labelled(&mut put, "cs1", "tenant", read.tenant.as_deref().unwrap_or_default());
    labelled(&mut put, "cs2", "policyDigest", policy["digest"].as_str().unwrap_or_default());
    labelled(&mut put, "cs3", "rules", &list(read.what.get("rules")));
    labelled(&mut put, "cs4", "log", read.origin);
    labelled(&mut put, "cs5", "leaf", &read.leaf.to_string());
    labelled(&mut put, "cs6", "decision", read.text("decision_id").unwrap_or_default());
    labelled(&mut put, "cn1", "index", &read.index.to_string());
    labelled(
        &mut put,
        "cn2",
        "policyVersion",
        &policy.get("version").map(Value::to_string).unwrap_or_default(),
    );
    if let Some((name, before, after)) = tightest(read.what.get("limits")) {
        labelled(&mut put, "cfp1", &format!("before:{name}"), before);
        labelled(&mut put, "cfp2", &format!("after:{name}"), after);
    }
    line
}

/// The limit with the least left after the call, since there is room for one: its name, and what it had before and after.
fn tightest(limits: Option<&Value>) -> Option<(&str, &str, &str)> {
    let limits = limits.and_then(Value::as_array).into_iter().flatten();
    let known = limits.filter_map(|limit| {
        let text = |name: &str| limit[name].as_str();
        let (name, before, after) = (text("name")?, text("before")?, text("after")?);
        Some((after.parse::<f64>().ok()?, (name, before, after)))
    });
    known.min_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, limit)| limit)
}

fn labelled(put: &mut impl FnMut(&str, &str), key: &str, label: &str, value: &str) {
    if !value.is_empty() {
        put(&format!("{key}Label"), label);
        put(key, value);
    }
}

fn list(value: Option<&Value>) -> String {
    let items = value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    items.collect::<Vec<_>>().join(",")
}

/// Severities from 0 to 10.
fn severity(read: &Read<'_>) -> u8 {
    match (read.kind.as_str(), read.outcome()) {
        ("gap", _) => 8,
        ("decision", "deny") | ("refusals", _) => 6,
        ("decision", "sanitize" | "approval_required") | ("completion", "failed") => 4,
        _ => 1,
    }
}

/// Within the header a backslash and a bar are escaped, and a line ends with it.
fn header(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('|', "\\|");
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
}

/// Within the extension a backslash and an equals sign are escaped, and line feeds are spelled.
fn extension(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('=', "\\=").replace('\n', "\\n").replace('\r', "\\r");
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
}
