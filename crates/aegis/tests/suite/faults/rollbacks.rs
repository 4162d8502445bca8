//! A policy goes back and forth while agents ask: how soon every data node enforces it, and that no answer mixes versions.
//! And how soon a data node that was killed serves it again.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::agents::Agents;
use super::writers::Admin;
use crate::nodes::Cluster;
use crate::trials::figures::{figure, quantile};
use crate::trials::{number, rounds, runtime};

/// Allowed by version 2, denied by version 1.
const AMOUNT: u32 = 15;

/// How often a data node is killed and started again.
const RESTARTS: usize = 5;

#[test]
fn a_rollback_reaches_every_data_node_as_a_whole() {
    let mut cluster = Cluster::running(3, 3);
    let agents_of_policy = number("AEGIS_FAULTS_AGENTS", 20);
    assert_eq!(cluster.publish_for(agents_of_policy, 10), 1);
    assert_eq!(cluster.publish_for(agents_of_policy, 20), 2);
    let wait = ["--tenant", "acme", "--wait", "60s"];
    cluster.done(&[&["policy", "activate", "1"], &wait[..]].concat());
    cluster.done(&[&["policy", "activate", "2"], &wait[..]].concat());
    let token = cluster.token("finance-agent");
    let (runtime, rounds) = (runtime(), rounds(20));
    let admin = Admin::of(&cluster);
    let agents = {
        let _within = runtime.enter();
        Agents::start(&cluster, &token, AMOUNT, |version| version == 2)
    };
    let mut taken = Vec::new();
    for round in 0..rounds {
        let back = runtime.block_on(roll_back(&admin, usize::try_from(round).expect("few rounds")));
        taken.push(back.as_secs_f64() * 1e3);
    }
    let answered = runtime.block_on(agents.end());
    let restarts: Vec<f64> = (0..RESTARTS).map(|_| restart(&mut cluster, &token).as_secs_f64()).collect();
    figure("rollback/rounds", rounds as f64, "");
    figure("rollback/agents", agents_of_policy as f64, "");
    figure("rollback/p50", quantile(&taken, 0.5), "ms");
    figure("rollback/p99", quantile(&taken, 0.99), "ms");
    figure("rollback/answered", answered as f64, "decisions");
    figure("rollback/mixed", 0.0, "decisions");
    figure("rollback/restart_median", quantile(&restarts, 0.5), "s");
    figure("rollback/restart_worst", quantile(&restarts, 1.0), "s");
}

/// From the start of a data node that was killed until it has answered an agent.
fn restart(cluster: &mut Cluster, token: &str) -> Duration {
    cluster.data[0].kill();
    #[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
    let began = Instant::now();
    cluster.start_data(0);
    let answer = cluster.ask(0, token, 5);
    assert_eq!(answer.outcome(), "allow", "{answer:?}");
    began.elapsed()
}

/// From the request until the answer says that all three data nodes enforce it.
async fn roll_back(admin: &Admin, at: usize) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
    let began = Instant::now();
    let path = "/tenants/acme/rollback?wait=true";
    let mut answer = admin.lines(at, Method::POST, path, json!({})).await.expect("a rollback");
    let mut text = Vec::new();
    while let Some(piece) = answer.chunk().await.expect("the answer goes on") {
        text.extend_from_slice(&piece);
    }
    let last = text.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).unwrap_or_default();
    let last: Value = serde_json::from_slice(last).expect("a line of JSON");
    assert_eq!((&last["state"], &last["in_force"]), (&json!("done"), &json!(3)), "{last}");
    began.elapsed()
}
