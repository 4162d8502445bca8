//! Events of a node's audit logs, sent on as records are synced: to a collector of syslog over TLS (RFC 5425).
//!
//! Decisions wait for nothing here. A collector that is slow or down delays nothing but itself: records stay on the node's disk, metrics
//! tell how far it is behind, and it is tried again from where it was. At least once: a place is noted as sent only after the
//! connection has lived on for longer than the system keeps bytes that nobody acknowledged, so that a break sends some of them
//! again. Each event names log and index, by which a collector tells what came twice. Only records under a checkpoint are sent: none
//! of them can be undone by a loss of power.

mod line;
mod position;
mod worker;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aegis_audit::siem::Format;
use aegis_model::caps;
use aegis_model::ids::TenantId;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

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
    pub collector: Collector,
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

#[cfg(test)]
mod tests;
