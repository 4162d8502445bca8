//! Commands from any node, in few entries, each with its own answer.

use std::sync::atomic::Ordering;

use aegis_controlplane::raft::{NotAccepted, ProposeError};
use aegis_model::caps;
use futures_util::future::join_all;

use crate::cluster::Cluster;
use crate::machine::{get, put};

#[tokio::test(flavor = "multi_thread")]
async fn every_node_takes_commands_and_all_apply_them() {
    let cluster = Cluster::start(3).await;
    let mut last = 0;
    for (key, seat) in (1..).zip(&cluster.seats) {
        let first = seat.propose(put(key, "one")).await.unwrap();
        let second = seat.propose(put(key, "two")).await.unwrap();
        assert_eq!(
            (first.response.as_slice(), second.response.as_slice()),
            (b"".as_slice(), b"one".as_slice())
        );
        assert!(last < first.index && first.index < second.index);
        last = second.index;
    }
    cluster.agree();
    for seat in &cluster.seats {
        assert_eq!(get(seat.store(), 3).unwrap(), b"two");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_at_the_same_time_share_entries_and_get_their_own_answers() {
    const COMMANDS: u64 = 2_000;
    let cluster = Cluster::start(3).await;
    let leader = &cluster.seats[cluster.leader("a leader")];
    let follower = cluster.seats.iter().find(|seat| !seat.node().leads()).unwrap();
    for seat in [leader, follower] {
        let before = (leader.store().counters(), leader.node().counters().entries.load(Ordering::Relaxed));
        join_all((0..COMMANDS).map(|key| seat.propose(put(key, key.to_string()))))
            .await
            .into_iter()
            .for_each(|done| drop(done.unwrap()));
        let again = join_all((0..COMMANDS).map(|key| seat.propose(put(key, "again")))).await;
        for (key, done) in again.into_iter().enumerate() {
            assert_eq!(
                done.unwrap().response,
                key.to_string().into_bytes(),
                "{} got another's answer",
                seat.name
            );
        }
        join_all((0..COMMANDS).map(|key| seat.propose(put(key, ""))))
            .await
            .into_iter()
            .for_each(|it| drop(it.unwrap()));
        let after = (leader.store().counters(), leader.node().counters().entries.load(Ordering::Relaxed));
        let entries = after.1 - before.1;
        assert!(
            entries <= 3 * COMMANDS / 20,
            "{entries} entries for {} commands at {}",
            3 * COMMANDS,
            seat.name
        );
        let synced = after.0.log_synced - before.0.log_synced;
        assert!(synced <= entries + 200, "{synced} synced transactions for {entries} entries");
    }
    cluster.agree();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_too_large_is_refused_and_a_full_entry_is_replicated() {
    let cluster = Cluster::start(3).await;
    let seat = cluster.seats.iter().find(|seat| !seat.node().leads()).unwrap();
    let largest = put(1, vec![7; caps::COMMAND_BYTES_MAX - 8]);
    // More than an entry holds, and more than one message.
    let all = join_all((0..30).map(|_| seat.propose(largest.clone()))).await;
    assert!(all.iter().all(Result::is_ok), "{:?}", all.iter().find(|one| one.is_err()));
    let refused = seat.propose([largest.as_slice(), b"x"].concat()).await;
    assert_eq!(refused, Err(ProposeError::NotAccepted(NotAccepted::TooLarge)));
    cluster.agree();
}

#[tokio::test(flavor = "multi_thread")]
async fn log_time_goes_on_without_commands_and_a_quorum_confirms_it() {
    let cluster = Cluster::start(3).await;
    for seat in &cluster.seats {
        let now = seat.node().status().log_time_ms;
        cluster.until("log time to tick on", || (seat.node().status().log_time_ms > now + 400).then_some(()));
    }
    let leader = &cluster.seats[cluster.leader("a leader")];
    assert!(leader.node().counters().ticks.load(Ordering::Relaxed) > 0);
    let wall_ms = aegis_model::clock::Clock::System.now().0 / 1_000_000;
    cluster.until("log time to be what the clock shows", || {
        (wall_ms.saturating_sub(1_000) < leader.node().status().log_time_ms).then_some(())
    });
}
