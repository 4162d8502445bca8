//! Records as events for other people's tools: OCSF, CEF, ECS, and JSON lines; and as messages of syslog that hold them. What stands in a record is carried over; nothing is
//! added that it does not say, and each event names log, index and leaf, so that it can be proved.
//!
//! An event is made from the canonical text of a record, and not from its type: a record of a newer build keeps what it has.

mod carried;
mod cef;
mod ecs;
mod ocsf;
mod syslog;

use std::fmt;
use std::str::FromStr;

use aegis_model::clock::UnixNanos;
use serde_json::{Map, Value, json};

use crate::hash::Hash;
use crate::record::{RecordError, envelope, moment};
use crate::tree;

pub use carried::{Event, Severity};
pub use syslog::Message;

/// The forms of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Open Cybersecurity Schema Framework 1.8: API Activity (6003), profiles `ai_operation` and `security_control`.
    Ocsf,
    /// ArcSight Common Event Format, version 0.
    Cef,
    /// Elastic Common Schema 8.
    Ecs,
    /// The record as it is, with its place.
    JsonLines,
}

impl Format {
    /// Every form.
    pub const ALL: [Self; 4] = [Self::Ocsf, Self::Cef, Self::Ecs, Self::JsonLines];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ocsf => "ocsf",
            Self::Cef => "cef",
            Self::Ecs => "ecs",
            Self::JsonLines => "json-lines",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no form of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a form is `ocsf`, `cef`, `ecs` or `json-lines`")]
pub struct BadFormat;

impl FromStr for Format {
    type Err = BadFormat;
    fn from_str(text: &str) -> Result<Self, BadFormat> {
        Self::ALL.into_iter().find(|format| format.as_str() == text).ok_or(BadFormat)
    }
}

/// A record with its place.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a> {
    /// The log's name.
    pub origin: &'a str,
    /// Where it stands.
    pub index: u64,
    /// Its canonical text.
    pub record: &'a [u8],
}

/// The event of a record, as one line without its line feed. `version` is that of the software that says so.
///
/// # Errors
/// [`RecordError`]: it is no record.
pub fn event(format: Format, placed: Placed<'_>, version: &str) -> Result<String, RecordError> {
    let read = Read::of(placed)?;
    Ok(form(format, &read, placed.record, version))
}

fn form(format: Format, read: &Read<'_>, record: &[u8], version: &str) -> String {
    match format {
        Format::Ocsf => ocsf::event(read, version).to_string(),
        Format::Cef => cef::event(read, version),
        Format::Ecs => ecs::event(read).to_string(),
        Format::JsonLines => json_line(read, record),
    }
}

/// What is needed of a record.
struct Read<'a> {
    origin: &'a str,
    index: u64,
    leaf: Hash,
    at: UnixNanos,
    at_text: String,
    id: String,
    /// The tenant whose record it is; nothing if it is the node's or the log's own.
    tenant: Option<String>,
    chain: String,
    kind: String,
    what: Map<String, Value>,
}

impl<'a> Read<'a> {
    fn of(placed: Placed<'a>) -> Result<Self, RecordError> {
        // The one spelling, and every known kind: nothing is exported that a verifier would not take.
        envelope(placed.record)?;
        let malformed = || RecordError::Malformed;
        let value: Value =
            serde_json::from_slice(placed.record).map_err(|_withheld| RecordError::Malformed)?;
        let text = |name: &str| value[name].as_str().map(str::to_owned).ok_or_else(malformed);
        let (at_text, chain, id) = (text("at")?, text("chain")?, text("id")?);
        let what = value["what"].as_object().and_then(|what| what.iter().next()).ok_or_else(malformed)?;
        let (kind, what) = (what.0.clone(), what.1.as_object().cloned().unwrap_or_default());
        Ok(Self {
            origin: placed.origin,
            index: placed.index,
            leaf: tree::leaf(&Hash::of(placed.record).0),
            at: moment::parse(&at_text).ok_or_else(malformed)?,
            at_text,
            id,
            tenant: chain.strip_prefix("tenant/").map(str::to_owned),
            chain,
            kind,
            what,
        })
    }

    /// A text of what the record says.
    fn text(&self, name: &str) -> Option<&str> {
        self.what.get(name)?.as_str()
    }

    /// The name of the node whose log it is.
    fn node(&self) -> &str {
        self.origin.split('/').nth(1).unwrap_or(self.origin)
    }

    /// The outcome of a decision, or what the record says that comes next to it.
    fn outcome(&self) -> &str {
        match self.kind.as_str() {
            "decision" | "shadow" => self.text("outcome").unwrap_or("unknown"),
            "completion" => self.text("result").unwrap_or("unknown"),
            "refusals" => "refused",
            _ => "recorded",
        }
    }

    /// The codes of its reasons.
    fn codes(&self) -> Vec<&str> {
        let reasons = self.what.get("reasons").and_then(Value::as_array).into_iter().flatten();
        let codes = reasons.filter_map(|reason| reason["code"].as_str());
        codes.chain(self.text("code")).collect()
    }

    /// One sentence: why, or what happened.
    fn message(&self) -> String {
        let first = self.what.get("reasons").and_then(Value::as_array).and_then(|reasons| reasons.first());
        match (first.and_then(|reason| reason["message"].as_str()), self.kind.as_str()) {
            (Some(message), _) => message.to_owned(),
            (None, "decision") => format!("the call was decided: {}", self.outcome()),
            (None, "completion") => format!("the call ended: {}", self.outcome()),
            (None, "shadow") => {
                format!("a version that is not enforced would have decided: {}", self.outcome())
            }
            (None, "refusals") => "calls of nobody proven were refused".to_owned(),
            (None, "gap") => "acknowledged records may be missing here".to_owned(),
            (None, "pruning") => "records were deleted by retention".to_owned(),
            (None, _) => "a part of the audit log ended".to_owned(),
        }
    }

    /// Where the event can be proved.
    fn proof(&self) -> Value {
        json!({ "log": self.origin, "index": self.index, "leaf": self.leaf.to_string() })
    }
}

/// The record's own bytes, so that whoever reads the line can hash them.
fn json_line(read: &Read<'_>, record: &[u8]) -> String {
    let record = String::from_utf8_lossy(record);
    format!(
        r#"{{"index":{},"leaf":"{}","log":{},"record":{record}}}"#,
        read.index,
        read.leaf,
        Value::from(read.origin)
    )
}

#[cfg(test)]
mod tests;
