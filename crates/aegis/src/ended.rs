//! How a command ends, and the exit code that says so.

use std::process::ExitCode;

use crate::output::Output;

/// A command that could do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Done: exit code 0.
    Done,
    /// The answer is no, or a check failed; why was printed: exit code 1.
    Refused,
}

/// The command was used wrongly: exit code 2. Any other error is exit code 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WrongUse(pub(crate) String);

/// The exit code; an error is printed here, once.
pub(crate) fn exit_code(ended: anyhow::Result<Ended>, output: Output) -> ExitCode {
    match ended {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::Refused) => ExitCode::from(1),
        Err(error) => {
            output.error(&error);
            ExitCode::from(if error.is::<WrongUse>() { 2 } else { 1 })
        }
    }
}
