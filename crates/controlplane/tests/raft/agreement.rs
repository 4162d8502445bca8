//! Nodes compare their states (RAFT-2): one that is wrong ends, and where nobody can tell who is, all say so.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use aegis_controlplane::raft::node::{End, RaftNode};
use aegis_raft_store::machine::{Machine, Place};
use aegis_raft_store::tables::{StateWrite, StoreError, Table};
use aegis_raft_store::types::Response;

use crate::cluster::{Cluster, LONG, WITHIN, timings};
use crate::machine::{Pairs, put};

/// Breaks RAFT-2 on purpose: what one command writes depends on the node, as if it had looked at a clock.
struct Drifting(u8);

const DRIFT: &[u8] = b"!drift!!";

impl Machine for Drifting {
    fn tables(&self) -> &'static [Table] {
        Pairs.tables()
    }

    fn apply(
        &self,
        state: &mut StateWrite<'_>,
        place: Place,
        command: &[u8],
    ) -> Result<Response, StoreError> {
        match command {
            DRIFT => Pairs.apply(state, place, &put(u64::MAX, [self.0])),
            other => Pairs.apply(state, place, other),
        }
    }
}

/// So many voters, of which the first drifts otherwise than the rest.
async fn with_a_drifting_first(count: usize) -> Cluster {
    Cluster::start_with(count, timings(), |at, seat| seat.machine = Arc::new(Drifting(u8::from(at == 0))))
        .await
}

/// Why a node that has to end by itself did.
async fn failure(node: &RaftNode) -> String {
    match tokio::time::timeout(LONG, node.ended()).await {
        Ok(End::Failed(why)) => why,
        other => panic!("it should have failed: {other:?}, {:?}", node.agreement()),
    }
}

fn comparisons(node: &RaftNode) -> u64 {
    node.counters().state_comparisons.load(Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_state_is_wrong_ends_and_the_others_go_on() {
    let mut cluster = with_a_drifting_first(3).await;
    // Whether it leads or follows: the command goes to the leader.
    cluster.seats[1].propose(DRIFT.to_vec()).await.unwrap();
    let node = cluster.seats[0].node().clone();
    let why = failure(&node).await;
    assert!(why.contains("the state of this node is wrong") && why.contains("2 other nodes agree"), "{why}");
    assert!(!node.leads());
    node.propose(put(1, "x"), WITHIN).await.unwrap_err();
    node.linearize(WITHIN).await.unwrap_err();
    cluster.seats[0].kill().await;

    let leader = cluster.leader("a leader among those that are right");
    cluster.seats[leader].propose(put(1, "y")).await.unwrap();
    cluster.agree();
    // It may have ended before the others heard of its state. If they did, they know that it is not theirs that is wrong.
    for seat in &cluster.seats[1..] {
        let sure = || (!seat.node().agreement().is_in_doubt()).then_some(());
        cluster.until("no doubt among those that agree", sure);
        assert_eq!(seat.node().fault(), None);
    }

    // Its state does not get better by being started anew.
    cluster.seats[0].start().await;
    failure(&cluster.seats[0].node().clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_that_differ_say_so_once_and_go_on() {
    let cluster = with_a_drifting_first(2).await;
    cluster.seats[0].propose(DRIFT.to_vec()).await.unwrap();
    for seat in &cluster.seats {
        let node = seat.node();
        cluster.until("a doubt", || node.agreement().is_in_doubt().then_some(()));
        let before = comparisons(node);
        cluster.until("more comparisons", || (comparisons(node) >= before + 3).then_some(()));
        assert_eq!(node.counters().state_differences.load(Ordering::Relaxed), 1);
        assert_eq!(node.fault(), None);
    }
    cluster.seats[1].propose(put(1, "x")).await.unwrap();
    // What made them differ is written over by the same on both: the states are equal again.
    cluster.seats[0].propose(put(u64::MAX, "x")).await.unwrap();
    let equal = || cluster.seats.iter().all(|seat| seat.node().agreement().differing.is_empty());
    cluster.until("equal states", || equal().then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_compared_while_they_are_written_to_and_know_how_far_the_others_are() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader("a leader");
    let before: Vec<u64> = cluster.seats.iter().map(|seat| comparisons(seat.node())).collect();
    let compared =
        || cluster.seats.iter().zip(&before).all(|(seat, before)| comparisons(seat.node()) > before + 4);
    let writing = async {
        for key in 0.. {
            if compared() {
                return;
            }
            cluster.seats[leader].propose(put(key, "x")).await.unwrap();
        }
    };
    tokio::time::timeout(LONG, writing).await.unwrap();
    for seat in &cluster.seats {
        let agreement = seat.node().agreement();
        assert!(agreement.differing.is_empty(), "{agreement:?}");
        assert_eq!(agreement.told.len(), 2, "{agreement:?}");
        assert_eq!(seat.node().fault(), None);
    }
}
