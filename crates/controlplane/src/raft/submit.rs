//! Handing a batch to Raft, and telling for certain whether it was taken.
//!
//! openraft answers `ForwardToLeader` both to a write that it did not take and to one that it took and later removed from
//! its log; the second may still be committed by others who hold it. To tell them apart, two looks at Raft's state are
//! queued around the write. Raft handles the three in order. A node takes a write only while the vote it holds is its own
//! and granted by a quorum, and votes only grow; so if both looks show the same vote and it is another's, or was not
//! granted, then at no moment between them could the write have been taken.

use aegis_raft_store::types::{Batch, NodeId, Raft, Response};
use openraft::Vote;
use openraft::error::ClientWriteError;
use tokio::sync::oneshot;

/// What became of a batch that was handed to Raft.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Submitted {
    /// It was applied.
    Applied {
        /// The index of its entry.
        index: u64,
        /// The machine's answers.
        responses: Vec<Response>,
    },
    /// It is not in any log, and never will be.
    NotTaken,
    /// It may be in a log.
    Unknown,
    /// Raft has stopped, and did not take it.
    Stopped,
}

/// Hands `batch` to Raft and waits for the answer, which may never come while no quorum can be reached.
pub(super) async fn submit(raft: &Raft, me: NodeId, batch: Batch) -> Submitted {
    let before = look(raft);
    let Ok(answer) = raft.client_write_ff(batch).await else { return Submitted::Stopped };
    let after = look(raft);
    match answer.await {
        Ok(Ok(written)) => Submitted::Applied { index: written.log_id.index, responses: written.data },
        Ok(Err(ClientWriteError::ForwardToLeader(_))) => match (before.await, after.await) {
            (Ok(before), Ok(after)) if not_taken(me, &before, &after) => Submitted::NotTaken,
            _ => Submitted::Unknown,
        },
        // Only a change of the membership is answered so.
        Ok(Err(ClientWriteError::ChangeMembershipError(_))) => Submitted::Unknown,
        // Raft stopped while the entry was under way.
        Err(_dropped) => Submitted::Unknown,
    }
}

fn look(raft: &Raft) -> oneshot::Receiver<Vote<NodeId>> {
    let (sender, receiver) = oneshot::channel();
    raft.external_request(move |state| {
        let _ = sender.send(*state.vote_ref());
    });
    receiver
}

fn not_taken(me: NodeId, before: &Vote<NodeId>, after: &Vote<NodeId>) -> bool {
    before == after && !(before.committed && before.leader_id.node_id == me)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_vote_held_throughout_proves_that_a_write_was_not_taken() {
        let mine = Vote::new_committed(5, 1);
        let theirs = Vote::new_committed(5, 2);
        assert!(not_taken(1, &theirs, &theirs));
        assert!(not_taken(1, &Vote::new(5, 1), &Vote::new(5, 1)), "not granted yet");
        assert!(!not_taken(1, &mine, &mine), "taken, and removed later");
        assert!(!not_taken(1, &mine, &Vote::new_committed(6, 2)));
        assert!(!not_taken(1, &theirs, &Vote::new_committed(6, 1)), "became the leader in between");
        assert!(!not_taken(1, &theirs, &Vote::new_committed(9, 2)), "may have led in between");
    }
}
