//! What data nodes have put into force, known at every control node.

use std::sync::Arc;

use aegis_controlplane::raft::standings::Standings;
use aegis_proto::v1::RaftStanding;

use crate::cluster::{Cluster, WITHIN};

/// One data node, which has put one activation into force.
struct One(u64);

impl Standings for One {
    fn standings(&self, tenant: &str) -> Vec<RaftStanding> {
        let standing = RaftStanding { node: self.0, activation: 10 + self.0, ..Default::default() };
        if tenant == "acme" { vec![standing] } else { Vec::new() }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_node_knows_what_the_others_know_and_a_dead_one_holds_up_nobody() {
    let mut cluster = Cluster::start(3).await;
    cluster.leader("a leader");
    for (seat, data_node) in cluster.seats.iter().zip(1..) {
        seat.node().answer_standings(Arc::new(One(data_node)));
    }
    let node = cluster.seats[0].node().clone();
    let asked = async |tenant: &str| {
        let mut found = node.standings_elsewhere(tenant, WITHIN).await;
        found.sort_by_key(|it| it.node);
        found.into_iter().map(|it| (it.node, it.activation)).collect::<Vec<_>>()
    };
    assert_eq!(asked("acme").await, [(2, 12), (3, 13)]);
    assert_eq!(asked("globex").await, []);
    cluster.seats[2].kill().await;
    assert_eq!(asked("acme").await, [(2, 12)]);
}
