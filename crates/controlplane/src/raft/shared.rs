//! What the tasks of a control node share.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use aegis_model::clock::Clock;
use aegis_raft_store::checkpoint::Checkpoint;
use aegis_raft_store::types::{NodeId, Peer, Raft};
use openraft::{Membership, ServerState};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::agreement::States;
use super::clocks::{Clocks, Verdict};
use super::log_time::{LogTime, Stamp};
use super::object_store::StoreKeeper;
use super::peers::Peers;
use super::standings::Standings;
use super::timings::Timings;

/// What replication asks of the state that this node has applied.
pub trait Local: Send + Sync + 'static {
    /// The log time at the last applied entry, in milliseconds since 1970; 0 before the first.
    fn log_time_ms(&self) -> u64;

    /// Whether this id was retired. Where the state cannot be read the answer is no: the node stops for that anyway.
    fn is_retired(&self, node: NodeId) -> bool;

    /// Digests of the state at the last applied entries and at agreed ones before them, the oldest first.
    fn checkpoints(&self) -> Vec<Checkpoint>;

    /// The commands that retire an id, one after the other, to be proposed before the node is removed.
    fn retire(&self, node: NodeId, peer: &Peer) -> Vec<Vec<u8>>;
}

/// What the tasks of a control node share.
pub(super) struct Shared {
    pub(super) raft: Raft,
    pub(super) peers: Peers,
    pub(super) local: Arc<dyn Local>,
    pub(super) clock: Clock,
    pub(super) timings: Timings,
    pub(super) counters: Counters,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    /// Held by whoever changes the membership.
    pub(super) changing: tokio::sync::Mutex<()>,
    /// Who answers when others ask what data nodes have put into force.
    pub(super) standings: OnceLock<Arc<dyn Standings>>,
    /// Who says how far the object store is.
    pub(super) object_store: OnceLock<Arc<dyn StoreKeeper>>,
    /// Why the node has to end, though its storage and Raft are well.
    fault: OnceLock<String>,
    clocks: Mutex<Clocks>,
    states: Mutex<States>,
    log_time: Mutex<LogTime>,
    verdict: watch::Sender<Verdict>,
}

/// What was done, for metrics and tests.
#[derive(Debug, Default)]
pub struct Counters {
    /// Entries proposed here with commands in them.
    pub entries: AtomicU64,
    /// Commands in those entries.
    pub commands: AtomicU64,
    /// Ticks of log time proposed here.
    pub ticks: AtomicU64,
    /// Commands sent on to the leader.
    pub forwarded: AtomicU64,
    /// Linearizable reads asked for here.
    pub reads: AtomicU64,
    /// Rounds of questions that answered them.
    pub read_rounds: AtomicU64,
    /// How often another member's state was compared with this node's.
    pub state_comparisons: AtomicU64,
    /// How often it then differed, and was not known to.
    pub state_differences: AtomicU64,
}

/// Who takes proposals and reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Leader {
    /// This node.
    Here,
    /// Another one.
    There(NodeId, Peer),
    /// Nobody, as far as this node knows.
    Nobody,
    /// This node, but its clock is unfit.
    Unfit,
}

impl Leader {
    /// Its id, 0 if there is none that could be asked.
    pub(super) fn id(&self, me: NodeId) -> NodeId {
        match self {
            Self::Here => me,
            Self::There(node, _) => *node,
            Self::Nobody | Self::Unfit => 0,
        }
    }
}

impl Shared {
    pub(super) fn new(
        raft: Raft,
        peers: Peers,
        local: Arc<dyn Local>,
        clock: Clock,
        timings: Timings,
        stop: CancellationToken,
    ) -> Self {
        let log_time = LogTime::new(local.log_time_ms(), Instant::now());
        Self {
            raft,
            peers,
            local,
            clock,
            timings,
            counters: Counters::default(),
            tasks: TaskTracker::new(),
            stop,
            changing: tokio::sync::Mutex::new(()),
            standings: OnceLock::new(),
            object_store: OnceLock::new(),
            fault: OnceLock::new(),
            clocks: Mutex::new(Clocks::default()),
            states: Mutex::new(States::default()),
            log_time: Mutex::new(log_time),
            verdict: watch::Sender::new(Verdict::Unknown),
        }
    }

    pub(super) fn me(&self) -> NodeId {
        self.peers.envelope().node
    }

    pub(super) fn wall_ms(&self) -> u64 {
        self.clock.now().0 / 1_000_000
    }

    /// The membership in force here.
    pub(super) fn membership(&self) -> Membership<NodeId, Peer> {
        self.raft.server_metrics().borrow().membership_config.membership().clone()
    }

    /// The voters in force here, both sets while one replaces the other.
    pub(super) fn voters(&self) -> BTreeSet<NodeId> {
        self.membership().voter_ids().collect()
    }

    /// Who takes proposals and reads now.
    pub(super) fn leader(&self) -> Leader {
        if self.fault.get().is_some() {
            return Leader::Nobody;
        }
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow();
        if metrics.state == ServerState::Leader {
            return match (*self.verdict.borrow(), self.has_quorum()) {
                (Verdict::Off { .. }, _) => Leader::Unfit,
                (_, false) => Leader::Nobody,
                (_, true) => Leader::Here,
            };
        }
        let Some(leader) = metrics.current_leader.filter(|leader| *leader != self.me()) else {
            return Leader::Nobody;
        };
        match metrics.membership_config.membership().get_node(&leader) {
            Some(peer) => Leader::There(leader, peer.clone()),
            None => Leader::Nobody,
        }
    }

    /// Whether a quorum answered this leader lately. openraft goes on leading without: entries would be taken and stay
    /// in doubt, so that they are better not taken.
    fn has_quorum(&self) -> bool {
        let silent = self.raft.data_metrics().borrow().millis_since_quorum_ack;
        silent.is_some_and(|ms| Duration::from_millis(ms) <= 2 * self.timings.election_max)
    }

    /// Waits until another leader may be known, for at most [`LOOK_AGAIN`].
    pub(super) async fn leader_may_have_changed(&self) {
        let (mut server, mut verdict) = (self.raft.server_metrics(), self.verdict.subscribe());
        server.mark_unchanged();
        tokio::select! {
            _ = server.changed() => {}
            _ = verdict.changed() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }

    /// Whether this node's clock is fit to lead.
    pub(super) fn verdict(&self) -> watch::Receiver<Verdict> {
        self.verdict.subscribe()
    }

    /// Judges this node's clock anew; says what it was before and what it is now.
    pub(super) fn judge(&self) -> (Verdict, Verdict) {
        let voters: Vec<NodeId> = self.voters().into_iter().collect();
        let now = self.clocks().judge(&voters, self.me(), self.wall_ms(), Instant::now());
        (self.verdict.send_replace(now), now)
    }

    /// What the members say of their states.
    pub(super) fn states(&self) -> MutexGuard<'_, States> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the node has to end, if a fault was found that is neither the storage's nor Raft's.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.get().map(String::as_str)
    }

    /// Ends the node's part in Raft at once: it takes nothing more, votes for nobody and does not lead. Who owns the node
    /// learns why from [`RaftNode::ended`](super::node::RaftNode::ended).
    pub(super) async fn fail(&self, why: String) {
        // The first fault is the cause.
        let _later = self.fault.set(why);
        self.stop.cancel();
        if self.raft.shutdown().await.is_err() {
            tracing::error!("raft broke while it was stopped");
        }
    }

    pub(super) fn clocks(&self) -> MutexGuard<'_, Clocks> {
        self.clocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time of the next entry.
    pub(super) fn stamp(&self) -> Stamp {
        let now = Instant::now();
        let wall_ms = self.wall_ms();
        let voters: Vec<NodeId> = self.voters().into_iter().collect();
        let confirmed = self.clocks().judge(&voters, self.me(), wall_ms, now) == Verdict::Fit;
        let mut log_time = self.log_time.lock().unwrap_or_else(PoisonError::into_inner);
        log_time.observe(self.local.log_time_ms(), now);
        log_time.stamp(wall_ms, confirmed, now)
    }

    /// How long ago log time was last seen to move, or proposed to.
    pub(super) fn log_time_age(&self) -> Duration {
        let now = Instant::now();
        let mut log_time = self.log_time.lock().unwrap_or_else(PoisonError::into_inner);
        log_time.observe(self.local.log_time_ms(), now);
        log_time.age(now)
    }
}

/// Counts, in one place.
pub(super) fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}

/// How long nothing new may be learned of the leader before it is asked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
