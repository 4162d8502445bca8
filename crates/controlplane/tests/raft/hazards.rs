//! Sequences that openraft 0.9 is known to be delicate at, played to one node by hand.

use aegis_proto::v1;
use aegis_proto::v1::raft_client::RaftClient;
use aegis_proto::v1::raft_install_snapshot_request::Part;
use aegis_raft_store::snapshot::Head;
use sha2::{Digest, Sha256};
use tonic::transport::Channel;

use crate::authority::Authority;
use crate::cluster::{CLUSTER, Cluster, Seat, timings};
use crate::machine::{get, put};
use crate::stranger::{code, connect, sender};

/// The leader that these tests play; its name stays, its id is chosen as needed.
const NAME: &str = "control-8";
const OLD: u64 = 1_000;
const NEW: u64 = 1_001;

struct Played {
    seat: Seat,
    client: RaftClient<Channel>,
}

fn vote(term: u64, node: u64) -> Option<v1::RaftVote> {
    Some(v1::RaftVote { term, node, committed: true })
}

fn at(term: u64, node: u64, index: u64) -> v1::RaftLogId {
    v1::RaftLogId { term, node, index }
}

fn entry(id: v1::RaftLogId, value: &str) -> v1::RaftEntry {
    let batch = v1::RaftBatch { log_time_ms: 1, commands: vec![put(id.index, value)] };
    v1::RaftEntry { id: Some(id), payload: Some(v1::raft_entry::Payload::Batch(batch)) }
}

impl Played {
    async fn new(authority: &Authority) -> Self {
        let mut seat = Seat::new(authority, "control-1", timings());
        seat.start().await;
        let identity = authority.issue_node(CLUSTER, NAME);
        let client = connect(&seat, Some(&identity), &authority.pem()).await.unwrap();
        Self { seat, client }
    }

    /// The first entry: who belongs to the cluster. The node under test only listens.
    fn first(&self) -> v1::RaftEntry {
        let member = |node, name: &str| v1::RaftMember {
            node,
            name: name.to_owned(),
            address: "https://x:1".to_owned(),
        };
        // Both leaders that are played have the same certificate; only one of them is a member by name.
        let membership = v1::RaftMembership {
            voters: vec![v1::RaftVoters { nodes: vec![OLD] }],
            members: vec![member(OLD, NAME), member(self.seat.id(), "control-1")],
        };
        let payload = Some(v1::raft_entry::Payload::Membership(membership));
        v1::RaftEntry { id: Some(at(0, 0, 0)), payload }
    }

    async fn append(
        &mut self,
        vote: Option<v1::RaftVote>,
        previous: Option<v1::RaftLogId>,
        entries: Vec<v1::RaftEntry>,
        committed: Option<v1::RaftLogId>,
    ) -> v1::RaftAppendOutcome {
        let node = vote.unwrap().node;
        let target = self.seat.id();
        let request = v1::RaftAppendEntriesRequest {
            sender: sender(node, NAME),
            target,
            vote,
            previous,
            entries,
            committed,
        };
        self.client.append_entries(request).await.unwrap().into_inner().outcome()
    }

    /// Waits until the entry at `index` is applied.
    async fn applied(&self, index: u64) {
        let mut applied = self.seat.store().applied();
        applied.wait_for(|now| now.index >= index).await.unwrap();
    }

    fn value(&self, key: u64) -> Option<String> {
        get(self.seat.store(), key).map(|value| String::from_utf8(value).unwrap())
    }
}

use v1::RaftAppendOutcome::{Appended, Conflict, HigherVote};

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_another_leader_replaced_are_not_acknowledged_again() {
    let authority = Authority::new();
    let mut node = Played::new(&authority).await;
    let old: Vec<_> =
        std::iter::once(node.first()).chain((1..6).map(|index| entry(at(1, OLD, index), "old"))).collect();
    assert_eq!(node.append(vote(1, OLD), None, old.clone(), Some(at(1, OLD, 2))).await, Appended);
    node.applied(2).await;

    // The next leader has only the first three, and writes a fourth of its own.
    let new = vec![entry(at(2, NEW, 4), "new")];
    assert_eq!(node.append(vote(2, NEW), Some(at(1, OLD, 3)), new, Some(at(1, OLD, 3))).await, Appended);
    // The log went back: what was acknowledged to the old leader is gone, and the old leader learns that it is none.
    assert_eq!(node.append(vote(2, NEW), Some(at(1, OLD, 5)), vec![], None).await, Conflict);
    assert_eq!(node.append(vote(1, OLD), Some(at(1, OLD, 5)), vec![], Some(at(1, OLD, 5))).await, HigherVote);
    assert_eq!(
        node.append(vote(1, OLD), None, old, Some(at(1, OLD, 5))).await,
        HigherVote,
        "late, and once more"
    );
    // A commit beyond what was matched with this leader, the fourth entry, commits nothing beyond it.
    assert_eq!(node.append(vote(2, NEW), Some(at(1, OLD, 3)), vec![], Some(at(2, NEW, 9))).await, Appended);
    node.applied(3).await;
    assert_eq!(node.value(3), Some("old".to_owned()));
    assert_eq!(node.append(vote(2, NEW), Some(at(2, NEW, 4)), vec![], Some(at(2, NEW, 4))).await, Appended);
    node.applied(4).await;
    assert_eq!((node.value(4), node.value(5)), (Some("new".to_owned()), None));
    assert_eq!(node.seat.store().applied().borrow().index, 4);
    node.seat.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_emptied_is_not_taken_for_what_it_was() {
    let authority = Authority::new();
    let mut node = Played::new(&authority).await;
    let first = node.first();
    assert_eq!(node.append(vote(1, OLD), None, vec![first, entry(at(1, OLD, 1), "x")], None).await, Appended);
    let before = node.seat.id();
    node.seat.wipe().await;
    node.seat.start().await;
    let identity = authority.issue_node(CLUSTER, NAME);
    let mut client = connect(&node.seat, Some(&identity), &authority.pem()).await.unwrap();
    // Its log went back to nothing. Were it asked under its old id, its answers would count for what it has lost.
    let request = v1::RaftAppendEntriesRequest {
        sender: sender(OLD, NAME),
        target: before,
        vote: vote(1, OLD),
        previous: Some(at(1, OLD, 1)),
        ..Default::default()
    };
    assert_eq!(code(client.append_entries(request).await), "wrong_node");
    node.seat.stop().await;
}

/// A snapshot of another cluster's life: its bytes and what stands in them.
async fn snapshot() -> (Vec<u8>, Head) {
    let cluster = Cluster::start(1).await;
    for key in 1..20 {
        cluster.seats[0].propose(put(key, "snapshot")).await.unwrap();
    }
    let path = cluster.seats[0].path("backup");
    let head = cluster.seats[0].store().write_backup(&path).await.unwrap();
    (std::fs::read(path).unwrap(), head)
}

fn parts(
    node: &Played,
    (bytes, head): &(Vec<u8>, Head),
    term: u64,
    sha256: Vec<u8>,
) -> Vec<v1::RaftInstallSnapshotRequest> {
    let id = |it: openraft::LogId<u64>| at(it.leader_id.term, it.leader_id.node_id, it.index);
    let members = head.membership.membership();
    let sent = v1::RaftSnapshotHead {
        sender: sender(NEW, NAME),
        target: node.seat.id(),
        vote: vote(term, NEW),
        id: head.meta().snapshot_id,
        last_log: head.last_log_id.map(id),
        membership_log: head.membership.log_id().map(id),
        membership: Some(v1::RaftMembership {
            voters: vec![v1::RaftVoters { nodes: members.voter_ids().collect() }],
            members: members
                .nodes()
                .map(|(node, peer)| v1::RaftMember {
                    node: *node,
                    name: peer.name.clone(),
                    address: peer.address.clone(),
                })
                .collect(),
        }),
        bytes: bytes.len() as u64,
    };
    let chunks = bytes.chunks(1_000).map(|chunk| Part::Chunk(chunk.to_vec().into()));
    let all =
        std::iter::once(Part::Head(sent)).chain(chunks).chain([Part::End(v1::RaftSnapshotEnd { sha256 })]);
    all.map(|part| v1::RaftInstallSnapshotRequest { part: Some(part) }).collect()
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_replaces_entries_that_were_not_committed_and_no_others() {
    let snapshot = snapshot().await;
    let authority = Authority::new();
    let mut node = Played::new(&authority).await;
    let last = snapshot.1.last_log_id.unwrap();
    let old =
        std::iter::once(node.first()).chain((1..last.index + 5).map(|index| entry(at(1, OLD, index), "old")));
    let old = old.collect();
    assert_eq!(node.append(vote(1, OLD), None, old, Some(at(1, OLD, 3))).await, Appended);
    node.applied(3).await;

    let sent = parts(&node, &snapshot, 90, sha256(&snapshot.0));
    let answer = node.client.install_snapshot(tokio_stream::iter(sent.clone())).await.unwrap();
    assert_eq!(answer.into_inner().vote, vote(90, NEW));
    node.applied(last.index).await;
    assert_eq!(node.value(3).as_deref(), Some("snapshot"));
    // The tail of the old log is gone with what it conflicted with.
    let tail = at(1, OLD, last.index + 2);
    assert_eq!(node.append(vote(90, NEW), Some(tail), vec![], None).await, Conflict);
    let last_id = at(last.leader_id.term, last.leader_id.node_id, last.index);
    let next = at(90, NEW, last.index + 1);
    assert_eq!(
        node.append(vote(90, NEW), Some(last_id), vec![entry(next, "next")], Some(next)).await,
        Appended
    );
    node.applied(next.index).await;
    assert_eq!(node.value(next.index).as_deref(), Some("next"));

    // The same snapshot once more, late: what was committed since then stays.
    node.client.install_snapshot(tokio_stream::iter(sent)).await.unwrap();
    assert_eq!(node.value(next.index).as_deref(), Some("next"));
    let after = at(90, NEW, next.index + 1);
    assert_eq!(node.append(vote(90, NEW), Some(next), vec![entry(after, "on")], Some(after)).await, Appended);
    node.applied(after.index).await;
    // And from a leader of the past it is refused with the vote that counts.
    let late = parts(&node, &snapshot, 80, sha256(&snapshot.0));
    let answer = node.client.install_snapshot(tokio_stream::iter(late)).await.unwrap();
    assert_eq!(answer.into_inner().vote, vote(90, NEW));
    node.seat.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_is_refused_and_the_node_lives_on() {
    let snapshot = snapshot().await;
    let authority = Authority::new();
    let mut node = Played::new(&authority).await;
    let good = parts(&node, &snapshot, 90, sha256(&snapshot.0));
    let mut garbled = snapshot.0.clone();
    let middle = garbled.len() / 2;
    garbled[middle] ^= 1;
    let garbled = (garbled, snapshot.1.clone());
    let other = Head {
        last_log_id: Some(openraft::LogId { index: 500, ..snapshot.1.last_log_id.unwrap() }),
        ..snapshot.1.clone()
    };
    let mut in_disorder = good.clone();
    in_disorder.swap(0, 1);
    for (what, sent) in [
        ("its checksum does not fit", parts(&node, &garbled, 90, sha256(&snapshot.0))),
        ("it was damaged before it was sent", parts(&node, &garbled, 90, sha256(&garbled.0))),
        ("it is another one", parts(&node, &(snapshot.0.clone(), other), 90, sha256(&snapshot.0))),
        ("a part is missing", [&good[..1], &good[2..]].concat()),
        ("its end is missing", good[..good.len() - 1].to_vec()),
        ("it is out of order", in_disorder),
    ] {
        let refused = code(node.client.install_snapshot(tokio_stream::iter(sent)).await);
        assert_ne!(refused, "taken", "{what}");
        assert_eq!(node.seat.node().status().applied_index, 0, "{what}");
    }
    let installed = node.client.install_snapshot(tokio_stream::iter(good)).await;
    if let Err(error) = installed {
        panic!("{error}: {:?}", node.seat.node().ended().await);
    }
    node.applied(snapshot.1.last_log_id.unwrap().index).await;
    node.seat.stop().await;
}
