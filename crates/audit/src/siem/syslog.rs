//! Events as messages of syslog (RFC 5424), framed as RFC 5425 has it over TLS: the length, a space, the message.

use super::carried::{Severity, severity};
use super::{Format, Placed, Read, form};
use crate::record::RecordError;

/// The facility `log audit`.
const FACILITY: u32 = 13;

/// A message of syslog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The chain that its record is of.
    pub chain: String,
    /// The message, without frame.
    pub text: String,
}

impl Message {
    /// The message of a record, whose event in `format` it holds. `version` is that of the software that says so.
    ///
    /// # Errors
    /// [`RecordError`]: it is no record.
    pub fn of(format: Format, placed: Placed<'_>, version: &str) -> Result<Self, RecordError> {
        let read = Read::of(placed)?;
        let event = form(format, &read, placed.record, version);
        let priority = FACILITY * 8 + number(severity(&read));
        // Six decimals are the most that the protocol has; the event holds the whole moment.
        let moment = read.at_text.get(..26).unwrap_or(&read.at_text);
        let (host, kind) = (read.node(), &read.kind);
        let text = format!("<{priority}>1 {moment}Z {host} aegis - {kind} - {event}");
        Ok(Self { chain: read.chain, text })
    }

    /// Appends the message in its frame.
    pub fn frame(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.text.len().to_string().as_bytes());
        to.push(b' ');
        to.extend_from_slice(self.text.as_bytes());
    }
}

/// Error, warning, notice and information, as the protocol counts them.
fn number(severity: Severity) -> u32 {
    match severity {
        Severity::Error => 3,
        Severity::Warning => 4,
        Severity::Notice => 5,
        Severity::Information => 6,
    }
}
