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

use crate::nodes::Cluster;

/// Puts a policy of one document into force at every data node.
fn enforce(cluster: &Cluster, document: &str) {
    enforce_for(cluster, "acme", document);
}

/// The same, for another tenant.
fn enforce_for(cluster: &Cluster, tenant: &str, document: &str) {
    let folder = cluster.path("limits");
    fs::create_dir_all(&folder).expect("a folder");
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
