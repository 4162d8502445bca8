//! A leader is lost, a follower comes back, a quorum is missing.

use std::time::Duration;

use aegis_controlplane::raft::{NotAccepted, ProposeError};
use futures_util::future::join_all;
use tokio::sync::watch;

use crate::cluster::{Cluster, WITHIN};
use crate::machine::{count_one, counted, get, put};

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_leader_is_replaced_and_comes_back_as_a_follower() {
    let mut cluster = Cluster::start(3).await;
    let first = cluster.leader("a leader");
    cluster.seats[first].propose(put(1, "before")).await.unwrap();
    cluster.seats[first].kill().await;
    let second = cluster.leader("another leader");
    assert_ne!(first, second);
    let other = (0..3).find(|at| ![first, second].contains(at)).unwrap();
    cluster.seats[other].propose(put(1, "meanwhile")).await.unwrap();
    cluster.seats[first].start().await;
    let done = cluster.seats[first].propose(put(1, "after")).await.unwrap();
    assert_eq!(done.response, b"meanwhile");
    cluster.agree();
    assert_eq!(get(cluster.seats[first].store(), 1).unwrap(), b"after");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_wait_through_an_election() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader("a leader");
    let asked = (leader + 1) % 3;
    cluster.seats[leader].kill().await;
    // Nobody leads now; the command waits within its time.
    cluster.seats[asked].propose(put(1, "x")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_stop_in_order_and_come_back_with_everything() {
    let mut cluster = Cluster::start(3).await;
    for key in 0..20 {
        cluster.seats[0].propose(put(key, "kept")).await.unwrap();
    }
    for seat in &mut cluster.seats {
        seat.stop().await;
    }
    for seat in &mut cluster.seats {
        seat.start().await;
    }
    cluster.leader("a leader after the restart");
    let read = &cluster.seats[2];
    read.node().linearize(WITHIN).await.unwrap();
    assert!((0..20).all(|key| get(read.store(), key).unwrap() == b"kept"));
    cluster.agree();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_a_command_is_in_doubt_or_surely_not_accepted() {
    let mut cluster = Cluster::start(3).await;
    let short = Duration::from_millis(300);
    let mut rounds = 0;
    let (leader, node) = loop {
        let leader = cluster.leader("a leader");
        let killed = cluster.seats.iter_mut().enumerate().filter(|(at, _)| *at != leader);
        join_all(killed.map(|(_, seat)| seat.kill())).await;
        // The leader does not know yet that it is alone: it takes the command, and cannot say what becomes of it.
        let node = cluster.seats[leader].node().clone();
        let (doubtful, read) = tokio::join!(node.propose(put(1, "doubtful"), short), node.linearize(short));
        assert!(read.is_err(), "a leader that cannot ask a quorum does not know what others have written");
        match doubtful {
            Err(ProposeError::Unknown) => break (leader, node),
            // On a busy machine it may have noticed before it was asked.
            Err(ProposeError::NotAccepted(_)) if rounds < 10 => rounds += 1,
            other => panic!("{other:?} after {rounds} rounds"),
        }
        for at in (0..3).filter(|at| *at != leader) {
            cluster.seats[at].start().await;
        }
    };
    cluster.until("the leader to notice that nobody answers", || (!node.leads()).then_some(()));
    // From then on it takes nothing, and says so.
    let late = Err(ProposeError::NotAccepted(NotAccepted::TooLate));
    assert_eq!(node.propose(put(2, "refused"), short).await, late);
    assert!(node.linearize(short).await.is_err(), "no quorum, no linearizable read");
    for at in (0..3).filter(|at| *at != leader) {
        cluster.seats[at].start().await;
    }
    cluster.seats[leader].propose(put(3, "x")).await.unwrap();
    cluster.agree();
    assert_eq!(get(cluster.seats[leader].store(), 2), None, "what was not accepted is not there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_node_refuses_what_waits() {
    let mut cluster = Cluster::start(1).await;
    let node = cluster.seats[0].node().clone();
    cluster.seats[0].stop().await;
    let refused = node.propose(put(1, "x"), WITHIN).await;
    assert_eq!(refused, Err(ProposeError::NotAccepted(NotAccepted::Stopped)));
    assert_eq!(node.ended().await, aegis_controlplane::raft::node::End::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_is_applied_twice_and_none_that_was_not_accepted_is() {
    const CLIENTS: usize = 32;
    let mut cluster = Cluster::start(3).await;
    let (mut done, mut doubtful) = (0, 0);
    for _round in 0..3 {
        let leader = cluster.leader("a leader");
        let nodes: Vec<_> = cluster.seats.iter().map(|seat| seat.node().clone()).collect();
        let answered = watch::Sender::new(0);
        let clients = (0..CLIENTS).map(|client| {
            let (node, answered) = (nodes[client % 3].clone(), answered.clone());
            async move {
                let mut told = Vec::new();
                for _ in 0..25 {
                    told.push(node.propose(count_one(), Duration::from_secs(5)).await);
                    answered.send_modify(|count| *count += 1);
                }
                told
            }
        });
        let mut busy = answered.subscribe();
        // In the middle of it, so that there is always something under way.
        let kill = async {
            busy.wait_for(|count| *count > 10 * CLIENTS).await.unwrap();
            cluster.seats[leader].kill().await;
        };
        let (told, ()) = tokio::join!(join_all(clients), kill);
        for one in told.into_iter().flatten() {
            match one {
                Ok(_) => done += 1,
                Err(ProposeError::Unknown) => doubtful += 1,
                Err(ProposeError::NotAccepted(_)) => {}
            }
        }
        cluster.seats[leader].start().await;
        cluster.leader("a leader again");
    }
    cluster.seats[0].node().linearize(WITHIN).await.unwrap();
    let applied = counted(cluster.seats[0].store());
    assert!(
        done > 0 && (done..=done + doubtful).contains(&applied),
        "{applied} applied, {done} told so, {doubtful} in doubt"
    );
    cluster.agree();
}
