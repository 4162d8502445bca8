//! The control plane's own state over Raft: `Control` on every node, and the new history after a restore.

use std::sync::Arc;

use aegis_controlplane::command::actor::Actor;
use aegis_controlplane::control::{Control, ProposeError};
use aegis_controlplane::machine::ControlMachine;
use aegis_controlplane::raft::replicate::{ControlState, Replicated};
use aegis_controlplane::state::{members, meta};
use aegis_controlplane::testing::World;
use aegis_proto::control::{CreateTenant, InitCluster};
use aegis_raft_store::backup::restore;
use aegis_raft_store::store::StoreOptions;
use aegis_raft_store::types::Peer;

use crate::cluster::{CLUSTER, Cluster, Seat, WITHIN, timings};

pub(crate) fn control(seat: &Seat) -> Control {
    Control::new(Replicated::new(seat.node().clone(), seat.store().clone(), "1.2.3").unwrap())
}

pub(crate) fn use_control(_: usize, seat: &mut Seat) {
    seat.machine = Arc::new(ControlMachine);
    seat.local = |store| ControlState::new(store.clone());
}

pub(crate) fn init() -> InitCluster {
    InitCluster {
        cluster_id: "test-cluster".to_owned(),
        level: 1,
        keys: World::first_keys(),
        admin: "root".to_owned(),
        token_id: "first".to_owned(),
        token_expires_ms: aegis_model::clock::Clock::System.now().0 / 1_000_000 + 3_600_000,
    }
}

pub(crate) fn tenant(id: &str) -> CreateTenant {
    CreateTenant { name: id.to_owned(), ..CreateTenant::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_changes_and_reads_the_control_planes_state() {
    let cluster = Cluster::start_with(3, timings(), use_control).await;
    let controls: Vec<Control> = cluster.seats.iter().map(control).collect();
    let root = World::root();
    controls[1].propose(init(), &Actor::ControlNode(cluster.seats[1].id())).await.unwrap();
    for (at, control) in controls.iter().enumerate() {
        control.propose(tenant(&format!("t-{at}")), &root).await.unwrap();
        let refused = controls[(at + 1) % 3].propose(tenant(&format!("t-{at}")), &root).await.unwrap_err();
        assert!(matches!(refused, ProposeError::Refused(_)), "{refused}");
    }
    for control in &controls {
        let view = control.read().await.unwrap();
        assert_eq!(meta::counters(&view).unwrap().tenants, 3);
        let mut applied = control.applied();
        let applied = applied.wait_for(|it| it.history == 1 && it.log_time_ms > 0).await.unwrap();
        assert!(applied.index > 0);
    }
    // Each announces itself.
    for seat in &cluster.seats {
        let row = cluster
            .until("the node's row", || members::member(&controls[0].view().unwrap(), seat.id()).unwrap());
        assert_eq!(
            (row.name, row.address, row.software.as_str()),
            (seat.name.clone(), seat.peer().address, "1.2.3")
        );
    }
    // And is marked when it goes.
    let leader = cluster.leader("a leader");
    let gone = cluster.seats[(leader + 1) % 3].id();
    cluster.seats[leader].node().members().remove(gone, WITHIN).await.unwrap();
    let view = controls[leader].read().await.unwrap();
    assert!(members::member(&view, gone).unwrap().unwrap().retired_ms > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_cluster_begins_a_new_history_before_it_takes_anything() {
    let cluster = Cluster::start_with(1, timings(), use_control).await;
    let seat = &cluster.seats[0];
    let old = control(seat);
    old.propose(init(), &Actor::ControlNode(seat.id())).await.unwrap();
    old.propose(tenant("kept"), &World::root()).await.unwrap();
    let file = seat.path("backup");
    seat.store().write_backup(&file).await.unwrap();

    let mut new = Seat::new(&cluster.authority, "control-1", timings());
    use_control(0, &mut new);
    let options = StoreOptions { cluster_id: Some(CLUSTER.parse().unwrap()), ..StoreOptions::default() };
    let peer = Peer { name: new.name.clone(), address: "https://127.0.0.1:1".to_owned() };
    restore(&new.path("new"), &file, peer, &options, &ControlMachine).unwrap();
    new.use_folder("new");
    new.start().await;
    let restored = control(&new);
    assert_eq!(restored.applied().borrow().history, 2, "nobody sees it in the old history");
    cluster
        .until("the new history", || (meta::history(&restored.view().unwrap()).unwrap() == 2).then_some(()));
    restored.propose(tenant("new"), &World::root()).await.unwrap();
    assert_eq!(meta::counters(&restored.read().await.unwrap()).unwrap().tenants, 2);
    assert_eq!(restored.applied().borrow().history, 2);
}
