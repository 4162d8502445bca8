//! The leader is killed, or paused and woken again, while people write and agents ask.

use std::time::{Duration, Instant};

use rand::RngExt as _;
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::WHOLE_AGAIN;
use super::agents::Agents;
use super::standing::until_all_are_equal;
use super::writers::{Admin, Writers};
use crate::nodes::Cluster;
use crate::trials::figures::{figure, quantile};
use crate::trials::{any_moment, dice, rounds, runtime};

#[test]
fn writes_go_on_soon_after_the_leader_is_lost() {
    let mut dice = dice("leader-loss");
    let mut cluster = Cluster::running(3, 3);
    assert_eq!(cluster.publish(10), 1);
    cluster.done(&["policy", "activate", "1", "--tenant", "acme", "--wait", "30s"]);
    let token = cluster.token("finance-agent");
    let (runtime, rounds) = (runtime(), rounds(20));
    let admin = Admin::of(&cluster);
    let agents = {
        let _within = runtime.enter();
        Agents::start(&cluster, &token, 10, |_| true)
    };
    let mut waited = Vec::new();
    for round in 1..=rounds {
        any_moment(&mut dice, 300);
        let leader = cluster.leader();
        cluster.controls[leader].kill();
        waited.push(runtime.block_on(first_write(&admin, leader, round)).as_secs_f64());
        cluster.start_control(leader);
        cluster.controls[leader].until_ready();
    }
    let answered = runtime.block_on(agents.end());
    runtime.block_on(until_all_are_equal(&admin));
    figure("leader-loss/rounds", rounds as f64, "");
    figure("leader-loss/median", quantile(&waited, 0.5), "s");
    figure("leader-loss/worst", quantile(&waited, 1.0), "s");
    figure("leader-loss/answered", answered as f64, "decisions");
    figure("leader-loss/errors", 0.0, "decisions");
}

/// How long it takes until one of the control nodes that are left acknowledges a write that was sent after the leader's
/// end.
async fn first_write(admin: &Admin, leader: usize, round: u64) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
    let began = Instant::now();
    let mut writers = JoinSet::new();
    for at in (0..3).filter(|at| *at != leader) {
        let admin = admin.clone();
        writers.spawn(async move {
            for turn in 0.. {
                let body = json!({"name": format!("l{round}-{at}-{turn}")});
                let path = "/tenants/acme/agents";
                if matches!(admin.ask(at, Method::POST, path, None, Some(body)).await, Ok((status, _)) if status.is_success()) {
                    return;
                }
                // expect(sleep): a refused writer tries again; nothing tells it when a leader is there.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }
    let first = tokio::time::timeout(WHOLE_AGAIN, writers.join_next()).await;
    first.expect("a write in time").expect("a writer").expect("a writer that ended well");
    began.elapsed()
}

#[test]
fn a_leader_that_wakes_up_accepts_nothing_for_another() {
    let mut dice = dice("paused leader");
    let mut cluster = Cluster::running(3, 3);
    assert_eq!(cluster.publish(10), 1);
    cluster.done(&["policy", "activate", "1", "--tenant", "acme", "--wait", "30s"]);
    let token = cluster.token("finance-agent");
    let runtime = runtime();
    let admin = Admin::of(&cluster);
    let writers = runtime.block_on(Writers::start(&admin));
    let agents = {
        let _within = runtime.enter();
        Agents::start(&cluster, &token, 10, |_| true)
    };
    for _ in 1..=rounds(20) {
        any_moment(&mut dice, 300);
        let leader = cluster.leader();
        cluster.controls[leader].signal("STOP");
        // Now and then it wakes before the others have noticed.
        if dice.random_range(0..4) == 0 {
            any_moment(&mut dice, 600);
        } else {
            runtime.block_on(writers.go_on(20, WHOLE_AGAIN));
        }
        cluster.controls[leader].signal("CONT");
        runtime.block_on(writers.go_on(20, WHOLE_AGAIN));
    }
    runtime.block_on(writers.end());
    runtime.block_on(agents.end());
    runtime.block_on(until_all_are_equal(&admin));
}
