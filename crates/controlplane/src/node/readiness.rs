//! Whether a control node should be sent requests: it belongs to a cluster, knows who leads, and its news are fresh.

use std::fmt;
use std::time::Duration;

use openraft::ServerState;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::raft::node::RaftNode;
use crate::state::meta;

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
    /// It was told to stop.
    Stopping,
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
            Self::Stopping => "the node is stopping",
        })
    }
}

/// Whether a control node should be sent requests. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Readiness(watch::Receiver<Standing>);

/// How often the node is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Log time ticks every second; so many missed ones are no hiccup any more.
const FRESH: Duration = Duration::from_secs(5);

impl Readiness {
    /// Looks at the node again and again, until `stop`.
    pub(super) fn watch(tasks: &mut JoinSet<&'static str>, parts: &Parts, stop: CancellationToken) -> Self {
        let sender = watch::Sender::new(Standing::Starting);
        let readiness = Self(sender.subscribe());
        let parts = parts.clone();
        tasks.spawn(async move {
            let mut news = News::new(&parts);
            while !stop.is_cancelled() {
                let standing = news.look(&parts);
                if sender.send_if_modified(|known| std::mem::replace(known, standing) != standing) {
                    tracing::info!(%standing, "readiness changed");
                }
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
            sender.send_replace(Standing::Stopping);
            "the watch over readiness"
        });
        readiness
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

/// The newest confirmed moment, and when it became known.
struct News {
    began: Instant,
    log_time_ms: u64,
    since: Option<Instant>,
}

impl News {
    fn new(parts: &Parts) -> Self {
        // What was applied at an earlier start is no news.
        let log_time_ms = parts.control.applied().borrow().log_time_ms;
        Self { began: Instant::now(), log_time_ms, since: None }
    }

    fn look(&mut self, parts: &Parts) -> Standing {
        let log_time_ms = parts.control.applied().borrow().log_time_ms;
        if log_time_ms > self.log_time_ms {
            (self.log_time_ms, self.since) = (log_time_ms, Some(Instant::now()));
        }
        let status = parts.raft.status();
        if !status.members.contains_key(&status.node) {
            return Standing::Alone;
        }
        if status.leader.is_none() {
            return Standing::NoLeader;
        }
        match parts.control.view().and_then(|view| meta::cluster(&view)) {
            // A storage that fails ends the node.
            Ok(None) | Err(_) => return Standing::NoState,
            Ok(Some(_)) => {}
        }
        if parts.raft.agreement().is_in_doubt() {
            return Standing::InDoubt;
        }
        match self.since {
            Some(since) if since.elapsed() < FRESH => Standing::Ready,
            None if self.began.elapsed() < FRESH => Standing::Starting,
            Some(_) | None => Standing::Stale,
        }
    }
}

/// Whether this node leads, as it changes.
pub(super) fn watch_leading(
    tasks: &mut JoinSet<&'static str>,
    raft: RaftNode,
    stop: CancellationToken,
) -> watch::Receiver<bool> {
    let sender = watch::Sender::new(false);
    let leads = sender.subscribe();
    tasks.spawn(async move {
        let mut metrics = raft.raft().server_metrics();
        loop {
            let leading = metrics.borrow_and_update().state == ServerState::Leader;
            sender.send_if_modified(|known| std::mem::replace(known, leading) != leading);
            tokio::select! {
                () = stop.cancelled() => return "the watch over leadership",
                changed = metrics.changed() => if changed.is_err() {
                    // Raft is gone: whoever waits for its end is told so there.
                    stop.cancelled().await;
                    return "the watch over leadership";
                },
            }
        }
    });
    leads
}
