//! Sockets: listening, TLS, HTTP connections, and an end to all of it. What is asked and answered is not its matter.

mod connection;
mod held;
mod joined;
mod listener;
mod streams;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use listener::{Listener, Protocol};
pub(crate) use streams::{more_follows, nearly_done};

/// How long the parties of a connection may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a TLS handshake.
    pub handshake: Duration,
    /// For the head of an HTTP/1 request, and so for a connection that is open without one.
    pub head: Duration,
    /// For a request's body and its answer together.
    pub call: Duration,
    /// Without a request.
    pub idle: Duration,
    /// For calls in progress when the node stops.
    pub drain: Duration,
}

impl Default for Patience {
    /// The constants of `model::caps`.
    fn default() -> Self {
        use aegis_model::caps;
        Self {
            handshake: Duration::from_secs(caps::HANDSHAKE_SECONDS),
            head: Duration::from_secs(caps::HEAD_SECONDS),
            call: Duration::from_secs(caps::CALL_SECONDS),
            idle: Duration::from_secs(caps::CONNECTION_IDLE_SECONDS),
            drain: Duration::from_secs(caps::DRAIN_SECONDS),
        }
    }
}

/// The certificate that the client of a connection showed, verified against the node's client authorities; in the extensions of each
/// of its requests.
#[derive(Debug, Clone)]
pub(crate) struct PeerCertificate(pub(crate) Arc<CertificateDer<'static>>);

/// What all listeners of a node share: who owns their tasks, and when they end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Life {
    /// Owns every connection and every HTTP/2 stream.
    pub(crate) tasks: TaskTracker,
    /// Cancelled: accept nothing more, finish what was begun.
    pub(crate) stopping: CancellationToken,
    /// Cancelled: cut off what is left.
    pub(crate) over: CancellationToken,
}

/// Connections of one listener, for metrics and for its bound.
#[derive(Debug)]
pub(crate) struct Traffic {
    /// The listener's name.
    pub(crate) name: &'static str,
    open: AtomicUsize,
    /// How many were closed at once since the last look.
    pub(crate) refused: AtomicU64,
}

/// One open connection; dropping it closes the account.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Traffic>);

impl Traffic {
    fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self { name, open: AtomicUsize::new(0), refused: AtomicU64::new(0) })
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Counts one more, unless there are `max` already.
    fn begin(self: &Arc<Self>, max: usize) -> Option<OpenConnection> {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        let connection = OpenConnection(Arc::clone(self));
        if before < max {
            return Some(connection);
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        None
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_with_too_many_connections_closes_the_next_one() {
        let traffic = Traffic::new("test");
        let first = traffic.begin(2);
        let second = traffic.begin(2);
        assert!(first.is_some() && second.is_some());
        assert!(traffic.begin(2).is_none());
        assert_eq!((traffic.open(), traffic.refused.load(Ordering::Relaxed)), (2, 1));
        drop(first);
        assert!(traffic.begin(2).is_some(), "there is room again");
    }
}
