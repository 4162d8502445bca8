//! Linearizable reads: never stale, and cheap together.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;

use crate::cluster::{Cluster, WITHIN};
use crate::machine::{get, put};

#[tokio::test(flavor = "multi_thread")]
async fn a_read_sees_what_was_acknowledged_before_it() {
    let mut cluster = Cluster::start(3).await;
    for round in 0_u64..150 {
        if round == 70 {
            let leader = cluster.leader("a leader");
            cluster.seats[leader].kill().await;
        }
        let running: Vec<_> = cluster.seats.iter().filter(|seat| seat.is_running()).collect();
        let writer = running[round as usize % running.len()];
        let reader = running[(round as usize / 3) % running.len()];
        // What is in doubt after the leader was lost is written again.
        let mut index = None;
        while index.is_none() {
            index = writer.propose(put(1, round.to_be_bytes())).await.ok().map(|done| done.index);
        }
        let read = reader.node().linearize(WITHIN).await.unwrap();
        assert!(Some(read) >= index, "round {round}: read at {read}, written at {index:?}");
        assert_eq!(
            get(reader.store(), 1).unwrap(),
            round.to_be_bytes(),
            "round {round}: {} is stale",
            reader.name
        );
    }
}

/// The moment in which such a leader knows less than it has acknowledged is short: here it was not met without the remedy in
/// `raft/read.rs`, over real processes it was, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_back_before_there_is_another_reads_nothing_stale() {
    let mut cluster = Cluster::start(3).await;
    let mut led_on = 0;
    for round in 0_u64..25 {
        let leader = cluster.leader("a leader");
        let mut index = None;
        while index.is_none() {
            index =
                cluster.seats[leader].propose(put(1, round.to_be_bytes())).await.ok().map(|done| done.index);
        }
        cluster.seats[leader].kill().await;
        cluster.seats[leader].start().await;
        let seat = &cluster.seats[leader];
        let read = seat.node().linearize(WITHIN).await.unwrap();
        assert!(Some(read) >= index, "round {round}: read at {read}, written at {index:?}");
        assert_eq!(get(seat.store(), 1).unwrap(), round.to_be_bytes(), "round {round}");
        led_on += u32::from(cluster.leader("a leader") == leader);
    }
    assert!(led_on > 0, "none of them led on");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_at_the_same_time_share_rounds() {
    const READS: usize = 500;
    let cluster = Cluster::start(3).await;
    for seat in &cluster.seats {
        let rounds = || seat.node().counters().read_rounds.load(Ordering::Relaxed);
        let before = rounds();
        let all = join_all((0..READS).map(|_| seat.node().linearize(WITHIN))).await;
        assert!(all.iter().all(Result::is_ok), "{:?}", all.iter().find(|one| one.is_err()));
        let asked = rounds() - before;
        assert!(asked <= 20, "{asked} rounds for {READS} reads at {}", seat.name);
    }
}
