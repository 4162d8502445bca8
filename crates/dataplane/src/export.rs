//! Events of a node's audit logs, sent on as records are synced: to a collector of syslog over TLS (RFC 5425) or of OTLP, into files of
//! a folder, or as objects of a store.
//!
//! Decisions wait for nothing here. Who takes events and is slow or down delays nothing but itself: records stay on the node's disk,
//! metrics tell how far it is behind, and it is tried again from where it was. At least once: a place is noted as sent only after
//! the other side has said that it has what was sent, or, with syslog, which never says so, after the connection has lived on for longer
//! than the system keeps bytes that nobody acknowledged. Each event names log and index, by which a collector tells what came twice.
//! Only records under a checkpoint are sent: none of them can be undone by a loss of power.

mod kept;
mod line;
mod position;
mod worker;

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use aegis_audit::siem::{Event, Format};
use aegis_model::caps;
use aegis_model::ids::TenantId;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::archive::Archive;

pub(crate) use worker::{Counts, Worker};

/// The name of an export: its position is kept under it. 1 to 32 of `a-z 0-9 -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExportName(Arc<str>);

/// A text that names no export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of an export has 1 to {} characters of `a-z 0-9 -`", caps::EXPORT_NAME_BYTES_MAX)]
pub struct BadExportName;

impl FromStr for ExportName {
    type Err = BadExportName;
    fn from_str(text: &str) -> Result<Self, BadExportName> {
        let fits = (1..=caps::EXPORT_NAME_BYTES_MAX).contains(&text.len());
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if fits && text.bytes().all(known) { Ok(Self(text.into())) } else { Err(BadExportName) }
    }
}

impl fmt::Display for ExportName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is sent on, and to whom.
#[derive(Debug, Clone)]
pub struct Export {
    /// Its name.
    pub name: ExportName,
    /// The form of events.
    pub format: Format,
    /// The only tenant whose records are sent. Nothing: all records of the node.
    pub tenant: Option<TenantId>,
    /// Where to.
    pub to: To,
}

/// Where events go.
#[derive(Debug, Clone)]
pub enum To {
    /// To a collector of syslog over TLS.
    Syslog(Collector),
    /// To a collector of OTLP.
    Otlp(Otlp),
    /// Into files.
    Files(Files),
    /// Into an object store.
    Store(Store),
}

/// A collector of syslog over TLS.
#[derive(Clone)]
pub struct Collector {
    /// Its host, as it is connected to.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The name that its certificate has to be for.
    pub server_name: ServerName<'static>,
    /// Whom to trust, and what to show.
    pub tls: Arc<ClientConfig>,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Collector({}:{})", self.host, self.port)
    }
}

/// A collector of OTLP, by somebody who speaks it. Cheap to clone.
#[derive(Clone)]
pub struct Otlp {
    place: Arc<str>,
    tell: Arc<dyn Fn(Told) -> Telling + Send + Sync>,
}

/// The answer of a collector: how many of the records it refused for good.
type Telling = Pin<Box<dyn Future<Output = Result<u64, String>> + Send>>;

/// Events of one log, to be told as one message.
#[derive(Debug, Clone)]
pub struct Told {
    /// The name of the log.
    pub origin: String,
    /// In the order of the log; at least one.
    pub events: Vec<Event>,
}

impl Otlp {
    /// A collector that is at `place`, for people. `tell` answers once the collector has taken the events, with how many of them it
    /// refused for good; or with why it has none of them, without secrets: then they are told again.
    pub fn new<F>(place: &str, tell: impl Fn(Told) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<u64, String>> + Send + 'static,
    {
        Self { place: place.into(), tell: Arc::new(move |told| Box::pin(tell(told))) }
    }

    /// Where it is, for people.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) async fn tell(&self, told: Told) -> Result<u64, String> {
        (self.tell)(told).await
    }
}

impl fmt::Debug for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Otlp({})", self.place)
    }
}

/// A folder for files of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The folder; it is made if it is not there.
    pub folder: PathBuf,
    /// Bytes after which another file begins. An event that is longer stands alone.
    pub bytes_max: u64,
}

/// A place in an object store.
#[derive(Debug, Clone)]
pub struct Store {
    /// The place.
    pub archive: Archive,
    /// How long events are gathered before they are put, unless there are [`caps::EXPORT_OBJECT_BYTES`] of them before.
    pub every: Duration,
}

/// How files of events in this form are called.
fn extension(format: Format) -> &'static str {
    match format {
        Format::Ocsf => "ocsf.jsonl",
        Format::Cef => "cef",
        Format::Ecs => "ecs.jsonl",
        Format::JsonLines => "jsonl",
    }
}

#[cfg(test)]
mod tests;
