//! Budgets and rates over data nodes, judged by what *clients* were told (B1 to B6 of the limits' goals).
//!
//! `cargo xtask bar budgets|lease-kills|rates` runs the whole, through the variables of [`crate::trials`], and
//! `AEGIS_FAULTS_SECONDS`: for how long a load stays at one node.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "tests measure, and an answer that may not be ends them"
)]

mod callers;
mod completing;
mod crowd;
mod evidence;
mod exact;
mod faults;
mod kills;
mod organizations;
mod rates;

use std::fs;
use std::sync::LazyLock;

use aegis_model::clock::Clock;

use crate::nodes::Cluster;

/// A time zone whose day neither ends nor begins for six hours: a budget is whole again with each day, and a test that ran over
/// midnight would see more allowed than there is.
fn quiet_zone() -> &'static str {
    // One for the whole run: another zone is another ledger.
    static ZONE: LazyLock<&str> = LazyLock::new(|| zone_at(Clock::System.now().seconds()));
    *ZONE
}

fn zone_at(seconds: u64) -> &'static str {
    match seconds / 3_600 % 24 {
        6..18 => "UTC",
        // Twelve hours behind.
        _ => "Etc/GMT+12",
    }
}

#[test]
fn no_day_begins_or_ends_near_a_test() {
    for hour in 0..24 {
        let behind = if zone_at(hour * 3_600) == "UTC" { 0 } else { 12 };
        assert!((6..18).contains(&((hour + 24 - behind) % 24)), "{hour}");
    }
}

/// Puts a policy of one document into force at every data node. Budgets count by the days of [`quiet_zone`].
fn enforce(cluster: &Cluster, document: &str) {
    enforce_for(cluster, "acme", document);
}

/// The same, for another tenant.
fn enforce_for(cluster: &Cluster, tenant: &str, document: &str) {
    let folder = cluster.path("limits");
    fs::create_dir_all(&folder).expect("a folder");
    // What a document says of its zone counts for its entries as well.
    let line = |line: &str| match line.starts_with("daily_budget:") {
        true => format!("timezone: {}\n{line}\n", quiet_zone()),
        false => format!("{line}\n"),
    };
    let document: String = document.lines().map(line).collect();
    fs::write(folder.join("p.yaml"), document).expect("a file");
    let folder = folder.to_str().expect("UTF-8");
    let version =
        cluster.done(&["policy", "publish", folder, "--tenant", tenant])["version"]["number"].to_string();
    cluster.done(&["policy", "activate", &version, "--tenant", tenant, "--wait", "30s"]);
}

/// A new agent's token.
fn agent(cluster: &Cluster, name: &str) -> String {
    cluster.done(&["agent", "create", name, "--tenant", "acme"]);
    cluster.token(name)
}
