//! One proposed command on its way, and the precise word on what became of it.
//!
//! A command is *waiting* until it is handed to Raft or to the leader, and *under way* from then on. Whoever waits for it
//! and runs out of time learns which of the two it was: a waiting command will never be accepted, one that is under way
//! may be. The two sides agree through one atomic word.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use aegis_raft_store::types::NodeId;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

/// A command that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// The index of its entry.
    pub index: u64,
    /// Its number within the entry, from 0.
    pub position: u32,
    /// The machine's answer.
    pub response: Vec<u8>,
}

/// Why a command was not applied, as far as the proposer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// It was not accepted, and never will be.
    #[error("the command was not accepted: {0}")]
    NotAccepted(#[from] NotAccepted),
    /// It may have been accepted: the leader was lost, or time ran out, while it was under way. With its idempotency
    /// key it can be proposed again.
    #[error("it is not known whether the command was accepted")]
    Unknown,
}

/// Why a command was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAccepted {
    /// It is larger than [`aegis_model::caps::COMMAND_BYTES_MAX`].
    #[error("it is too large")]
    TooLarge,
    /// Too many commands wait at this node.
    #[error("too many commands wait at this node")]
    Overloaded,
    /// Its time ran out while it waited.
    #[error("its time ran out while it waited")]
    TooLate,
    /// The node that was asked does not lead; who does, as far as it knows.
    #[error("the node that was asked does not lead")]
    NotLeader(Option<NodeId>),
    /// The node that leads does not take commands, as its clock is off.
    #[error("the clock of the leader is off the median of the members")]
    Clock,
    /// The node stops.
    #[error("the node is stopping")]
    Stopped,
}

impl ProposeError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAccepted(why) => why.code(),
            Self::Unknown => "unknown_outcome",
        }
    }

    /// Whether the same command may do better later. After [`ProposeError::Unknown`] only with its idempotency key.
    pub fn retryable(&self) -> bool {
        !matches!(self, Self::NotAccepted(NotAccepted::TooLarge))
    }
}

impl NotAccepted {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Overloaded => "overloaded",
            Self::TooLate => "too_late",
            Self::NotLeader(_) => "not_leader",
            Self::Clock => "clock",
            Self::Stopped => "stopped",
        }
    }

    /// The refusal with this code.
    pub(super) fn from_code(code: &str, leader: NodeId) -> Option<Self> {
        Some(match code {
            "too_large" => Self::TooLarge,
            "overloaded" => Self::Overloaded,
            "too_late" => Self::TooLate,
            "not_leader" => Self::NotLeader((leader != 0).then_some(leader)),
            "clock" => Self::Clock,
            "stopped" => Self::Stopped,
            _ => return None,
        })
    }
}

/// What became of a command.
pub(super) type Outcome = Result<Proposed, ProposeError>;

/// Where a command may be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// Wherever the leader is.
    Anywhere,
    /// Here or nowhere: another node sent it on already.
    HereOnly,
}

/// The proposer's side of a command.
pub(super) struct Proposal {
    pub(super) command: Vec<u8>,
    pub(super) route: Route,
    pub(super) deadline: Instant,
    state: Arc<AtomicU8>,
    reply: oneshot::Sender<Outcome>,
    _room: OwnedSemaphorePermit,
}

/// The caller's side of a command.
pub(super) struct Waiting {
    deadline: Instant,
    state: Arc<AtomicU8>,
    reply: oneshot::Receiver<Outcome>,
}

const WAITING: u8 = 0;
const UNDER_WAY: u8 = 1;
const GIVEN_UP: u8 = 2;

/// Both sides of a command.
pub(super) fn proposal(
    command: Vec<u8>,
    route: Route,
    deadline: Instant,
    room: OwnedSemaphorePermit,
) -> (Proposal, Waiting) {
    let state = Arc::new(AtomicU8::new(WAITING));
    let (sender, receiver) = oneshot::channel();
    let waiting = Waiting { deadline, state: Arc::clone(&state), reply: receiver };
    (Proposal { command, route, deadline, state, reply: sender, _room: room }, waiting)
}

impl Proposal {
    /// Marks it as under way: whether somebody still waits for it. Only then may it be handed on.
    pub(super) fn begin(&self) -> bool {
        let exchanged =
            |from, to| self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok();
        !self.reply.is_closed()
            && (exchanged(WAITING, UNDER_WAY) || self.state.load(Ordering::Acquire) == UNDER_WAY)
    }

    /// It is sure not to have been accepted, and waits again.
    pub(super) fn put_back(&self) {
        // Whoever gave up meanwhile was told that it is unknown: that is not precise any more, and not wrong.
        let _ = self.state.compare_exchange(UNDER_WAY, WAITING, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Whether its time is over.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        now >= self.deadline || self.reply.is_closed()
    }

    /// Tells the caller; who went away is not told.
    pub(super) fn answer(self, outcome: Outcome) {
        let _ = self.reply.send(outcome);
    }
}

impl Waiting {
    /// What became of it, at the latest at its deadline.
    pub(super) async fn outcome(mut self) -> Outcome {
        match tokio::time::timeout_at(self.deadline, &mut self.reply).await {
            Ok(Ok(outcome)) => return outcome,
            // The proposer's task ended without a word.
            Ok(Err(_dropped)) => {}
            Err(_late) => {}
        }
        match self.state.swap(GIVEN_UP, Ordering::AcqRel) {
            WAITING => Err(NotAccepted::TooLate.into()),
            // The answer may have come in between.
            _ => self.reply.try_recv().unwrap_or(Err(ProposeError::Unknown)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::Semaphore;

    use super::*;

    fn both(within: Duration) -> (Proposal, Waiting) {
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        proposal(b"c".to_vec(), Route::Anywhere, Instant::now() + within, room)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn an_answer_is_passed_on() {
        let (proposal, waiting) = both(LONG);
        assert!(proposal.begin());
        let done = Proposed { index: 1, position: 2, response: b"r".to_vec() };
        proposal.answer(Ok(done.clone()));
        assert_eq!(waiting.outcome().await, Ok(done));
    }

    #[tokio::test]
    async fn a_waiting_command_that_runs_out_of_time_is_never_begun() {
        let (proposal, waiting) = both(Duration::ZERO);
        assert_eq!(waiting.outcome().await, Err(ProposeError::NotAccepted(NotAccepted::TooLate)));
        assert!(!proposal.begin(), "its caller was told that it never will be accepted");
    }

    #[tokio::test]
    async fn a_command_under_way_that_runs_out_of_time_is_in_doubt() {
        let (proposal, waiting) = both(Duration::ZERO);
        assert!(proposal.begin());
        assert_eq!(waiting.outcome().await, Err(ProposeError::Unknown));
        proposal.put_back();
        assert!(!proposal.begin(), "nobody waits for it");
    }

    #[tokio::test]
    async fn a_command_that_was_put_back_is_not_in_doubt() {
        let (proposal, waiting) = both(Duration::ZERO);
        assert!(proposal.begin());
        proposal.put_back();
        assert_eq!(waiting.outcome().await, Err(ProposeError::NotAccepted(NotAccepted::TooLate)));
    }

    #[tokio::test]
    async fn a_proposer_that_vanishes_leaves_the_right_word() {
        let (proposal, waiting) = both(LONG);
        drop(proposal);
        assert_eq!(waiting.outcome().await, Err(ProposeError::NotAccepted(NotAccepted::TooLate)));
        let (proposal, waiting) = both(LONG);
        assert!(proposal.begin());
        drop(proposal);
        assert_eq!(waiting.outcome().await, Err(ProposeError::Unknown));
    }

    #[test]
    fn codes_come_back_as_they_went() {
        for why in [
            NotAccepted::TooLarge,
            NotAccepted::Overloaded,
            NotAccepted::TooLate,
            NotAccepted::NotLeader(Some(3)),
            NotAccepted::Clock,
            NotAccepted::Stopped,
        ] {
            assert_eq!(NotAccepted::from_code(why.code(), 3), Some(why));
        }
        assert_eq!(NotAccepted::from_code("not_leader", 0), Some(NotAccepted::NotLeader(None)));
        assert_eq!(NotAccepted::from_code("other", 0), None);
    }
}
