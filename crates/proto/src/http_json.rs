//! The JSON form of a decision: the body of `POST /v1/decide` and its 200 answer.

use aegis_model::call::ToolCall;
use aegis_model::decision::Decision;

use crate::bad_request::BadRequest;
use crate::convert::CallParts;
use crate::members::{Members, read_object};

/// The members of a request's body.
pub const CALL_MEMBERS: &[&str] =
    &["request_id", "tool", "action", "params", "context", "cost", "override_token", "dry_run", "explain"];

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
    }
    .into_call()
}

/// Writes a decision as the body of a 200 answer.
pub fn write_decision(decision: &Decision) -> Vec<u8> {
    serde_json::to_vec(decision).expect("a decision has text keys only, so it is written")
}

#[cfg(test)]
mod tests;
