//! Events as carriers other than syslog want them: the text, and beside it what they sort, name and rate it by.

use aegis_model::clock::UnixNanos;

use super::{Format, Placed, Read, form};
use crate::hash::Hash;
use crate::record::RecordError;

/// How much an event asks for attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Something may be missing.
    Error,
    /// A call was denied or refused.
    Warning,
    /// A call was changed or held, or went wrong.
    Notice,
    /// All else.
    Information,
}

/// An event of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The record's place in its log.
    pub index: u64,
    /// The hash of its leaf, by which it is proved.
    pub leaf: Hash,
    /// The chain that it is of.
    pub chain: String,
    /// The tenant whose record it is; nothing if it is the node's or the log's own.
    pub tenant: Option<String>,
    /// What kind of record it is, such as `decision`.
    pub kind: String,
    /// When it was made.
    pub at: UnixNanos,
    /// The day of that, such as `2026-11-27`.
    pub day: String,
    /// By its kind and outcome.
    pub severity: Severity,
    /// The trace of the call.
    pub trace: Option<[u8; 16]>,
    /// The event, as one line without its line feed.
    pub text: String,
}

impl Event {
    /// The event of a record. `version` is that of the software that says so.
    ///
    /// # Errors
    /// [`RecordError`]: it is no record.
    pub fn of(format: Format, placed: Placed<'_>, version: &str) -> Result<Self, RecordError> {
        let read = Read::of(placed)?;
        Ok(Self {
            text: form(format, &read, placed.record, version),
            severity: severity(&read),
            trace: read.text("trace_id").and_then(trace),
            day: read.at_text.get(..10).unwrap_or_default().to_owned(),
            index: read.index,
            leaf: read.leaf,
            chain: read.chain,
            tenant: read.tenant,
            kind: read.kind,
            at: read.at,
        })
    }
}

pub(super) fn severity(read: &Read<'_>) -> Severity {
    match (read.kind.as_str(), read.outcome()) {
        ("gap", _) => Severity::Error,
        ("decision", "deny") | ("refusals", _) => Severity::Warning,
        ("decision", "sanitize" | "approval_required") | ("completion", "failed") => Severity::Notice,
        _ => Severity::Information,
    }
}

/// 32 hexadecimal digits; a trace of zeros is none.
fn trace(text: &str) -> Option<[u8; 16]> {
    let number = (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok()).flatten()?;
    (number > 0).then(|| number.to_be_bytes())
}
