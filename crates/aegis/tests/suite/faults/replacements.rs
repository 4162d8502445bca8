//! A control node is lost with its data and replaced while people write. With more than 12,000 writes before
//! (`AEGIS_FAULTS_WRITES`) the log no longer goes back to the beginning, and the new node gets the state as a snapshot.

use std::fs;
use std::time::Duration;

use super::WHOLE_AGAIN;
use super::agents::Agents;
use super::standing::until_all_are_equal;
use super::writers::{Admin, Writers};
use crate::nodes::Cluster;
use crate::trials::figures::figure;
use crate::trials::{number, runtime};

#[test]
fn a_lost_node_is_replaced_while_people_write() {
    let mut cluster = Cluster::running(3, 3);
    let (agents, versions) = (number("AEGIS_FAULTS_AGENTS", 50), number("AEGIS_FAULTS_ROUNDS", 3));
    for version in 1..=versions {
        let max = u32::try_from(version).expect("few versions") * 10;
        assert_eq!(cluster.publish_for(agents, max), version);
    }
    cluster.done(&["policy", "activate", "1", "--tenant", "acme", "--wait", "60s"]);
    let token = cluster.token("finance-agent");
    let runtime = runtime();
    let admin = Admin::of(&cluster);
    let writers = runtime.block_on(Writers::start(&admin));
    let asking = {
        let _within = runtime.enter();
        Agents::start(&cluster, &token, 10, |_| true)
    };
    runtime.block_on(writers.go_on(number("AEGIS_FAULTS_WRITES", 50), Duration::from_secs(300)));
    let lost = (cluster.leader() + 1) % 3;
    let (name, address) = (cluster.controls[lost].name.clone(), cluster.controls[lost].address());
    cluster.controls[lost].kill();
    cluster.done(&["cluster", "remove", &name]);
    fs::remove_dir_all(cluster.path(&name)).expect("its data");
    runtime.block_on(writers.go_on(50, WHOLE_AGAIN));
    cluster.start_control(lost);
    cluster.done(&["cluster", "add", &name, &address]);
    cluster.controls[lost].until_ready();
    runtime.block_on(writers.go_on(50, WHOLE_AGAIN));
    let told = runtime.block_on(writers.end());
    let answered = runtime.block_on(asking.end());
    runtime.block_on(until_all_are_equal(&admin));
    let backup = cluster.path("backup.aegis");
    cluster.done(&["cluster", "snapshot", "--file", backup.to_str().expect("UTF-8")]);
    let bytes = fs::metadata(&backup).expect("a backup").len();
    let process = cluster.controls[lost].process.as_ref().expect("it runs");
    let snapshots = process.error_lines().iter().filter(|line| line.contains("snapshot")).count();
    figure("replacement/lines_about_snapshots", snapshots as f64, "");
    figure("replacement/state", bytes as f64 / 1e6, "MB");
    figure("replacement/acknowledged", told.acknowledged as f64, "writes");
    figure("replacement/answered", answered as f64, "decisions");
}
