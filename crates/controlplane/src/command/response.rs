//! What a command is answered, as bytes and as a result.

use aegis_proto::control::{CommandResponse, Done, command_response::Outcome};
use prost::Message;

use super::refused::{Code, Refused};

/// An answer is not of the form that a machine gives: it is damaged, or of newer software.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer to a command has no known form")]
pub struct BadResponse;

/// A command that was done.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What was done, and where in the log.
    pub done: Done,
    /// Whether this is an earlier answer, given again for the same idempotency key.
    pub replayed: bool,
}

/// Reads an answer.
///
/// # Errors
/// It has no known form.
pub fn read(bytes: &[u8]) -> Result<Result<Answer, Refused>, BadResponse> {
    let response = CommandResponse::decode(bytes).map_err(|_uninformative| BadResponse)?;
    match response.outcome.ok_or(BadResponse)? {
        Outcome::Done(done) => Ok(Ok(Answer { done, replayed: response.replayed })),
        Outcome::Refusal(refusal) => Ok(Err(refusal.into())),
    }
}

pub(crate) fn done(done: Done) -> CommandResponse {
    CommandResponse { outcome: Some(Outcome::Done(done)), replayed: false }
}

pub(crate) fn refused(refused: &Refused) -> CommandResponse {
    CommandResponse { outcome: Some(Outcome::Refusal(refused.into())), replayed: false }
}

/// Why it was refused; nothing if it was done.
pub(crate) fn code(response: &CommandResponse) -> Option<Code> {
    match &response.outcome {
        Some(Outcome::Refusal(refusal)) => Some(Code::from_text(&refusal.code)),
        Some(Outcome::Done(_)) | None => None,
    }
}
