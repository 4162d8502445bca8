//! What budgets over many nodes cost: entries of the replicated log, calls that wait for a grant, and units that nobody
//! may spend any more. The arithmetic is the crate's own; simulated are only traffic, messages and time.
//!
//! `cargo run --release -p aegis-limits --example simulate -- [SEED]`
//!
//! Each line is one cluster over [`SECONDS`]. Calls come skewed (the agent of rank r is called in proportion to 1/r), nine in
//! ten at the owner of the agent's slot and the others anywhere. Every tenth agent has a budget that ends half-way; the
//! others have that of a day. After five sixths of the time one node loses power. Waits are counted before that, and after
//! the first third. That no agent was allowed more than its budget is asserted from what its callers saw.

mod leader;
mod node;
mod traffic;
mod world;

use std::io::Write;

use crate::world::{Outcome, World};

/// Simulated time, in seconds.
pub(crate) const SECONDS: u64 = 60;

const NODES: [u32; 4] = [2, 8, 16, 64];
const AGENTS: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];

fn main() -> std::io::Result<()> {
    let seed = std::env::args().nth(1).and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "seed {seed}, {SECONDS} s; waits: of all decisions, and where a node has 1+ calls/s of the agent"
    )?;
    writeln!(
        out,
        "nodes   agents  calls/s  entries/s   waits %   busy %   mean ms  burned units  of budgets %"
    )?;
    for nodes in NODES {
        for agents in AGENTS {
            let outcome = World::new(nodes, agents, seed).run();
            print(&mut out, nodes, agents, &outcome)?;
        }
    }
    Ok(())
}

/// A row for people, and its figures for `cargo xtask bar`.
fn print(out: &mut impl Write, nodes: u32, agents: u32, outcome: &Outcome) -> std::io::Result<()> {
    let Outcome { calls_per_second, entries_per_second, waits, busy_waits, wait_ms, burned, burned_share } =
        outcome;
    writeln!(
        out,
        "{nodes:5} {agents:8} {calls_per_second:8.0} {entries_per_second:10.1} {:9.3} {:8.4} {wait_ms:9.1} {burned:13.2} {:13.4}",
        100.0 * waits,
        100.0 * busy_waits,
        100.0 * burned_share,
    )?;
    let figures = [
        ("entries_per_second", *entries_per_second, "entries"),
        ("waits_per_decision", *waits, "calls"),
        ("busy_waits_per_decision", *busy_waits, "calls"),
        ("burned", *burned, "units"),
        ("burned_share", *burned_share, "of budgets"),
    ];
    for (name, value, unit) in figures {
        let name = format!("lease-simulation/{nodes}_nodes/{agents}_agents/{name}");
        writeln!(out, "{{\"name\": \"{name}\", \"value\": {value:.6}, \"unit\": \"{unit}\"}}")?;
    }
    Ok(())
}
