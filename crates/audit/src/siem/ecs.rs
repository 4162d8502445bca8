//! Elastic Common Schema 8. What the schema has no place for stands under `aegis`.

use serde_json::{Value, json};

use super::Read;

/// The version of the schema.
const SCHEMA: &str = "8.17.0";

pub(super) fn event(read: &Read<'_>) -> Value {
    let mut event = json!({
        "@timestamp": read.at_text,
        "ecs": { "version": SCHEMA },
        "message": read.message(),
        "event": {
            "kind": "event",
            "category": ["api"],
            "type": kinds(read),
            "action": read.text("action").unwrap_or(&read.kind),
            "outcome": outcome(read),
            "id": read.id,
            "sequence": read.index,
            "module": "aegis",
            "dataset": format!("aegis.{}", read.kind),
            "provider": read.node(),
        },
        "aegis": {
            "record": read.what,
            "chain": read.chain,
            "outcome": read.outcome(),
            "proof": read.proof(),
        },
    });
    let texts = [
        ("agent", "user", "name"),
        ("org", "organization", "name"),
        ("tool", "service", "name"),
        ("trace_id", "trace", "id"),
        ("request_id", "http", "request"),
    ];
    for (from, object, name) in texts {
        let Some(text) = read.text(from) else { continue };
        event[object] =
            if object == "http" { json!({ "request": { "id": text } }) } else { json!({ name: text }) };
    }
    if let Some(tenant) = &read.tenant {
        event["labels"] = json!({ "tenant": tenant });
    }
    if let [code, ..] = read.codes().as_slice() {
        event["event"]["reason"] = json!(code);
    }
    if let Some(rules) = read.what.get("rules").and_then(Value::as_array).filter(|rules| !rules.is_empty()) {
        event["rule"] = json!({ "name": rules[0] });
    }
    event
}

fn kinds(read: &Read<'_>) -> Vec<&'static str> {
    match (read.kind.as_str(), read.outcome()) {
        ("decision", "allow" | "sanitize") => vec!["access", "allowed"],
        ("decision", "deny") | ("refusals", _) => vec!["access", "denied"],
        ("decision", _) => vec!["access"],
        ("completion", _) => vec!["end"],
        ("gap", _) => vec!["error"],
        _ => vec!["info"],
    }
}

fn outcome(read: &Read<'_>) -> &'static str {
    match (read.kind.as_str(), read.outcome()) {
        ("segment_end" | "pruning", _) | (_, "allow" | "sanitize" | "succeeded" | "done") => "success",
        ("gap", _) | (_, "deny" | "failed" | "refused") => "failure",
        _ => "unknown",
    }
}
