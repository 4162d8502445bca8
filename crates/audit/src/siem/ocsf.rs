//! OCSF 1.8: class API Activity (6003). What the class has no place for stands in `unmapped`, under the names of the record.

use serde_json::{Map, Value, json};

use super::Read;

/// The version of the schema.
const SCHEMA: &str = "1.8.0";
const CLASS: u64 = 6_003;
/// The activity `Other`: the product's words stand in `activity_name`.
const OTHER: u64 = 99;

pub(super) fn event(read: &Read<'_>, version: &str) -> Value {
    let (status_id, status) = status(read);
    let (action_id, disposition_id) = action(read);
    let who = read.text("agent").or_else(|| read.text("source")).unwrap_or_else(|| read.node());
    let tool = read.text("tool").unwrap_or("audit");
    let mut event = json!({
        "activity_id": OTHER,
        "activity_name": activity(read),
        "category_uid": CLASS / 1_000,
        "class_uid": CLASS,
        "type_uid": CLASS * 100 + OTHER,
        "severity_id": severity(read),
        "time": read.at.0 / 1_000_000,
        "message": read.message(),
        "status": status,
        "status_id": status_id,
        "action_id": action_id,
        "disposition_id": disposition_id,
        "actor": actor(read, who),
        "api": {
            "operation": read.text("action").unwrap_or(&read.kind),
            "service": { "name": tool },
            "request": { "uid": read.text("request_id").or_else(|| read.text("decision_id")).unwrap_or(&read.id) },
        },
        "src_endpoint": { "name": who, "svc_name": read.text("surface").unwrap_or("aegis") },
        "dst_endpoint": { "name": read.node(), "svc_name": tool },
        "message_context": {
            "ai_role_id": 4,
            "application": { "name": who },
            "service": { "name": "Aegis Gateway" },
        },
        "metadata": metadata(read, version),
        "unmapped": unmapped(read),
    });
    if let Some(policy) = read.what.get("policy") {
        event["policy"] = json!({
            "uid": policy["digest"], "version": policy["version"].to_string(), "is_applied": read.kind != "shadow",
        });
    }
    if let [code, ..] = read.codes().as_slice() {
        event["status_code"] = json!(code);
    }
    if let Some(count) = read.what.get("count") {
        event["count"] = count.clone();
    }
    event
}

fn actor(read: &Read<'_>, who: &str) -> Value {
    let mut user = json!({ "name": who, "uid": who });
    if let Some(organization) = read.text("org") {
        user["org"] = json!({ "name": organization, "uid": organization });
    }
    let mut actor = json!({ "user": user, "app_name": who });
    if let Some(token) = read.text("token_id") {
        actor["session"] = json!({ "uid": token });
    }
    let callers = read.what.get("callers").and_then(Value::as_array);
    // Who stands at the root of the chain.
    if let Some(caller) = callers.and_then(|callers| callers.last()) {
        actor["invoked_by"] = caller.clone();
    }
    actor
}

fn metadata(read: &Read<'_>, version: &str) -> Value {
    let mut metadata = json!({
        "version": SCHEMA,
        "product": { "name": "Aegis Gateway", "vendor_name": "Aegis", "version": version },
        "profiles": ["ai_operation", "security_control"],
        "uid": read.id,
        "log_name": read.origin,
        "log_provider": "aegis",
        "sequence": read.index,
        "event_code": read.kind,
        "original_time": read.at_text,
    });
    if let Some(tenant) = &read.tenant {
        metadata["tenant_uid"] = json!(tenant);
    }
    if let Some(trace) = read.text("trace_id") {
        metadata["correlation_uid"] = json!(trace);
    }
    metadata
}

/// What stands elsewhere in the event already.
const MAPPED: &[&str] =
    &["action", "agent", "org", "request_id", "surface", "tool", "token_id", "trace_id", "count"];

fn unmapped(read: &Read<'_>) -> Value {
    let rest = read.what.iter().filter(|(name, _)| !MAPPED.contains(&name.as_str()));
    let rest: Map<String, Value> = rest.map(|(name, value)| (name.clone(), value.clone())).collect();
    json!({ "aegis": rest, "chain": read.chain, "proof": read.proof() })
}

fn activity(read: &Read<'_>) -> &'static str {
    match read.kind.as_str() {
        "decision" => "Decide",
        "completion" => "Complete",
        "shadow" => "Judge in shadow",
        "refusals" => "Refuse",
        "gap" => "Note a gap",
        "pruning" => "Delete records by retention",
        _ => "End a segment",
    }
}

/// Success is an answer that lets the call go on, or a tool that did its work.
fn status<'r>(read: &'r Read<'_>) -> (u64, &'r str) {
    match (read.kind.as_str(), read.outcome()) {
        ("segment_end" | "pruning", _) | (_, "allow" | "sanitize" | "succeeded" | "done") => (1, "Success"),
        ("gap", _) | (_, "deny" | "failed" | "refused") => (2, "Failure"),
        (_, other) => (99, other),
    }
}

/// `action_id` and `disposition_id` of the profile `security_control`.
fn action(read: &Read<'_>) -> (u64, u64) {
    match (read.kind.as_str(), read.outcome()) {
        ("decision", "allow") => (1, 1),
        ("decision", "sanitize") => (4, 11),
        ("decision", "deny") | ("refusals", _) => (2, 2),
        ("decision", _) => (99, 14),
        _ => (3, 17),
    }
}

fn severity(read: &Read<'_>) -> u64 {
    match (read.kind.as_str(), read.outcome()) {
        ("gap", _) => 4,
        ("decision", "deny") | ("refusals", _) => 3,
        ("decision", "sanitize" | "approval_required") | ("completion", "failed") => 2,
        _ => 1,
    }
}
