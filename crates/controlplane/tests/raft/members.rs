//! Joining, promoting, removing, replacing, moving; and what is refused.

use std::time::Duration;

use aegis_controlplane::raft::backup::backup;
use aegis_controlplane::raft::changes::Change;
use aegis_controlplane::raft::membership::MemberError;
use aegis_controlplane::raft::timings::Timings;
use aegis_raft_store::backup::restore;
use aegis_raft_store::store::StoreOptions;
use aegis_raft_store::types::Peer;

use crate::cluster::{CLUSTER, Cluster, Seat, WITHIN, timings};
use crate::machine::{Pairs, get, put};

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_receives_a_large_snapshot_while_the_others_serve() {
    let small = Timings { snapshot_entries: 40, kept_entries: 5, ..timings() };
    let mut cluster = Cluster::start_with(1, small.clone(), |_, _| ()).await;
    // Some 20 MiB, most of which the log has no more.
    for key in 0..80 {
        cluster.seats[0].propose(put(key, vec![7; 256 << 10])).await.unwrap();
    }
    // Without its beginning the log is no use to a new node.
    cluster.until("a snapshot, and the log's beginning to go", || {
        let metrics = cluster.seats[0].node().raft().metrics();
        let purged = metrics.borrow().purged.is_some_and(|id| id.index > 0);
        purged.then_some(())
    });
    let at = cluster.seat(small).await;
    let members = cluster.seats[0].node().members();
    let id = members.join(cluster.seats[at].peer(), WITHIN).await.unwrap();
    let writing = async {
        for key in 0..40 {
            cluster.seats[0].propose(put(1_000 + key, "meanwhile")).await.unwrap();
        }
    };
    let (_, caught_up) = tokio::join!(writing, members.caught_up(id, WITHIN));
    caught_up.unwrap();
    cluster.agree();
    assert!(cluster.seats[at].node().status().snapshot_index > 0, "it came as a snapshot");
    assert_eq!(get(cluster.seats[at].store(), 79).unwrap().len(), 256 << 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_node_is_replaced_and_its_id_never_comes_back() {
    let mut cluster = Cluster::start(3).await;
    let dead = (cluster.leader("a leader") + 1) % 3;
    let id = cluster.seats[dead].id();
    cluster.seats[dead].kill().await;
    let at = cluster.seat(timings()).await;
    let members = cluster.seats[cluster.leader("a leader")].node().members();
    let new = members.join(cluster.seats[at].peer(), WITHIN).await.unwrap();
    members.caught_up(new, WITHIN).await.unwrap();
    members.replace(id, new, WITHIN).await.unwrap();
    let status = cluster.seats[at].node().status();
    cluster.until("the new node to be a voter", || cluster.seats[at].node().status().voter.then_some(()));
    assert!(
        !cluster.seats[cluster.leader("a leader")].node().status().members.contains_key(&id),
        "{status:?}"
    );
    assert_eq!(members.remove(id, WITHIN).await, Err(MemberError::Removed(id)));

    // It comes back with its data, is refused, and cannot disturb.
    cluster.seats[dead].start().await;
    let joined = members.join(cluster.seats[dead].peer(), WITHIN).await;
    assert_eq!(joined, Err(MemberError::HasData(id)));
    cluster.seats[at].propose(put(1, "x")).await.unwrap();
    let alone = cluster.seats[dead].node().propose(put(1, "y"), Duration::from_millis(500)).await;
    assert!(alone.is_err(), "a removed node proposes nothing");

    // Emptied, it has another id and is welcome.
    cluster.seats[dead].wipe().await;
    cluster.seats[dead].start().await;
    let again = members.join(cluster.seats[dead].peer(), WITHIN).await.unwrap();
    assert_ne!(again, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_harm_the_cluster_is_refused() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader("a leader");
    let members = cluster.seats[leader].node().members();
    let others: Vec<usize> = (0..3).filter(|at| *at != leader).collect();
    let follower = &cluster.seats[others[0]];
    let id = follower.id();

    let elsewhere = follower.node().members().remove(id, WITHIN).await;
    assert_eq!(elsewhere, Err(MemberError::NotLeader(Some(cluster.seats[leader].peer()))));
    assert_eq!(
        follower.node().members().initialize(follower.peer()).await,
        Err(MemberError::AlreadyInitialized)
    );
    assert_eq!(members.remove(7, WITHIN).await, Err(MemberError::UnknownNode(7)));
    assert_eq!(members.promote(id, WITHIN).await, Err(MemberError::AlreadyVoter(id)));
    assert_eq!(members.promote(7, WITHIN).await, Err(MemberError::UnknownNode(7)));
    let name = MemberError::NameTaken(follower.name.clone());
    assert_eq!(members.join(follower.peer(), WITHIN).await, Err(name));
    let address = Peer { name: "control-9".to_owned(), ..follower.peer() };
    assert_eq!(members.join(address.clone(), WITHIN).await, Err(MemberError::AddressTaken(address.address)));
    for (name, address) in
        [("Control", "https://127.0.0.1:1"), ("c", "127.0.0.1:1"), ("c", "http://127.0.0.1:1")]
    {
        let bad = Peer { name: name.to_owned(), address: address.to_owned() };
        assert_eq!(members.join(bad, WITHIN).await.unwrap_err().code(), "bad_peer", "{name} {address}");
    }
    let nobody = Peer { name: "control-9".to_owned(), address: "https://127.0.0.1:1".to_owned() };
    assert_eq!(members.join(nobody, WITHIN).await.unwrap_err().code(), "node_unreachable");

    // One of three is down: another one must stay.
    cluster.seats[others[0]].kill().await;
    let left = cluster.seats[others[1]].id();
    let refused = members.remove(left, WITHIN).await;
    assert_eq!(refused, Err(MemberError::QuorumLost { voters: 2, alive: 1, needed: 2 }));
    // The dead one may go, and then the other has to stay.
    members.remove(id, WITHIN).await.unwrap();
    let seat = &cluster.seats[others[1]];
    seat.propose(put(1, "x")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_removes_itself_and_another_one_leads() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader("a leader");
    let id = cluster.seats[leader].id();
    cluster.seats[leader].node().members().remove(id, WITHIN).await.unwrap();
    let second = cluster
        .until("another leader", || (0..3).find(|at| *at != leader && cluster.seats[*at].node().leads()));
    cluster.seats[second].propose(put(1, "x")).await.unwrap();
    assert!(!cluster.seats[leader].node().leads());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_moves_to_another_address() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader("a leader");
    let at = (leader + 1) % 3;
    let id = cluster.seats[at].id();
    let members = cluster.seats[leader].node().members();
    let third = &cluster.seats[(leader + 2) % 3];
    let taken = members.move_to(id, third.peer().address, WITHIN).await;
    assert_eq!(taken.unwrap_err().code(), "address_taken");
    cluster.seats[at].kill().await;
    cluster.seats[at].forget_address();
    cluster.seats[at].start().await;
    let address = cluster.seats[at].peer().address;
    members.move_to(id, address.clone(), WITHIN).await.unwrap();
    cluster.seats[at].propose(put(1, "x")).await.unwrap();
    cluster.agree();
    assert_eq!(cluster.seats[leader].node().status().members[&id].0.address, address);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_made_while_serving_and_becomes_a_cluster_of_its_own() {
    let cluster = Cluster::start(3).await;
    let follower = cluster.seats.iter().find(|seat| !seat.node().leads()).unwrap();
    cluster.seats[0].propose(put(1, "kept")).await.unwrap();
    let file = follower.path("backup");
    let head = backup(follower.node(), follower.store(), &file, WITHIN).await.unwrap();
    cluster.seats[0].propose(put(1, "later")).await.unwrap();

    let mut seat = Seat::new(&cluster.authority, "control-1", timings());
    let options = StoreOptions { cluster_id: Some(CLUSTER.parse().unwrap()), ..StoreOptions::default() };
    let peer = Peer { name: seat.name.clone(), address: "https://127.0.0.1:1".to_owned() };
    let restored = restore(&seat.path("new"), &file, peer, &options, &Pairs).unwrap();
    assert_eq!((restored.history, restored.backup), (head.history + 1, head));
    seat.use_folder("new");
    seat.start().await;
    assert_eq!(seat.id(), restored.node_id);
    cluster.until("the restored node to lead", || seat.node().leads().then_some(()));
    let done = seat.propose(put(1, "new")).await.unwrap();
    assert_eq!(done.response, b"kept", "it goes on from the backup");
    let history = seat.store().applied().borrow().history;
    assert_eq!(history, restored.history);
    // The old cluster's nodes do not know it, and it does not know them.
    let id = cluster.seats[0].id();
    assert!(!seat.node().status().members.contains_key(&id));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_membership_is_changed_from_any_node() {
    let mut cluster = Cluster::start(3).await;
    let at = cluster.seat(timings()).await;
    let leader = cluster.leader("a leader");
    let follower = cluster.seats[(leader + 1) % 3].node().clone();
    let peer = cluster.seats[at].peer();
    let id = follower.change_members(Change::Join(peer.clone())).await.unwrap();
    assert_eq!(id, cluster.seats[at].id());
    assert_eq!(follower.status().members[&id], (peer.clone(), false), "shown where it was asked for");
    assert_eq!(follower.change_members(Change::Promote(id)).await, Ok(id));
    assert_eq!(follower.status().members[&id], (peer.clone(), true));

    // What the leader refuses is refused here, in its words.
    let again = follower.change_members(Change::Promote(id)).await.unwrap_err();
    assert!(again.already && again.code == "already_voter" && !again.in_doubt, "{again:?}");
    let unknown = follower.change_members(Change::Remove(7)).await.unwrap_err();
    assert_eq!((unknown.code.as_str(), unknown.retryable), ("unknown_node", false));
    let own = cluster.seats[leader].node().change_members(Change::Remove(7)).await;
    assert_eq!(own, Err(unknown));

    assert_eq!(follower.change_members(Change::Remove(id)).await, Ok(id));
    assert!(!follower.status().members.contains_key(&id));
    let removed = follower.change_members(Change::Remove(id)).await.unwrap_err();
    assert!(removed.already && removed.code == "removed_node", "{removed:?}");
}
