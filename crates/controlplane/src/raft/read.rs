//! Linearizable reads: a read sees everything that was acknowledged before it was asked for.
//!
//! The leader asks a quorum whether it still leads, and names the index up to which it then knows the log to be
//! committed; whoever has applied that much may read. One such round answers all reads that were asked for before it
//! began. A read that comes while a round is under way waits for the next one: the round under way may have begun before
//! something that this read must see.
//!
//! A node that was the leader when its process ended, and is back before there is another one, leads on in the same term. What it
//! knows to be committed is then older than what it has acknowledged, until the others have answered it: `openraft` (0.9) takes
//! the first entry of the term for the least that a read has to see, and that one is old. So the end of its log as it was
//! when it first answered a read counts as well.

use std::sync::Arc;

use aegis_model::caps;
use aegis_proto::v1;
use aegis_raft_store::types::NodeId;
use openraft::error::{CheckIsLeaderError, RaftError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::peers::Lane;
use super::proposal::Route;
use super::shared::{Leader, Shared, count};
use super::timings::millis;

/// Why a linearizable read is not possible now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The node that was asked does not lead; who does, as far as it knows.
    #[error("the node that was asked does not lead")]
    NotLeader(Option<NodeId>),
    /// No leader with a quorum behind it answered in time, or this node did not catch up in time.
    #[error("no leader with a quorum behind it answered in time")]
    TooLate,
    /// Too many reads wait.
    #[error("too many reads wait at this node")]
    Overloaded,
    /// The node stops.
    #[error("the node is stopping")]
    Stopped,
}

impl ReadError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotLeader(_) => "not_leader",
            Self::TooLate => "too_late",
            Self::Overloaded => "overloaded",
            Self::Stopped => "stopped",
        }
    }

    /// Whether the same read may do better later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::NotLeader(_) | Self::TooLate | Self::Overloaded | Self::Stopped => true,
        }
    }
}

/// Takes reads. Cheap to clone.
#[derive(Clone)]
pub(super) struct Reads {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Asked>,
}

/// A read that waits for a round.
struct Asked {
    route: Route,
    deadline: Instant,
    reply: oneshot::Sender<Result<u64, ReadError>>,
}

impl Reads {
    /// The reads of a node, and the task that has to run for them.
    pub(super) fn new(shared: Arc<Shared>) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, asked) = mpsc::channel(caps::READS_QUEUED_MAX);
        (Self { shared: Arc::clone(&shared), queue }, rounds(shared, asked))
    }

    /// Returns when this node has applied everything that was acknowledged before the call.
    pub(super) async fn linearize(&self, deadline: Instant) -> Result<u64, ReadError> {
        let index = self.index(Route::Anywhere, deadline).await?;
        let mut applied = self.shared.raft.data_metrics();
        let reached = applied.wait_for(|metrics| metrics.last_applied.map_or(0, |id| id.index) >= index);
        match tokio::time::timeout_at(deadline, reached).await {
            Ok(Ok(_)) => Ok(index),
            Ok(Err(_closed)) => Err(ReadError::Stopped),
            Err(_late) => Err(ReadError::TooLate),
        }
    }

    /// The index up to which a node has to have applied the log for a read that is asked for now.
    pub(super) async fn index(&self, route: Route, deadline: Instant) -> Result<u64, ReadError> {
        count(&self.shared.counters.reads, 1);
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Asked { route, deadline, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ReadError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => ReadError::Stopped,
        })?;
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_dropped)) => Err(ReadError::Stopped),
            Err(_late) => Err(ReadError::TooLate),
        }
    }
}

/// The end of the log when this process first answered a read as the leader, and the term in which that was.
#[derive(Debug, Clone, Copy)]
struct Begun {
    term: u64,
    log_end: u64,
}

async fn rounds(shared: Arc<Shared>, mut queue: mpsc::Receiver<Asked>) {
    let mut begun = None;
    loop {
        let first = tokio::select! {
            () = shared.stop.cancelled() => return,
            first = queue.recv() => first,
        };
        let Some(first) = first else { return };
        // All that were asked for before this round begins, and none that comes later.
        let mut asked = vec![first];
        while let Ok(next) = queue.try_recv() {
            asked.push(next);
        }
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = answer(&shared, asked, &mut begun) => {}
        }
    }
}

/// Asks until there is an answer or nobody waits any more.
async fn answer(shared: &Shared, mut asked: Vec<Asked>, begun: &mut Option<Begun>) {
    loop {
        let now = Instant::now();
        asked.retain(|one| one.deadline > now && !one.reply.is_closed());
        let leader = shared.leader();
        if leader != Leader::Here {
            let hint = Some(leader.id(shared.me())).filter(|node| *node != 0);
            let here = asked.extract_if(.., |one| one.route == Route::HereOnly);
            here.for_each(|one| tell(one, Err(ReadError::NotLeader(hint))));
        }
        let Some(deadline) = asked.iter().map(|one| one.deadline).max() else { return };
        count(&shared.counters.read_rounds, 1);
        match tokio::time::timeout_at(deadline, round(shared, leader, deadline, begun)).await {
            Ok(Ok(index)) => {
                asked.into_iter().for_each(|one| tell(one, Ok(index)));
                return;
            }
            Ok(Err(Some(error))) => {
                asked.into_iter().for_each(|one| tell(one, Err(error)));
                return;
            }
            Ok(Err(None)) => shared.leader_may_have_changed().await,
            Err(_late) => {}
        }
    }
}

/// The least that a read has to see at a leader that may have led before its process began.
fn resumed(shared: &Shared, begun: &mut Option<Begun>) -> u64 {
    // It has answered, so its metrics are those of its beginning or newer ones.
    let (term, log_end) = {
        let metrics = shared.raft.metrics();
        let metrics = metrics.borrow();
        (metrics.current_term, metrics.last_log_index.unwrap_or(0))
    };
    let begun = begun.get_or_insert(Begun { term, log_end });
    // In a later term its first entry lies beyond.
    if begun.term == term { begun.log_end } else { 0 }
}

/// Tells whoever asked; who went away is not told.
fn tell(asked: Asked, answer: Result<u64, ReadError>) {
    let _ = asked.reply.send(answer);
}

/// One round: the index, an error that stays, or nothing yet.
async fn round(
    shared: &Shared,
    leader: Leader,
    deadline: Instant,
    begun: &mut Option<Begun>,
) -> Result<u64, Option<ReadError>> {
    match leader {
        Leader::Here => match shared.raft.get_read_log_id().await {
            Ok((index, _)) => Ok(index.map_or(0, |id| id.index).max(resumed(shared, begun))),
            Err(RaftError::Fatal(_)) => Err(Some(ReadError::Stopped)),
            Err(RaftError::APIError(
                CheckIsLeaderError::ForwardToLeader(_) | CheckIsLeaderError::QuorumNotEnough(_),
            )) => Err(None),
        },
        Leader::There(node, peer) => {
            let within = millis(deadline.saturating_duration_since(Instant::now()));
            let request = v1::RaftReadIndexRequest {
                sender: Some(shared.peers.envelope().sender()),
                target: node,
                within_ms: u32::try_from(within).unwrap_or(u32::MAX),
            };
            let mut client = shared.peers.client(node, &peer, Lane::Ask).map_err(|_unreached| None)?;
            let answer = client.read_index(request).await.map_err(|status| {
                shared.peers.failed(node, Lane::Ask, &status);
                None
            })?;
            let answer = answer.into_inner();
            let checked = shared.peers.envelope().check_answer(answer.sender.as_ref(), node);
            checked.map_err(|refused| {
                shared.peers.misanswered(node, Lane::Ask, &refused);
                None
            })?;
            shared.peers.answered(node, Lane::Ask);
            answer.index.ok_or(None)
        }
        Leader::Nobody | Leader::Unfit => Err(None),
    }
}
