//! Whether a control node should be sent requests: one answer, for `/readyz`, gRPC health, metrics and the log.
//!
//! What it is made of is looked at in `node/readiness.rs`.

use std::fmt;

use tokio::sync::watch;

/// How a control node is, for those who send requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It serves.
    Ready,
    /// It began a moment ago, and no news have reached it yet.
    Starting,
    /// It belongs to no cluster: it waits to be added, or for the cluster to be made.
    Alone,
    /// It has not received the cluster's state yet.
    NoState,
    /// It knows of no leader.
    NoLeader,
    /// Its state differs from another member's after the same entry, and nobody can tell which is right.
    InDoubt,
    /// A majority has confirmed nothing that reached it for some seconds.
    Stale,
    /// Its clock is far from log time.
    ClockOff,
    /// It was told to stop.
    Stopping,
}

impl Standing {
    /// Every one.
    pub const ALL: [Self; 9] = [
        Self::Ready,
        Self::Starting,
        Self::Alone,
        Self::NoState,
        Self::NoLeader,
        Self::InDoubt,
        Self::Stale,
        Self::ClockOff,
        Self::Stopping,
    ];
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "the node is ready",
            Self::Starting => "the node starts",
            Self::Alone => {
                "the node belongs to no cluster: it waits for `aegis cluster init` or `aegis cluster add`"
            }
            Self::NoState => "the node has not received the cluster's state yet",
            Self::NoLeader => "the node knows of no leader",
            Self::InDoubt => {
                "the node's state differs from another control node's after the same entry, and nobody can tell which is right"
            }
            Self::Stale => "no news that a majority confirmed have reached the node for some seconds",
            Self::ClockOff => "the node's clock is far from the moment that a majority has confirmed",
            Self::Stopping => "the node is stopping",
        })
    }
}

/// Whether a control node should be sent requests, as it changes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Readiness(watch::Receiver<Standing>);

impl Readiness {
    /// What `standing` says.
    pub fn new(standing: watch::Receiver<Standing>) -> Self {
        Self(standing)
    }

    /// How the node is.
    pub fn standing(&self) -> Standing {
        *self.0.borrow()
    }

    /// Whether it should be sent requests.
    pub fn is_ready(&self) -> bool {
        self.standing() == Standing::Ready
    }

    /// Waits until it is ready, or stops.
    pub async fn ready(&self) {
        let mut standing = self.0.clone();
        // Closed: it stopped.
        let _ = standing.wait_for(|it| matches!(it, Standing::Ready | Standing::Stopping)).await;
    }

    /// Waits for the next change; false once there will be none.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}
