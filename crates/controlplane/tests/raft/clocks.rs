//! A clock that is off does not lead.

use aegis_controlplane::raft::Verdict;
use aegis_model::clock::UnixNanos;

use crate::cluster::{Cluster, clock_off_by, timings};
use crate::machine::put;

const FIVE_MINUTES: i64 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_five_minutes_off_is_not_elected() {
    let mut cluster = Cluster::start_with(3, timings(), |at, seat| {
        if at == 2 {
            seat.clock = clock_off_by(FIVE_MINUTES);
        }
    })
    .await;
    let off = cluster.seats[2].node().clone();
    let ahead_ms =
        cluster.until("the third node to see that its clock is off", || match off.status().clock {
            Verdict::Off { ahead_ms } => Some(ahead_ms),
            Verdict::Unknown | Verdict::Fit => None,
        });
    assert!(ahead_ms > 200_000, "{ahead_ms}");
    let leader = cluster.leader("a leader");
    assert_ne!(leader, 2);
    // Only one of the two is left whose clock is right, and it wins.
    cluster.seats[leader].kill().await;
    assert_eq!(cluster.leader("another leader"), 1 - leader);
    cluster.seats[2].propose(put(1, "x")).await.unwrap();
    let now_ms = aegis_model::clock::Clock::System.now().0 / 1_000_000;
    assert!(off.status().log_time_ms <= now_ms + 5_000, "log time never was the third node's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_clock_jumps_leads_no_more_and_log_time_does_not_jump() {
    // All clocks stand still at the same moment, so that only what a test sets makes a difference.
    let now = clock_off_by(0).now();
    let cluster =
        Cluster::start_with(3, timings(), |_, seat| seat.clock = aegis_model::clock::Clock::manual(now))
            .await;
    let first = cluster.leader("a leader");
    cluster.seats[first].propose(put(1, "x")).await.unwrap();
    let seat = &cluster.seats[first];
    seat.clock.set(UnixNanos(now.0 + 300_000_000_000));
    let second = cluster.until("another leader", || {
        cluster.seats.iter().position(|other| other.name != seat.name && other.node().leads())
    });
    assert!(matches!(seat.node().status().clock, Verdict::Off { ahead_ms: 299_000.. }));
    // The node still takes commands for the others, and follows.
    seat.propose(put(1, "y")).await.unwrap();
    cluster.agree();
    let log_time_ms = cluster.seats[second].node().status().log_time_ms;
    assert!(log_time_ms < now.0 / 1_000_000 + 120_000, "log time jumped with the clock");
    seat.clock.set(now);
    cluster
        .until("the clock to be right again", || (seat.node().status().clock == Verdict::Fit).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_long_sleep_of_all_log_time_catches_up() {
    let now = clock_off_by(0).now();
    let cluster =
        Cluster::start_with(3, timings(), |_, seat| seat.clock = aegis_model::clock::Clock::manual(now))
            .await;
    cluster.leader("a leader");
    cluster.seats[0].propose(put(1, "x")).await.unwrap();
    let later = UnixNanos(now.0 + 1_800_000_000_000);
    cluster.seats.iter().for_each(|seat| seat.clock.set(later));
    cluster.until("log time to have caught up", || {
        let node = cluster.seats[0].node();
        (node.status().log_time_ms >= later.0 / 1_000_000).then_some(())
    });
    cluster.agree();
}
