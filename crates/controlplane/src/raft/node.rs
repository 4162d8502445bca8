//! One control node's part in Raft: started, asked, stopped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aegis_model::caps;
use aegis_model::clock::Clock;
use aegis_model::ids::ClusterId;
use aegis_proto::v1::raft_server::RaftServer;
use aegis_raft_store::checkpoint::Checkpoint;
use aegis_raft_store::types::{NodeId, Peer, Raft, TypeConfig};
use openraft::ServerState;
use openraft::error::Fatal;
use openraft::storage::{RaftLogStorage, RaftStateMachine};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::agreement::Agreement;
use super::clocks::Verdict;
use super::envelope::Envelope;
use super::keeper;
use super::membership::Members;
use super::network::Network;
use super::peers::Peers;
use super::proposal::{ProposeError, Proposed, Route};
use super::proposer::Proposer;
use super::read::{ReadError, Reads};
use super::service::RaftService;
use super::shared::{Counters, Local, Shared};
use super::timings::Timings;
use super::tls::{BadControlName, ControlNames, TlsIdentity};

/// What a node has to be told.
pub struct Setup {
    /// Its cluster.
    pub cluster: ClusterId,
    /// Its id, which belongs to its data folder.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// How long it waits for what.
    pub timings: Timings,
    /// Where the wall time comes from.
    pub clock: Clock,
    /// Who it is to the others.
    pub identity: TlsIdentity,
    /// What replication asks of the applied state.
    pub local: Arc<dyn Local>,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The timings contradict each other.
    #[error("the timings of raft do not fit together: {0}")]
    Timings(String),
    /// The cluster or the node has a name that cannot stand in a certificate.
    #[error(transparent)]
    Name(#[from] BadControlName),
    /// The storage failed.
    #[error("raft does not start: {0}")]
    Raft(Box<Fatal<NodeId>>),
}

/// Why a node ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It was told to.
    Stopped,
    /// Its storage failed, Raft is broken, or its state is wrong. The process has to end; trying again would only hide it.
    Failed(String),
}

/// How a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its id.
    pub node: NodeId,
    /// Its term.
    pub term: u64,
    /// Who leads, as far as it knows.
    pub leader: Option<NodeId>,
    /// Whether it decides anything.
    pub voter: bool,
    /// The index of the last entry of its log; 0 if it is empty.
    pub last_log_index: u64,
    /// The index of the last entry it has applied; 0 if none.
    pub applied_index: u64,
    /// The index of the last entry that its newest snapshot covers; 0 if there is none.
    pub snapshot_index: u64,
    /// The log time at the last applied entry, in milliseconds since 1970.
    pub log_time_ms: u64,
    /// Whether its clock is fit to lead.
    pub clock: Verdict,
    /// Who belongs to the cluster, and whether each is a voter.
    pub members: BTreeMap<NodeId, (Peer, bool)>,
}

/// One control node's part in Raft. Cheap to clone.
#[derive(Clone)]
pub struct RaftNode {
    shared: Arc<Shared>,
    proposer: Proposer,
    reads: Reads,
}

impl RaftNode {
    /// Starts the node over its storage. It then takes part as soon as [`RaftNode::service`] is served.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start<L, S>(setup: Setup, log: L, state: S) -> Result<Self, StartError>
    where
        L: RaftLogStorage<TypeConfig>,
        S: RaftStateMachine<TypeConfig>,
    {
        let Setup { cluster, node, name, timings, clock, identity, local } = setup;
        let names = ControlNames::new(&cluster)?;
        names.node(&name)?;
        let config = Arc::new(timings.config(cluster.as_str())?);
        let peers = Peers::new(Envelope { cluster, node, name, names }, identity);
        let raft = Raft::new(node, config, Network { peers: peers.clone() }, log, state).await;
        let raft = raft.map_err(|fatal| StartError::Raft(Box::new(fatal)))?;
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared::new(raft, peers, local, clock, timings, stop));
        let (proposer, batches) = Proposer::new(Arc::clone(&shared));
        let (reads, rounds) = Reads::new(Arc::clone(&shared));
        shared.tasks.spawn(batches);
        shared.tasks.spawn(rounds);
        shared.tasks.spawn(keeper::watch_members(Arc::clone(&shared)));
        shared.tasks.spawn(keeper::tick(Arc::clone(&shared)));
        shared.tasks.spawn(keeper::finish_changes(Arc::clone(&shared)));
        Ok(Self { shared, proposer, reads })
    }

    /// The gRPC service that the other nodes reach it by; for [`super::listen::serve`].
    pub fn service(&self) -> RaftServer<RaftService> {
        RaftService::server(Arc::clone(&self.shared), self.proposer.clone(), self.reads.clone())
    }

    /// Proposes `command`, here or at the leader. Answers within `within`.
    ///
    /// # Errors
    /// [`ProposeError`] tells apart what was not accepted and what is in doubt.
    pub async fn propose(&self, command: Vec<u8>, within: Duration) -> Result<Proposed, ProposeError> {
        self.proposer.propose(command, Route::Anywhere, Instant::now() + within).await
    }

    /// Returns when this node has applied everything that was acknowledged, anywhere, before the call: the index.
    ///
    /// # Errors
    /// [`ReadError`]: nobody could say so within `within`.
    pub async fn linearize(&self, within: Duration) -> Result<u64, ReadError> {
        self.reads.linearize(Instant::now() + within).await
    }

    /// The membership and its changes.
    pub fn members(&self) -> Members {
        Members::new(Arc::clone(&self.shared), self.proposer.clone())
    }

    /// How it is.
    pub fn status(&self) -> NodeStatus {
        describe(&self.shared)
    }

    /// Whether this node leads, has a quorum behind it and a fit clock.
    pub fn leads(&self) -> bool {
        self.shared.leader() == super::shared::Leader::Here
    }

    /// What it did.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// openraft's own handle: for its metrics and for snapshots, not for writes.
    pub fn raft(&self) -> &Raft {
        &self.shared.raft
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Runs `task` as one of the node's: [`RaftNode::stop`] waits for it, and it ends when [`RaftNode::stopping`] does.
    pub(super) fn own(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.shared.tasks.spawn(task);
    }

    /// Waits until the node begins to stop.
    pub(super) async fn stopping(&self) {
        self.shared.stop.cancelled().await;
    }

    /// Why the node has to end, if a fault was found that is neither the storage's nor Raft's.
    pub fn fault(&self) -> Option<String> {
        self.shared.fault().map(str::to_owned)
    }

    /// What it knows of the other members' states.
    pub fn agreement(&self) -> Agreement {
        self.shared.states().agreement()
    }

    /// The newest point of its own state; nothing before anything was applied.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        self.shared.local.checkpoints().last().copied()
    }

    /// Waits until the node has ended, and says why.
    pub async fn ended(&self) -> End {
        let mut metrics = self.shared.raft.metrics();
        let ended = metrics.wait_for(|metrics| metrics.running_state.is_err()).await;
        let failed = match ended.as_deref().map(|metrics| &metrics.running_state) {
            Ok(Err(Fatal::Stopped) | Ok(())) => None,
            Ok(Err(fatal @ (Fatal::StorageError(_) | Fatal::Panicked))) => Some(fatal.to_string()),
            // Raft's own task is gone without a word.
            Err(_closed) if self.shared.stop.is_cancelled() => None,
            Err(_closed) => Some("raft ended unexpectedly".to_owned()),
        };
        drop(ended);
        match self.fault().or(failed) {
            None => End::Stopped,
            Some(why) => {
                self.shared.stop.cancel();
                End::Failed(why)
            }
        }
    }

    /// Stops: nothing more is accepted, what waits is refused, what is under way gets
    /// [`caps::CONTROL_DRAIN_SECONDS`], then Raft ends.
    pub async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        let patience = Duration::from_secs(caps::CONTROL_DRAIN_SECONDS);
        let drained = tokio::time::timeout(patience / 2, self.shared.tasks.wait()).await;
        if self.shared.raft.shutdown().await.is_err() {
            tracing::error!("raft broke while it was stopped");
        }
        // What was still under way ends with Raft, and its callers know that it is in doubt.
        if drained.is_err() && tokio::time::timeout(patience / 2, self.shared.tasks.wait()).await.is_err() {
            tracing::error!("tasks of raft are still running after it was stopped");
        }
    }
}

/// How a node is.
pub(super) fn describe(shared: &Shared) -> NodeStatus {
    let verdict = *shared.verdict().borrow();
    let metrics = shared.raft.metrics();
    let metrics = metrics.borrow();
    let members = metrics.membership_config.membership();
    let voters: Vec<NodeId> = members.voter_ids().collect();
    NodeStatus {
        node: shared.me(),
        term: metrics.current_term,
        leader: metrics.current_leader,
        voter: matches!(metrics.state, ServerState::Leader | ServerState::Follower | ServerState::Candidate),
        last_log_index: metrics.last_log_index.unwrap_or_default(),
        applied_index: metrics.last_applied.map_or(0, |id| id.index),
        snapshot_index: metrics.snapshot.map_or(0, |id| id.index),
        log_time_ms: shared.local.log_time_ms(),
        clock: verdict,
        members: members.nodes().map(|(node, peer)| (*node, (peer.clone(), voters.contains(node)))).collect(),
    }
}
