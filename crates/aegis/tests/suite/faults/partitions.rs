//! The leader is cut off from everybody but the data node beside it. Every control node has a network namespace of its
//! own, in one that the test makes for itself:
//!
//! ```text
//! hub: the test, its writers            10.77.0.1
//!   ├── c1: control-1, data-1           10.77.0.11
//!   ├── c2: control-2, data-2           10.77.0.12
//!   └── c3: control-3, data-3           10.77.0.13
//! ```

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use aegis_testkit::{TestProcess, eventually};

use super::WHOLE_AGAIN;
use super::standing::until_all_are_equal;
use super::writers::{Admin, Writers};
use crate::nodes::{Cluster, Place, Settings};
use crate::support::finish;
use crate::trials::figures::{figure, quantile};
use crate::trials::{any_moment, dice, rounds, runtime};

/// Set within the namespaces.
const INSIDE: &str = "AEGIS_FAULTS_INSIDE";

/// How long a data node goes on without news.
const STALENESS_SECONDS: u64 = 5;

/// In every such round the leader is asked to write alone, and the data node beside it until it refuses.
const SLOWLY_EVERY: u64 = 10;

#[test]
fn a_leader_that_is_cut_off_accepts_nothing() {
    if std::env::var_os(INSIDE).is_none() {
        return within_namespaces("faults::partitions::a_leader_that_is_cut_off_accepts_nothing");
    }
    let mut dice = dice("partitions");
    let settings = Settings {
        places: places(),
        control: format!("staleness_seconds_max = {STALENESS_SECONDS}\n"),
        ..Settings::default()
    };
    let cluster = Cluster::running_with(settings, 3, 3);
    assert_eq!(cluster.publish(10), 1);
    cluster.done(&["policy", "activate", "1", "--tenant", "acme", "--wait", "30s"]);
    let token = cluster.token("finance-agent");
    let (runtime, rounds) = (runtime(), rounds(20));
    let admin = Admin::of(&cluster);
    let writers = runtime.block_on(Writers::start(&admin));
    let mut stale_after = Vec::new();
    for round in 1..=rounds {
        any_moment(&mut dice, 300);
        let leader = cluster.leader();
        cut(leader, true);
        #[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
        let began = Instant::now();
        if round % SLOWLY_EVERY == 1 {
            let mut alone = write_beside(&cluster, leader, round);
            let refuses =
                || decide(&cluster, leader, &token).contains("PolicyStale").then(|| began.elapsed());
            let after =
                eventually("the data node that hears nothing", WHOLE_AGAIN, refuses).expect("it refuses");
            // What it knew when it was cut off may have been a second old, and older where the machine is slow.
            assert!(after >= Duration::from_secs(STALENESS_SECONDS) / 2, "early: {after:?}");
            stale_after.push(after.as_secs_f64());
            let others = (0..3).filter(|at| *at != leader);
            // They hear of the new leader, which a slow machine may have only just now.
            others.for_each(|at| {
                let serves = || (decide(&cluster, at, &token) == "allow").then_some(());
                eventually("another data node", WHOLE_AGAIN, serves)
                    .unwrap_or_else(|error| panic!("round {round}: data node {at}: {error}"));
            });
            let refused = alone.wait_end(WHOLE_AGAIN).expect("the write ends");
            assert_ne!(refused.code(), Some(0), "round {round}: the leader took a write alone");
        }
        runtime.block_on(writers.go_on(20, WHOLE_AGAIN));
        cut(leader, false);
        eprintln!("round {round}: data node {leader} was cut off for {:?}", began.elapsed());
        let serves = || (decide(&cluster, leader, &token) == "allow").then_some(());
        eventually("the data node that hears again", WHOLE_AGAIN, serves).expect("it serves");
        runtime.block_on(writers.go_on(20, WHOLE_AGAIN));
    }
    let told = runtime.block_on(writers.end());
    runtime.block_on(until_all_are_equal(&admin));
    figure("partitions/rounds", rounds as f64, "");
    figure("partitions/acknowledged", told.acknowledged as f64, "writes");
    figure("partitions/lost", 0.0, "writes");
    figure("partitions/staleness_max", STALENESS_SECONDS as f64, "s");
    figure("partitions/refused_after_worst", quantile(&stale_after, 1.0), "s");
}

/// Runs the test `name` of this program again, in namespaces of its own. Where the system has none for us, it says so; in CI
/// that is a failure.
fn within_namespaces(name: &str) {
    // As a user who is nobody outside; where the system does not let users do so, as root.
    let ways = [&["--user", "--map-root-user", "--net", "--mount"][..], &["--net", "--mount"]];
    let works = |way: &&[&str]| {
        let probe = Command::new("unshare").args(*way).args(["ip", "link", "set", "lo", "up"]).output();
        probe.is_ok_and(|ran| ran.status.success())
    };
    let Some(way) = ways.into_iter().find(works) else {
        assert!(
            std::env::var_os("CI").is_none(),
            "no network namespaces: iproute2, util-linux, and the right to make them"
        );
        eprintln!(
            "skipped: {name}: no network namespaces here (iproute2, util-linux, and the right to make them)"
        );
        return;
    };
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new("unshare");
    command.args(way).arg(program).args(["--exact", name, "--nocapture"]).env(INSIDE, "1");
    let ran = command.status().expect("`unshare`, as before");
    assert!(ran.success(), "the test within its namespaces: {ran}");
}

/// Makes the namespaces, and the cables between them.
fn places() -> Vec<Place> {
    sh("ip link set lo up && mount -t tmpfs tmpfs /run && ip link add br0 type bridge && \
        ip addr add 10.77.0.1/24 dev br0 && ip link set br0 up");
    (0..3)
        .map(|at| {
            let number = at + 1;
            sh(&format!(
                "ip netns add c{number} && ip link add v{at} type veth peer name e{at} && ip link set e{at} netns c{number} && \
                 ip link set v{at} master br0 up && nsenter --net=/run/netns/c{number} sh -c 'ip link set lo up && \
                 ip addr add 10.77.0.1{number}/24 dev e{at} && ip link set e{at} up'"
            ));
            let ip = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 10 + number));
            Place { ip, namespace: PathBuf::from(format!("/run/netns/c{number}")) }
        })
        .collect()
}

/// Pulls a control node's cable, or puts it back.
fn cut(at: usize, cut: bool) {
    sh(&format!("ip link set v{at} {}", if cut { "down" } else { "up" }));
}

fn sh(script: &str) {
    let ran = Command::new("sh").args(["-ec", script]).status().expect("a shell");
    assert!(ran.success(), "`{script}` failed: iproute2 and util-linux are needed");
}

/// Sends the control node a write, from beside it.
fn write_beside(cluster: &Cluster, at: usize, round: u64) -> TestProcess {
    let node = &cluster.controls[at];
    let mut command = node.program();
    command.args([
        "tenant",
        "create",
        &format!("alone-{round}"),
        "--server",
        &format!("https://{}", node.http),
    ]);
    command.arg("--server-ca").arg(cluster.path("certs/ca.pem"));
    command.arg("--person-token-file").arg(cluster.path("admin.token"));
    TestProcess::start(&mut command).expect("the command starts")
}

/// What a data node answers, asked from beside it.
fn decide(cluster: &Cluster, at: usize, token: &str) -> String {
    let node = &cluster.data[at];
    let mut command = node.program();
    command.args(["decide", "--output", "json", "--endpoint", &format!("http://{}", node.grpc)]);
    command.args([
        "--tool",
        "stripe-payments",
        "--action",
        "create_payment",
        "--params",
        r#"{"amount": 10}"#,
    ]);
    command.env("AEGIS_TOKEN", token);
    let ran = finish(&mut command);
    let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
    answer["outcome"].as_str().map_or_else(|| format!("{ran:?}"), str::to_owned)
}
