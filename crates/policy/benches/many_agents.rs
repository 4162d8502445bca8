//! A large set, 10,000 agents of 5 tools each, about 10,000 distinct conditions: how long it takes to ready, and
//! how much memory it holds.
//!
//! `cargo bench -p aegis-policy --bench many_agents`; prints one JSON line.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark measures and prints"
)]

use std::time::Instant;

use aegis_policy::prepared::Prepared;
use serde_json::json;

mod sets;

/// As in the shipped binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let sources = sets::set(10_000, 5);
    let before = resident_bytes();
    let started = Instant::now();
    let prepared = Prepared::new(&sources).unwrap();
    let (seconds, bytes) = (started.elapsed().as_secs_f64(), resident_bytes().saturating_sub(before));
    println!(
        "{}",
        json!({"bench": "many-agents", "agents": prepared.agents(), "entries": prepared.entries(),
        "load_seconds": seconds, "resident_bytes": bytes, "resident_bytes_all": resident_bytes()})
    );
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = status.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    pages * 4096
}
