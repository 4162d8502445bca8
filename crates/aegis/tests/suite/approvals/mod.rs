//! A person agrees to exactly one call: story 1 on a cluster of processes, and redemptions that race (APR-1).
//!
//! `cargo xtask bar redemptions` runs the whole of the race, through the variables of [`crate::trials`] and
//! `AEGIS_FAULTS_CLIENTS`: how many redeem one token at once.

#![expect(clippy::panic, reason = "an answer that may not be ends a test")]

mod channels;
mod people;
mod races;
mod story;

use std::fs;

use aegis_testkit::eventually;
use serde_json::{Value, json};

use crate::nodes::Cluster;
use crate::support::{Answer, LONG, decide};

/// Payments up to 5,000 go through, above a `finance-lead` has to agree.
const POLICY: &str = "agents: ['finance-agent', 'agent-*']\nallowed_tools:\n- name: stripe-payments\n  actions: [create_payment]\n  \
                      conditions: {max_amount: 5000, approval_needed: true}\n  approval: {by: [finance-lead], within: 30m}\n";

/// A cluster whose administrator is a `finance-lead`, with the policy in force.
fn cluster() -> Cluster {
    let cluster = Cluster::running(3, 3);
    cluster.done(&["role", "grant", "admin", "finance-lead", "--scope", "acme"]);
    enforce(&cluster, POLICY);
    cluster
}

/// Puts a policy of one document into force at every data node.
fn enforce(cluster: &Cluster, document: &str) {
    let folder = cluster.path("approvals");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("p.yaml"), document).expect("a file");
    let folder = folder.to_str().expect("UTF-8");
    let published = cluster.done(&["policy", "publish", folder, "--tenant", "acme"]);
    let version = published["version"]["number"].to_string();
    cluster.done(&["policy", "activate", &version, "--tenant", "acme", "--wait", "30s"]);
}

/// A payment with an override token.
fn with_token(amount: u32, token: &str) -> Value {
    let mut call = crate::support::payment(amount);
    call["override_token"] = json!(token);
    call
}

/// What a data node answers an agent.
fn ask(cluster: &Cluster, data: usize, agent: &str, call: &Value) -> Answer {
    decide(cluster.data[data].http, agent, call)
}

/// The same once the node can say: after a fault it may still be looking for a control node, and answers 503, for which nothing is
/// released.
fn ask_for_good(cluster: &Cluster, data: usize, agent: &str, call: &Value) -> Answer {
    let told = || Some(ask(cluster, data, agent, call)).filter(|answer| answer.status != 503);
    eventually("an answer for good", LONG, told).expect("an answer for good")
}

/// Every control node is killed, and started again.
fn kill_all_control_nodes(cluster: &mut Cluster) {
    cluster.controls.iter_mut().for_each(crate::nodes::Node::kill);
    for at in 0..cluster.controls.len() {
        cluster.start_control(at);
    }
    cluster.controls.iter_mut().for_each(crate::nodes::Node::until_ready);
}
