//! Control nodes are killed, one at random or all at once, while people write and agents ask.

use rand::RngExt as _;

use super::WHOLE_AGAIN;
use super::agents::Agents;
use super::standing::until_all_are_equal;
use super::writers::{Admin, Writers};
use crate::nodes::Cluster;
use crate::trials::figures::figure;
use crate::trials::{any_moment, dice, rounds, runtime};

/// Of so many rounds one kills all control nodes.
const ALL_AT_ONCE: u64 = 10;

#[test]
fn nothing_acknowledged_is_lost_to_kills() {
    let mut dice = dice("kills");
    let mut cluster = Cluster::running(3, 3);
    assert_eq!(cluster.publish(10), 1);
    cluster.done(&["policy", "activate", "1", "--tenant", "acme", "--wait", "30s"]);
    let token = cluster.token("finance-agent");
    let (runtime, rounds) = (runtime(), rounds(20));
    let admin = Admin::of(&cluster);
    let writers = runtime.block_on(Writers::start(&admin));
    let agents = {
        let _within = runtime.enter();
        Agents::start(&cluster, &token, 10, |_| true)
    };
    for round in 1..=rounds {
        any_moment(&mut dice, 300);
        let victims = if round % ALL_AT_ONCE == 0 { 0..3 } else { one(dice.random_range(0..3)) };
        cluster.controls[victims.clone()].iter_mut().for_each(|node| node.kill());
        any_moment(&mut dice, 500);
        victims.clone().for_each(|at| cluster.start_control(at));
        victims.for_each(|at| cluster.controls[at].until_ready());
        runtime.block_on(writers.go_on(10, WHOLE_AGAIN));
    }
    let told = runtime.block_on(writers.end());
    let answered = runtime.block_on(agents.end());
    runtime.block_on(until_all_are_equal(&admin));
    figure("kills/rounds", rounds as f64, "");
    figure("kills/acknowledged", told.acknowledged as f64, "writes");
    figure("kills/in_doubt", told.in_doubt as f64, "writes");
    // Any lost or doubled write, or wrong answer, ended the test above.
    figure("kills/lost", 0.0, "writes");
    figure("kills/answered", answered as f64, "decisions");
}

fn one(at: usize) -> std::ops::Range<usize> {
    at..at + 1
}
