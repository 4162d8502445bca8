//! How far the object store is: known to the leader, and told by every node.

use std::sync::Arc;

use aegis_controlplane::raft::object_store::{NotTold, StoreKeeper};
use aegis_proto::v1::RaftObjectStore;

use crate::cluster::{Cluster, WITHIN};

/// The store that one node keeps.
struct Place(String);

impl StoreKeeper for Place {
    fn kept(&self) -> Option<RaftObjectStore> {
        Some(RaftObjectStore { place: self.0.clone(), pending: 3, ..Default::default() })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_tells_what_the_leader_knows() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader("a leader");
    let told =
        async |cluster: &Cluster, at: usize| cluster.seats[at].node().object_store_at_leader(WITHIN).await;
    assert_eq!(told(&cluster, (leader + 1) % 3).await, Ok(None), "the leader keeps none");
    for seat in &cluster.seats {
        seat.node().answer_object_store(Arc::new(Place(seat.name.clone())));
    }
    for at in 0..3 {
        let store = told(&cluster, at).await.unwrap().unwrap();
        assert_eq!((store.place.as_str(), store.pending), (cluster.seats[leader].name.as_str(), 3));
    }

    // It moves with leadership, and without a leader nobody knows.
    cluster.seats[leader].kill().await;
    let next = cluster.leader("another leader");
    let left = 3 - leader - next;
    let place = cluster.until("the word of the new leader", || {
        let told = tokio::runtime::Handle::current().block_on(told(&cluster, left));
        told.ok().flatten().map(|store| store.place)
    });
    assert_eq!(place, cluster.seats[next].name);
    cluster.seats[next].kill().await;
    cluster.until("nobody to be left who leads", || {
        let told = tokio::runtime::Handle::current().block_on(told(&cluster, left));
        matches!(told, Err(NotTold::NoLeader)).then_some(())
    });
}
