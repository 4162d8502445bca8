//! What one node's store does to a batch: appends it, synced, then applies it, on the disk of the folder that the first
//! argument names (the system's folder for temporary files unless it does):
//! `cargo run --release -p aegis-raft-store --example append_apply`.

#[path = "../tests/suite/machine.rs"]
mod machine;

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use openraft::storage::{RaftLogStorageExt, RaftStateMachine};

use crate::machine::{batch, open};

/// Entries of one measurement.
const ENTRIES: u64 = 2_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let parent = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    for commands in [1, 64] {
        runtime.block_on(measure(&parent, commands))?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a measurement")]
async fn measure(parent: &std::path::Path, commands: u64) -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir_in(parent)?;
    let (mut log, mut state, handle) = open(&folder.path().join("node"));
    let begun = Instant::now();
    for index in 0..ENTRIES {
        let puts: Vec<String> = (0..commands)
            .map(|command| format!("put key-{} {}", (index * commands + command) % 50_000, "v".repeat(80)))
            .collect();
        let puts: Vec<&str> = puts.iter().map(String::as_str).collect();
        let entry = batch(1, index, index, &puts);
        log.blocking_append([entry.clone()]).await?;
        state.apply([entry]).await?;
    }
    let micros = begun.elapsed().as_secs_f64() * 1e6;
    let counters = handle.counters();
    handle.close().await?;
    // A synced transaction of either file is two syncs of the disk.
    let syncs = 2.0 * (counters.log_synced + counters.state_synced) as f64;
    let operations = (ENTRIES * commands) as f64;
    let mut out = std::io::stdout().lock();
    for (name, value, unit) in [
        ("entry", micros / ENTRIES as f64, "us"),
        ("operation", micros / operations, "us"),
        ("syncs_per_operation", syncs / operations, "syncs"),
    ] {
        let name = format!("append-apply/{commands}_commands/{name}");
        writeln!(out, "{{\"name\": \"{name}\", \"value\": {value:.4}, \"unit\": \"{unit}\"}}")?;
    }
    Ok(())
}
