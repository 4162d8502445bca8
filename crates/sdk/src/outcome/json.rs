//! An outcome in the JSON form of `POST /v1/decide`, for tools that print it.

use aegis_proto::v1::{Approval, Limits, Receipt, Redaction};
use serde_json::{Map, Value, json};

use super::Outcome;

impl Outcome {
    /// The 200 body that `POST /v1/decide` would have answered with. Holds the parameters.
    pub fn to_json(&self) -> Value {
        let decided = self.decision();
        let mut members = Map::new();
        let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
        put("decision_id", json!(decided.decision_id));
        put("outcome", json!(self.name()));
        put("reasons", json!(self.reasons()));
        match self {
            Self::Allowed { params, .. } => drop(put("params", json!(params))),
            Self::Sanitized { params, redactions, .. } => {
                put("params", json!(params));
                put("redactions", redactions.iter().map(redaction).collect());
            }
            Self::ApprovalRequired { approval: Some(request), .. } => {
                drop(put("approval", approval(request)))
            }
            Self::Denied { .. } | Self::ApprovalRequired { approval: None, .. } => {}
        }
        if let Some(policy) = &decided.policy {
            put("policy", json!(policy));
        }
        if let Some(rest) = &decided.limits {
            put("limits", limits(rest));
        }
        if let Some(place) = &decided.receipt {
            put("receipt", receipt(place));
        }
        if decided.replayed {
            put("replayed", json!(true));
        }
        if let Some(explanation) = &decided.explanation {
            put("explanation", explanation.clone());
        }
        Value::Object(members)
    }
}

fn redaction(redaction: &Redaction) -> Value {
    json!({"path": redaction.path, "kind": redaction.kind, "with": redaction.with})
}

fn approval(approval: &Approval) -> Value {
    json!({"id": approval.id, "url": approval.url, "expires_at": approval.expires_at})
}

fn limits(limits: &Limits) -> Value {
    let mut members = Map::new();
    if !limits.budget_remaining.is_empty() {
        members.insert("budget_remaining".to_owned(), json!(limits.budget_remaining));
    }
    if limits.retry_after_ms > 0 {
        members.insert("retry_after_ms".to_owned(), json!(limits.retry_after_ms));
    }
    Value::Object(members)
}

fn receipt(receipt: &Receipt) -> Value {
    let mut members = json!({"log": receipt.log, "index": receipt.index, "leaf": receipt.leaf});
    if !receipt.signature.is_empty() {
        (members["time"], members["signature"]) = (json!(receipt.time), json!(receipt.signature));
    }
    members
}
