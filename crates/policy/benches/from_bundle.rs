//! What a restarted node does with a bundle that it has kept, 1,000 agents of 5 tools each, every condition another one: how
//! long it takes to unpack, check, compile and ready it, and how much time of the processors, which says more on a machine
//! that does other things as well.
//!
//! `cargo bench -p aegis-policy --bench from_bundle`; prints one JSON line.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark measures and prints"
)]

use std::time::Instant;

use aegis_policy::ast::SourceFile;
use aegis_policy::bundle::{self, unpack};
use aegis_policy::check::check;
use aegis_policy::prepared::Prepared;
use serde_json::json;

/// As in the shipped binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One file per agent, as people write them.
fn sources(agents: usize, tools: usize) -> Vec<SourceFile> {
    let file = |agent: usize| {
        let mut text = format!("agent: agent-{agent}\nallowed_tools:\n");
        for tool in 0..tools {
            text += &format!(
                "- name: tool-{tool}\n  actions: [create]\n  conditions:\n    max_amount: {}\n    params:\n      currency: {{one_of: [EUR, USD, GBP]}}\n      vendor: {{matches: '[a-z][a-z0-9-]{{1,30}}'}}\n",
                5_000 + agent * tools + tool
            );
        }
        SourceFile { path: format!("agent-{agent}.yaml"), text: text.into() }
    };
    (0..agents).map(file).collect()
}

fn main() {
    let set = check(sources(1_000, 5)).set.unwrap();
    let built = bundle::build(&set).unwrap();
    let (started, cpu) = (Instant::now(), cpu_seconds());
    let files = unpack::sources(&built.bytes).unwrap();
    let unpacked = started.elapsed();
    let set = check(files).set.unwrap();
    let checked = started.elapsed();
    let prepared = Prepared::of_bundle(&set, &built.digest).unwrap();
    let ready = started.elapsed();
    println!(
        "{}",
        json!({"bench": "from-bundle", "agents": prepared.agents(), "entries": prepared.entries(),
        "bundle_bytes": built.bytes.len(), "unpack_seconds": unpacked.as_secs_f64(),
        "check_seconds": (checked - unpacked).as_secs_f64(), "prepare_seconds": (ready - checked).as_secs_f64(),
        "ready_seconds": ready.as_secs_f64(), "ready_cpu_seconds": cpu_seconds() - cpu})
    );
}

/// The time that this process has had of all processors, in hundredths of a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks =
        |number: usize| fields.get(number).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / 100.0
}
