//! Opens as many crash images as the first argument says (20,000 unless it says), from the seed that the second says:
//! `cargo run --release -p aegis-raft-store --example crash_images -- 20000`.
//!
//! Prints what it went through as one line of JSON, or ends with the seed of the case that lost something.

#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../tests/suite/crash.rs"]
mod crash;
#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../tests/suite/disk.rs"]
mod disk;
#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../tests/suite/machine.rs"]
mod machine;

use std::io::Write;

/// Cases between two looks at how many images there were.
const CASES: u64 = 64;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let images = arguments.next().and_then(Result::ok).unwrap_or(20_000);
    let mut seed = arguments.next().and_then(Result::ok).unwrap_or(1_000_000);
    let mut sum = crash::Tally::default();
    while sum.images < images {
        let more = crash::run_cases(seed..seed + CASES);
        seed += CASES;
        sum = sum.and(more);
    }
    let mut out = std::io::stdout().lock();
    for (name, value) in [
        ("crash-images/opened", sum.images),
        ("crash-images/crashed_again_while_opening", sum.recoveries_crashed),
        ("crash-images/acknowledged", sum.acknowledged),
        ("crash-images/entries_replayed", sum.replayed),
        ("crash-images/lost", 0),
    ] {
        writeln!(out, "{{\"name\": \"{name}\", \"value\": {value}, \"unit\": \"count\"}}")?;
    }
    Ok(())
}
