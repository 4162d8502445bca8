//! Lending over real replication: what was lent outlives the leader that lent it, and an ask under way is applied once.

use std::time::Duration;

use aegis_controlplane::command::actor::Actor;
use aegis_controlplane::control::Control;
use aegis_controlplane::lending::Lead;
use aegis_controlplane::raft::node::RaftNode;
use aegis_controlplane::state::{budgets, lender, limit_id::LimitId};
use aegis_controlplane::testing::World;
use aegis_model::clock::Clock;
use aegis_proto::control::{DataNode, RegisterDataNode, done};
use aegis_proto::v1;
use aegis_proto::v1::budget_answer::Outcome;
use aegis_proto::v1::lend_request::Message as Up;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cluster::{Cluster, timings};
use crate::control::{control, init, tenant, use_control};

#[path = "../lending/support.rs"]
#[expect(dead_code, reason = "the tests of lending itself use more of it")]
mod support;

use support::{ControlNode, hello};

const LIMIT: u64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lent_outlives_the_leader_that_lent_it() {
    let mut cluster = Cluster::start_with(3, timings(), use_control).await;
    let controls: Vec<Control> = cluster.seats.iter().map(control).collect();
    controls[0].propose(init(), &Actor::ControlNode(cluster.seats[0].id())).await.unwrap();
    controls[0].propose(tenant("acme"), &World::root()).await.unwrap();
    let row = registered(&controls[0], cluster.seats[0].id()).await;

    let mut watching = JoinSet::new();
    let mut lending = Vec::new();
    for (seat, control) in cluster.seats.iter().zip(&controls) {
        let node = ControlNode::over(control.clone(), &Clock::System, seat.id(), Lead::Nobody).await;
        watching.spawn(follow(seat.node().clone(), node.lead.clone()));
        lending.push(Some(node));
    }
    let leader = cluster.leader("a leader");
    let mut node = lending[leader].as_ref().unwrap().welcome(&hello(&row)).await;
    let key = World::budget_key("acme", "crawler", "usd");
    let first = node.granted(World::need(&key, LIMIT, 300)).await;

    // The leader dies with an ask under way; whether it was applied, nobody knows.
    let need = World::need(&key, LIMIT, 200);
    let ask = v1::LendAsk { number: 2, budgets: vec![need], ..v1::LendAsk::default() };
    node.say(Up::Ask(ask.clone())).await;
    cluster.seats[leader].kill().await;
    lending[leader] = None;
    let next = cluster.leader("another leader");
    let mut node = lending[next].as_ref().unwrap().welcome(&hello(&row)).await;
    let mut answers = Vec::new();
    for _ in 0..2 {
        node.say(Up::Ask(ask.clone())).await;
        answers.push(node.answer().await);
    }
    assert_eq!(answers[0], answers[1], "applied once, by whichever of the two");
    let Some(Outcome::Granted(second)) = &answers[0].budgets[0].outcome else { panic!("{answers:?}") };
    let view = controls[next].read().await.unwrap();
    let standing = budgets::budget(&view, &LimitId::budget(&key).unwrap()).unwrap().unwrap();
    assert_eq!(standing.granted, first.amount + second.amount, "LIM-1");
    assert_eq!(lender::lender(&view).unwrap().node, cluster.seats[next].id());

    // And what is left comes back to the new one.
    node.number = 2;
    node.give_back(&first, 100).await;
    let view = controls[next].read().await.unwrap();
    let standing = budgets::budget(&view, &LimitId::budget(&key).unwrap()).unwrap().unwrap();
    assert_eq!(standing.granted, first.amount + second.amount - 100);
}

async fn registered(control: &Control, id: u64) -> DataNode {
    let command = RegisterDataNode { id: 7, name: "data-7".to_owned(), ..RegisterDataNode::default() };
    match control.propose(command, &Actor::ControlNode(id)).await.unwrap().done.result {
        Some(done::Result::DataNode(row)) => row,
        other => panic!("{other:?}"),
    }
}

/// Tells a control node whether it leads.
async fn follow(raft: RaftNode, lead: watch::Sender<Lead>) {
    loop {
        let now = if raft.leads() { Lead::Here } else { Lead::Nobody };
        lead.send_if_modified(|known| std::mem::replace(known, now.clone()) != now);
        // expect(sleep): whether a leader has a quorum and a fit clock changes with time alone.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
