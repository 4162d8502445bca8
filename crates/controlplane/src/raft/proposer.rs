//! Proposals: many commands, few entries.
//!
//! openraft syncs its log once per entry, one after the other, so one command per entry would cost a sync each. Here the
//! commands that come in while [`caps::ENTRIES_IN_FLIGHT_MAX`] entries are under way wait, and make up the next entry
//! together. Nobody waits for company: without load a command is an entry at once.
//!
//! Where this node does not lead, the same batches go to the leader. A batch that was surely not accepted is tried again,
//! here or there, until its commands' deadlines; one that may have been accepted is answered with
//! [`ProposeError::Unknown`] and never tried again: that is for the caller, who has the idempotency key.

use std::sync::Arc;
use std::time::Duration;

use aegis_model::caps;
use aegis_proto::v1;
use aegis_raft_store::types::{Batch, NodeId, Peer};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::peers::{CallError, Lane};
use super::proposal::{NotAccepted, Outcome, Proposal, ProposeError, Proposed, Route, proposal};
use super::shared::{Leader, Shared, count};
use super::submit::{Submitted, submit};
use super::timings::millis;

/// Takes commands. Cheap to clone.
#[derive(Clone)]
pub(super) struct Proposer {
    queue: mpsc::Sender<Proposal>,
    room: Arc<Semaphore>,
}

impl Proposer {
    /// A proposer, and the task that has to run for it.
    pub(super) fn new(shared: Arc<Shared>) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, proposals) = mpsc::channel(caps::COMMANDS_QUEUED_MAX);
        let room = Arc::new(Semaphore::new(caps::COMMAND_BYTES_QUEUED_MAX));
        (Self { queue, room }, batches(shared, proposals))
    }

    /// Proposes `command`; answers at the latest at `deadline`.
    pub(super) async fn propose(&self, command: Vec<u8>, route: Route, deadline: Instant) -> Outcome {
        if command.len() > caps::COMMAND_BYTES_MAX {
            return Err(NotAccepted::TooLarge.into());
        }
        // An empty command takes room, too.
        let bytes = u32::try_from(command.len().max(1)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(bytes);
        let Ok(Ok(room)) = tokio::time::timeout_at(deadline, room).await else {
            return Err(NotAccepted::Overloaded.into());
        };
        let (proposal, waiting) = proposal(command, route, deadline, room);
        match self.queue.try_send(proposal) {
            Ok(()) => waiting.outcome().await,
            Err(mpsc::error::TrySendError::Full(_)) => Err(NotAccepted::Overloaded.into()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(NotAccepted::Stopped.into()),
        }
    }
}

/// Gathers commands to batches until the node stops.
async fn batches(shared: Arc<Shared>, mut queue: mpsc::Receiver<Proposal>) {
    let slots = Arc::new(Semaphore::new(caps::ENTRIES_IN_FLIGHT_MAX));
    let mut held = None;
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await.ok()?;
            let first = match held.take() {
                Some(held) => held,
                None => queue.recv().await?,
            };
            Some((slot, first))
        };
        let (slot, first) = tokio::select! {
            () = shared.stop.cancelled() => break,
            next = next => match next {
                Some(next) => next,
                None => break,
            },
        };
        let batch = gather(first, &mut queue, &mut held);
        let driven = drive(Arc::clone(&shared), batch);
        shared.tasks.spawn(async move {
            driven.await;
            drop(slot);
        });
    }
    queue.close();
    let left = held.into_iter().chain(std::iter::from_fn(|| queue.try_recv().ok()));
    left.for_each(|proposal| proposal.answer(Err(NotAccepted::Stopped.into())));
}

/// `first` and what else is there, as far as it fits; what does not goes to `held`.
fn gather(
    first: Proposal,
    queue: &mut mpsc::Receiver<Proposal>,
    held: &mut Option<Proposal>,
) -> Vec<Proposal> {
    let mut bytes = first.command.len();
    let mut batch = vec![first];
    while batch.len() < caps::ENTRY_COMMANDS_MAX {
        let Ok(next) = queue.try_recv() else { break };
        bytes += next.command.len();
        if bytes > caps::ENTRY_BYTES_MAX {
            *held = Some(next);
            break;
        }
        batch.push(next);
    }
    batch
}

/// Brings a batch to its end: every command is answered, or its caller has gone.
async fn drive(shared: Arc<Shared>, mut batch: Vec<Proposal>) {
    loop {
        let now = Instant::now();
        let late = batch.extract_if(.., |proposal| proposal.is_late(now));
        late.for_each(|proposal| proposal.answer(Err(NotAccepted::TooLate.into())));
        if shared.stop.is_cancelled() {
            return answer_all(batch, |_| Err(NotAccepted::Stopped.into()));
        }
        let leader = shared.leader();
        if leader != Leader::Here {
            refuse_those_for_here(&mut batch, &leader);
        }
        if batch.is_empty() {
            return;
        }
        batch = match leader {
            Leader::Here => write_here(&shared, batch).await,
            Leader::There(node, peer) => forward(&shared, node, &peer, batch).await,
            Leader::Nobody | Leader::Unfit => batch,
        };
        if batch.is_empty() {
            return;
        }
        tokio::select! {
            () = shared.leader_may_have_changed() => {}
            () = shared.stop.cancelled() => {}
        }
    }
}

/// Answers those that came from another node, which looks for the leader itself.
fn refuse_those_for_here(batch: &mut Vec<Proposal>, leader: &Leader) {
    let why = match leader {
        Leader::There(node, _) => NotAccepted::NotLeader(Some(*node)),
        Leader::Here | Leader::Nobody => NotAccepted::NotLeader(None),
        Leader::Unfit => NotAccepted::Clock,
    };
    let here = batch.extract_if(.., |proposal| proposal.route == Route::HereOnly);
    here.for_each(|proposal| proposal.answer(Err(why.into())));
}

fn answer_all(batch: Vec<Proposal>, outcome: impl Fn(usize) -> Outcome) {
    batch.into_iter().enumerate().for_each(|(at, proposal)| proposal.answer(outcome(at)));
}

/// Makes `batch` an entry; gives back what was surely not accepted.
async fn write_here(shared: &Shared, mut batch: Vec<Proposal>) -> Vec<Proposal> {
    batch.retain(Proposal::begin);
    if batch.is_empty() {
        return batch;
    }
    let commands = batch.iter().map(|proposal| proposal.command.clone()).collect();
    let entry = Batch { log_time_ms: shared.stamp().log_time_ms, commands };
    count(&shared.counters.entries, 1);
    count(&shared.counters.commands, batch.len());
    match submit(&shared.raft, shared.me(), entry).await {
        Submitted::Applied { index, responses } => answer_applied(batch, index, responses),
        Submitted::NotTaken => {
            batch.iter().for_each(Proposal::put_back);
            return batch;
        }
        Submitted::Unknown => answer_all(batch, |_| Err(ProposeError::Unknown)),
        Submitted::Stopped => answer_all(batch, |_| Err(NotAccepted::Stopped.into())),
    }
    Vec::new()
}

fn answer_applied(batch: Vec<Proposal>, index: u64, responses: Vec<Vec<u8>>) {
    let mut responses = responses.into_iter();
    for (position, proposal) in (0..).zip(batch) {
        proposal.answer(match responses.next() {
            Some(response) => Ok(Proposed { index, position, response }),
            // The store answers every command; one that does not leaves its caller in doubt.
            None => Err(ProposeError::Unknown),
        });
    }
}

/// Sends `batch` to the leader; gives back what was surely not accepted.
async fn forward(shared: &Shared, node: NodeId, peer: &Peer, mut batch: Vec<Proposal>) -> Vec<Proposal> {
    batch.retain(Proposal::begin);
    let Some(deadline) = batch.iter().map(|proposal| proposal.deadline).max() else { return batch };
    count(&shared.counters.forwarded, batch.len());
    let outcomes = ask(shared, node, peer, &batch, deadline).await;
    match outcomes {
        Ok(outcomes) => {
            batch.into_iter().zip(outcomes).filter_map(|(one, outcome)| settle(one, outcome)).collect()
        }
        Err(CallError::NotReached(_)) => {
            batch.iter().for_each(Proposal::put_back);
            batch
        }
        Err(CallError::Interrupted(_)) => {
            answer_all(batch, |_| Err(ProposeError::Unknown));
            Vec::new()
        }
    }
}

async fn ask(
    shared: &Shared,
    node: NodeId,
    peer: &Peer,
    batch: &[Proposal],
    deadline: Instant,
) -> Result<Vec<Outcome>, CallError> {
    let within = deadline.saturating_duration_since(Instant::now());
    let request = v1::RaftProposeRequest {
        sender: Some(shared.peers.envelope().sender()),
        target: node,
        commands: batch.iter().map(|proposal| proposal.command.clone()).collect(),
        within_ms: u32::try_from(millis(within)).unwrap_or(u32::MAX),
    };
    let mut client = shared.peers.client(node, peer, Lane::Ask)?;
    let call = tokio::time::timeout_at(deadline + ANSWER_GRACE, client.propose(request)).await;
    let answer = call
        .map_err(|_late| CallError::Interrupted("the leader did not answer in time".to_owned()))?
        .map_err(|status| shared.peers.failed(node, Lane::Ask, &status))?
        .into_inner();
    let checked = shared.peers.envelope().check_answer(answer.sender.as_ref(), node);
    checked.map_err(|refused| shared.peers.misanswered(node, Lane::Ask, &refused))?;
    if answer.outcomes.len() != batch.len() {
        return Err(CallError::Interrupted("the leader did not answer every command".to_owned()));
    }
    shared.peers.answered(node, Lane::Ask);
    Ok(answer.outcomes.into_iter().map(read_outcome).collect())
}

/// How much longer than its commands a forwarded batch is waited for: the leader answers at their deadline.
const ANSWER_GRACE: Duration = Duration::from_millis(250);

/// Answers one command, or gives it back where it was surely not accepted and may be tried again.
fn settle(proposal: Proposal, outcome: Outcome) -> Option<Proposal> {
    let again = match outcome {
        Err(ProposeError::NotAccepted(why)) => why != NotAccepted::TooLarge,
        Ok(_) | Err(ProposeError::Unknown) => false,
    };
    if again {
        proposal.put_back();
        return Some(proposal);
    }
    proposal.answer(outcome);
    None
}

/// An outcome as a message.
pub(super) fn outcome_message(outcome: Outcome, leader: NodeId) -> v1::RaftProposed {
    use v1::raft_proposed::Outcome as Message;
    let message = match outcome {
        Ok(done) => Message::Applied(v1::RaftApplied {
            index: done.index,
            position: done.position,
            response: done.response,
        }),
        Err(ProposeError::Unknown) => Message::Unknown(v1::RaftUnknownOutcome {}),
        Err(ProposeError::NotAccepted(why)) => {
            Message::NotAccepted(v1::RaftNotAccepted { reason: why.code().to_owned(), leader })
        }
    };
    v1::RaftProposed { outcome: Some(message) }
}

/// The outcome of a message; what it does not say is unknown.
fn read_outcome(message: v1::RaftProposed) -> Outcome {
    use v1::raft_proposed::Outcome as Message;
    match message.outcome {
        Some(Message::Applied(done)) => {
            Ok(Proposed { index: done.index, position: done.position, response: done.response })
        }
        Some(Message::NotAccepted(why)) => Err(match NotAccepted::from_code(&why.reason, why.leader) {
            Some(why) => why.into(),
            None => ProposeError::Unknown,
        }),
        Some(Message::Unknown(_)) | None => Err(ProposeError::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_for(commands: &[usize]) -> (Vec<usize>, Option<usize>, usize) {
        let (sender, mut queue) = mpsc::channel(commands.len().max(1));
        let room = Arc::new(Semaphore::new(commands.len()));
        let mut all = Vec::new();
        let mut kept = Vec::new();
        for size in commands {
            let permit = Arc::clone(&room).try_acquire_owned().unwrap();
            let deadline = Instant::now() + Duration::from_secs(60);
            let (one, waiting) = proposal(vec![0; *size], Route::Anywhere, deadline, permit);
            all.push(one);
            kept.push(waiting);
        }
        let mut all = all.into_iter();
        let first = all.next().unwrap();
        all.for_each(|one| sender.try_send(one).ok().unwrap());
        let mut held = None;
        let batch = gather(first, &mut queue, &mut held);
        let sizes = batch.iter().map(|one| one.command.len()).collect();
        (sizes, held.map(|one| one.command.len()), queue.len())
    }

    #[tokio::test]
    async fn an_entry_takes_what_is_there_within_its_bounds() {
        assert_eq!(wait_for(&[1]), (vec![1], None, 0));
        assert_eq!(wait_for(&[1, 2, 3]), (vec![1, 2, 3], None, 0));
        let third = caps::ENTRY_BYTES_MAX / 3;
        assert_eq!(wait_for(&[third, third, third, 9, 9]), (vec![third; 3], Some(9), 1));
        let (many, held, left) = wait_for(&vec![1; caps::ENTRY_COMMANDS_MAX + 5]);
        assert_eq!((many.len(), held, left), (caps::ENTRY_COMMANDS_MAX, None, 5));
    }

    #[test]
    fn outcomes_come_back_as_they_went() {
        for outcome in [
            Ok(Proposed { index: 4, position: 2, response: b"r".to_vec() }),
            Err(ProposeError::Unknown),
            Err(NotAccepted::NotLeader(Some(7)).into()),
            Err(NotAccepted::Overloaded.into()),
        ] {
            assert_eq!(read_outcome(outcome_message(outcome.clone(), 7)), outcome);
        }
        assert_eq!(read_outcome(v1::RaftProposed::default()), Err(ProposeError::Unknown));
        let newer = v1::RaftNotAccepted { reason: "something new".to_owned(), leader: 0 };
        let newer = v1::raft_proposed::Outcome::NotAccepted(newer);
        assert_eq!(read_outcome(v1::RaftProposed { outcome: Some(newer) }), Err(ProposeError::Unknown));
    }
}
