//! The JSON form of a decision: the body of `POST /v1/decide` and its 200 answer.

use aegis_model::call::ToolCall;
use aegis_model::completion::{Completed, Completion, Status};
use aegis_model::decision::{Decision, Receipt};

use crate::bad_request::BadRequest;
use crate::convert::{self, CallParts};
use crate::members::{Members, read_object};

/// The members of a request's body.
pub const CALL_MEMBERS: &[&str] = &[
    "request_id",
    "tool",
    "action",
    "params",
    "context",
    "cost",
    "override_token",
    "dry_run",
    "explain",
    "wait_ms",
    "sign_receipt",
];

/// Reads a body.
///
/// Errors: the body is not one strict JSON object, has an unknown member, or a member is missing, of another
/// type or malformed. A member that is `null` is there, and so of another type.
pub fn read_call(body: &[u8]) -> Result<ToolCall, BadRequest> {
    let mut members = Members::new(read_object(body, "")?, "", CALL_MEMBERS)?;
    CallParts {
        request_id: members.text("request_id")?,
        tool: members.required_text("tool")?,
        action: members.text("action")?,
        params: members.object("params")?.unwrap_or_default(),
        context: members.object("context")?.unwrap_or_default(),
        cost: members.text("cost")?,
        override_token: members.text("override_token")?,
        dry_run: members.flag("dry_run")?,
        explain: members.flag("explain")?,
        wait_ms: members.number("wait_ms")?,
        sign_receipt: members.flag("sign_receipt")?,
    }
    .into_call()
}

/// The members of a completion's body.
pub const COMPLETION_MEMBERS: &[&str] = &["decision_id", "status", "cost", "result", "sign_receipt"];

/// Reads what became of a call. Errors: as [`read_call`].
pub fn read_completion(body: &[u8]) -> Result<Completion, BadRequest> {
    let mut members = Members::new(read_object(body, "")?, "", COMPLETION_MEMBERS)?;
    let decision_id = members.required_text("decision_id")?;
    let status = members.required_text("status")?;
    let status = Status::ALL.into_iter().find(|known| known.as_str() == status);
    let at = || "/status".to_owned();
    let status = status.ok_or_else(|| BadRequest::UnknownValue { at: at(), known: &Status::NAMES })?;
    let cost = members.text("cost")?;
    let sign_receipt = members.flag("sign_receipt")?;
    convert::completion(decision_id, status, cost.as_deref(), members.value("result"), sign_receipt)
}

/// Reads the receipt whose record is to be proved: as it stands in the answer, signed or not. Errors: as [`read_call`].
pub fn read_receipt(body: &[u8]) -> Result<Receipt, BadRequest> {
    let known = &["log", "index", "leaf", "time", "signature"];
    let mut members = Members::new(read_object(body, "")?, "", known)?;
    let (log, leaf) = (members.required_text("log")?, members.required_text("leaf")?);
    let index = members.required_number("index")?;
    let (time, signature) = (members.text("time")?, members.text("signature")?);
    Ok(Receipt { log: log.into(), index, leaf, time, signature })
}

/// Writes the answer to a completion as the body of a 200 answer: the result, if there is one, what was cleaned, and why it may not
/// be used.
pub fn write_completed(completed: &Completed) -> Vec<u8> {
    serde_json::to_vec(completed).expect("a document has text keys only, so it is written")
}

/// Writes a decision as the body of a 200 answer.
pub fn write_decision(decision: &Decision) -> Vec<u8> {
    serde_json::to_vec(decision).expect("a decision has text keys only, so it is written")
}

#[cfg(test)]
mod tests;
