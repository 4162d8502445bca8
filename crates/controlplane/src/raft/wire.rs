//! Raft's values as messages and back. A message that lacks what it must have is [`Malformed`], never guessed at.

use std::collections::{BTreeMap, BTreeSet};

use aegis_model::caps;
use aegis_proto::v1;
use aegis_raft_store::checkpoint::Checkpoint;
use aegis_raft_store::tables::StateDigest;
use aegis_raft_store::types::{Batch, NodeId, Peer, TypeConfig};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};
use openraft::{
    CommittedLeaderId, Entry, EntryPayload, LogId, Membership, SnapshotMeta, StoredMembership, Vote,
};

/// A message lacks a part, or a part of it makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message lacks `{0}`, or it makes no sense")]
pub struct Malformed(pub(super) &'static str);

pub(super) fn vote(vote: &Vote<NodeId>) -> v1::RaftVote {
    v1::RaftVote { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
}

pub(super) fn read_vote(vote: Option<&v1::RaftVote>) -> Result<Vote<NodeId>, Malformed> {
    let vote = vote.ok_or(Malformed("vote"))?;
    Ok(match vote.committed {
        true => Vote::new_committed(vote.term, vote.node),
        false => Vote::new(vote.term, vote.node),
    })
}

pub(super) fn log_id(id: &LogId<NodeId>) -> v1::RaftLogId {
    v1::RaftLogId { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
}

pub(super) fn read_log_id(id: &v1::RaftLogId) -> LogId<NodeId> {
    LogId::new(CommittedLeaderId::new(id.term, id.node), id.index)
}

pub(super) fn membership(membership: &Membership<NodeId, Peer>) -> v1::RaftMembership {
    let voters = membership.get_joint_config().iter();
    let members = membership.nodes();
    v1::RaftMembership {
        voters: voters.map(|nodes| v1::RaftVoters { nodes: nodes.iter().copied().collect() }).collect(),
        members: members
            .map(|(node, peer)| v1::RaftMember {
                node: *node,
                name: peer.name.clone(),
                address: peer.address.clone(),
            })
            .collect(),
    }
}

pub(super) fn read_membership(
    membership: &v1::RaftMembership,
) -> Result<Membership<NodeId, Peer>, Malformed> {
    let voters: Vec<BTreeSet<NodeId>> =
        membership.voters.iter().map(|set| set.nodes.iter().copied().collect()).collect();
    let members: BTreeMap<NodeId, Peer> = membership
        .members
        .iter()
        .map(|it| (it.node, Peer { name: it.name.clone(), address: it.address.clone() }))
        .collect();
    // openraft takes every voter's node for granted.
    if voters.iter().flatten().any(|voter| !members.contains_key(voter)) {
        return Err(Malformed("membership"));
    }
    Ok(Membership::new(voters, members))
}

pub(super) fn checkpoints(checkpoints: &[Checkpoint]) -> Vec<v1::RaftCheckpoint> {
    let one = |it: &Checkpoint| v1::RaftCheckpoint {
        history: it.history,
        index: it.index,
        digest: it.digest.to_bytes().to_vec(),
    };
    checkpoints.iter().map(one).collect()
}

pub(super) fn read_checkpoints(checkpoints: &[v1::RaftCheckpoint]) -> Result<Vec<Checkpoint>, Malformed> {
    if checkpoints.len() > caps::STATE_CHECKPOINTS_MAX {
        return Err(Malformed("checkpoints"));
    }
    let one = |it: &v1::RaftCheckpoint| {
        let digest = it.digest.as_slice().try_into().map_err(|_length| Malformed("checkpoint.digest"))?;
        Ok(Checkpoint { history: it.history, index: it.index, digest: StateDigest::from_bytes(digest) })
    };
    checkpoints.iter().map(one).collect()
}

fn entry(entry: Entry<TypeConfig>) -> v1::RaftEntry {
    use v1::raft_entry::Payload;
    let payload = match entry.payload {
        EntryPayload::Blank => None,
        EntryPayload::Normal(batch) => {
            Some(Payload::Batch(v1::RaftBatch { log_time_ms: batch.log_time_ms, commands: batch.commands }))
        }
        EntryPayload::Membership(members) => Some(Payload::Membership(membership(&members))),
    };
    v1::RaftEntry { id: Some(log_id(&entry.log_id)), payload }
}

fn read_entry(entry: v1::RaftEntry) -> Result<Entry<TypeConfig>, Malformed> {
    use v1::raft_entry::Payload;
    let id = entry.id.as_ref().ok_or(Malformed("entry.id"))?;
    let payload = match entry.payload {
        None => EntryPayload::Blank,
        Some(Payload::Batch(batch)) => {
            EntryPayload::Normal(Batch { log_time_ms: batch.log_time_ms, commands: batch.commands })
        }
        Some(Payload::Membership(members)) => EntryPayload::Membership(read_membership(&members)?),
    };
    Ok(Entry { log_id: read_log_id(id), payload })
}

pub(super) fn append_request(
    sender: v1::RaftSender,
    target: NodeId,
    request: AppendEntriesRequest<TypeConfig>,
) -> v1::RaftAppendEntriesRequest {
    v1::RaftAppendEntriesRequest {
        sender: Some(sender),
        target,
        vote: Some(vote(&request.vote)),
        previous: request.prev_log_id.as_ref().map(log_id),
        entries: request.entries.into_iter().map(entry).collect(),
        committed: request.leader_commit.as_ref().map(log_id),
    }
}

pub(super) fn read_append_request(
    request: v1::RaftAppendEntriesRequest,
) -> Result<AppendEntriesRequest<TypeConfig>, Malformed> {
    let previous = request.previous.as_ref().map(read_log_id);
    let entries: Vec<_> = request.entries.into_iter().map(read_entry).collect::<Result<_, _>>()?;
    // openraft counts on entries without a hole, and only checks it in debug builds.
    let first = previous.map_or(0, |id| id.index + 1);
    if !(first..).zip(&entries).all(|(index, entry)| entry.log_id.index == index) {
        return Err(Malformed("entries"));
    }
    Ok(AppendEntriesRequest {
        vote: read_vote(request.vote.as_ref())?,
        prev_log_id: previous,
        entries,
        leader_commit: request.committed.as_ref().map(read_log_id),
    })
}

pub(super) fn append_response(
    sender: v1::RaftSender,
    response: &AppendEntriesResponse<NodeId>,
) -> v1::RaftAppendEntriesResponse {
    use v1::RaftAppendOutcome as Outcome;
    let (outcome, higher_vote) = match response {
        // A receiver takes all or nothing: only a sender knows of parts.
        AppendEntriesResponse::Success | AppendEntriesResponse::PartialSuccess(_) => {
            (Outcome::Appended, None)
        }
        AppendEntriesResponse::Conflict => (Outcome::Conflict, None),
        AppendEntriesResponse::HigherVote(higher) => (Outcome::HigherVote, Some(vote(higher))),
    };
    v1::RaftAppendEntriesResponse { sender: Some(sender), outcome: outcome.into(), higher_vote }
}

pub(super) fn read_append_response(
    response: &v1::RaftAppendEntriesResponse,
) -> Result<AppendEntriesResponse<NodeId>, Malformed> {
    use v1::RaftAppendOutcome as Outcome;
    match response.outcome() {
        Outcome::Unspecified => Err(Malformed("outcome")),
        Outcome::Appended => Ok(AppendEntriesResponse::Success),
        Outcome::Conflict => Ok(AppendEntriesResponse::Conflict),
        Outcome::HigherVote => {
            Ok(AppendEntriesResponse::HigherVote(read_vote(response.higher_vote.as_ref())?))
        }
    }
}

pub(super) fn vote_request(
    sender: v1::RaftSender,
    target: NodeId,
    request: &VoteRequest<NodeId>,
) -> v1::RaftVoteRequest {
    v1::RaftVoteRequest {
        sender: Some(sender),
        target,
        vote: Some(vote(&request.vote)),
        last_log: request.last_log_id.as_ref().map(log_id),
    }
}

pub(super) fn read_vote_request(request: &v1::RaftVoteRequest) -> Result<VoteRequest<NodeId>, Malformed> {
    let last_log = request.last_log.as_ref().map(read_log_id);
    Ok(VoteRequest::new(read_vote(request.vote.as_ref())?, last_log))
}

pub(super) fn vote_response(sender: v1::RaftSender, response: &VoteResponse<NodeId>) -> v1::RaftVoteResponse {
    v1::RaftVoteResponse {
        sender: Some(sender),
        vote: Some(vote(&response.vote)),
        granted: response.vote_granted,
        last_log: response.last_log_id.as_ref().map(log_id),
    }
}

pub(super) fn read_vote_response(response: &v1::RaftVoteResponse) -> Result<VoteResponse<NodeId>, Malformed> {
    let last_log = response.last_log.as_ref().map(read_log_id);
    Ok(VoteResponse::new(read_vote(response.vote.as_ref())?, last_log, response.granted))
}

pub(super) fn snapshot_head(
    sender: v1::RaftSender,
    target: NodeId,
    leader: &Vote<NodeId>,
    meta: &SnapshotMeta<NodeId, Peer>,
    bytes: u64,
) -> v1::RaftSnapshotHead {
    v1::RaftSnapshotHead {
        sender: Some(sender),
        target,
        vote: Some(vote(leader)),
        id: meta.snapshot_id.clone(),
        last_log: meta.last_log_id.as_ref().map(log_id),
        membership_log: meta.last_membership.log_id().as_ref().map(log_id),
        membership: Some(membership(meta.last_membership.membership())),
        bytes,
    }
}

pub(super) fn read_snapshot_meta(
    head: &v1::RaftSnapshotHead,
) -> Result<SnapshotMeta<NodeId, Peer>, Malformed> {
    let members = read_membership(head.membership.as_ref().ok_or(Malformed("membership"))?)?;
    // A snapshot of nothing is never sent; openraft would not know where it ends.
    let last_log = head.last_log.as_ref().ok_or(Malformed("last_log"))?;
    Ok(SnapshotMeta {
        last_log_id: Some(read_log_id(last_log)),
        last_membership: StoredMembership::new(head.membership_log.as_ref().map(read_log_id), members),
        snapshot_id: head.id.clone(),
    })
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    fn sender() -> v1::RaftSender {
        v1::RaftSender { cluster: "c".to_owned(), node: 7, name: "n".to_owned(), protocol: 1 }
    }

    fn at(term: u64, index: u64) -> LogId<NodeId> {
        LogId::new(CommittedLeaderId::new(term, 3), index)
    }

    fn members() -> Membership<NodeId, Peer> {
        let peer = |name: &str| Peer { name: name.to_owned(), address: format!("https://{name}:1") };
        let nodes = BTreeMap::from([(1, peer("a")), (2, peer("b")), (u64::MAX, peer("c"))]);
        Membership::new(vec![BTreeSet::from([1, 2]), BTreeSet::from([1, u64::MAX])], nodes)
    }

    fn request() -> AppendEntriesRequest<TypeConfig> {
        let batch = Batch { log_time_ms: 5, commands: vec![b"one".to_vec(), Vec::new()] };
        AppendEntriesRequest {
            vote: Vote::new_committed(4, 3),
            prev_log_id: Some(at(3, 9)),
            entries: vec![
                Entry { log_id: at(4, 10), payload: EntryPayload::Blank },
                Entry { log_id: at(4, 11), payload: EntryPayload::Normal(batch) },
                Entry { log_id: at(4, 12), payload: EntryPayload::Membership(members()) },
            ],
            leader_commit: Some(at(3, 8)),
        }
    }

    #[test]
    fn entries_come_back_as_they_went() {
        let sent = append_request(sender(), 9, request());
        let bytes = sent.encode_to_vec();
        let received = v1::RaftAppendEntriesRequest::decode(bytes.as_slice()).unwrap();
        assert_eq!(received.target, 9);
        let read = read_append_request(received).unwrap();
        let expected = request();
        assert_eq!(
            (read.vote, read.prev_log_id, read.leader_commit),
            (expected.vote, expected.prev_log_id, expected.leader_commit)
        );
        assert_eq!(read.entries, expected.entries);
    }

    #[test]
    fn answers_come_back_as_they_went() {
        for answer in [
            AppendEntriesResponse::Success,
            AppendEntriesResponse::Conflict,
            AppendEntriesResponse::HigherVote(Vote::new(8, 2)),
        ] {
            assert_eq!(read_append_response(&append_response(sender(), &answer)).unwrap(), answer);
        }
        let vote = VoteRequest::new(Vote::new(8, 2), None);
        assert_eq!(read_vote_request(&vote_request(sender(), 1, &vote)).unwrap(), vote);
        let answer = VoteResponse::new(Vote::new_committed(8, 2), Some(at(1, 1)), true);
        assert_eq!(read_vote_response(&vote_response(sender(), &answer)).unwrap(), answer);
        let meta = SnapshotMeta {
            last_log_id: Some(at(2, 2)),
            last_membership: StoredMembership::new(Some(at(1, 1)), members()),
            snapshot_id: "s".to_owned(),
        };
        assert_eq!(
            read_snapshot_meta(&snapshot_head(sender(), 1, &Vote::new(1, 1), &meta, 3)).unwrap(),
            meta
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let malformed = |change: &dyn Fn(&mut v1::RaftAppendEntriesRequest)| {
            let mut sent = append_request(sender(), 9, request());
            change(&mut sent);
            read_append_request(sent).unwrap_err().0
        };
        assert_eq!(malformed(&|it| it.vote = None), "vote");
        assert_eq!(malformed(&|it| it.entries[0].id = None), "entry.id");
        assert_eq!(
            malformed(&|it| {
                it.entries.remove(1);
            }),
            "entries"
        );
        assert_eq!(malformed(&|it| it.previous = None), "entries");
        let mut outside = membership(&members());
        outside.members.pop();
        assert_eq!(read_membership(&outside).unwrap_err().0, "membership");
        assert_eq!(read_append_response(&v1::RaftAppendEntriesResponse::default()).unwrap_err().0, "outcome");
    }
}
