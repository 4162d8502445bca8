//! Control nodes that are killed, paused and cut off while people write and agents ask. What was acknowledged must be
//! there afterwards, no two leaders may accept, and the data nodes must not notice.
//!
//! Each test runs a seeded sample. `cargo xtask bar kills|leader-loss|rollback` runs the whole, through these variables:
//!
//! | variable | |
//! |---|---|
//! | `AEGIS_FAULTS_ROUNDS` | how many rounds |
//! | `AEGIS_FAULTS_SEED` | which ones |
//! | `AEGIS_FAULTS_PROGRAM` | another build of the binary |
//! | `AEGIS_FAULTS_AGENTS` | how many agents the policies are for |
//! | `AEGIS_FAULTS_WRITES` | how many writes there are before a node is replaced |

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "bars read figures; a failure shows how to repeat it"
)]

mod agents;
mod figures;
mod kills;
mod leaders;
mod partitions;
mod replacements;
mod rollbacks;
mod standing;
mod writers;

use std::time::Duration;

use anyhow::Context as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// A bound for broken code: how long a cluster may take until it is whole again.
const WHOLE_AGAIN: Duration = Duration::from_secs(60);

/// The number in a variable, or `otherwise`.
fn number(variable: &str, otherwise: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return otherwise };
    text.parse().with_context(|| format!("`{variable}` is `{text}`")).expect("a number")
}

/// How many rounds: so many, unless a bar asks for more.
fn rounds(sample: u64) -> u64 {
    number("AEGIS_FAULTS_ROUNDS", sample)
}

/// The order of things; `name` keeps tests apart. Says how to repeat it.
fn dice(name: &str) -> StdRng {
    let seed = number("AEGIS_FAULTS_SEED", 1);
    eprintln!("{name}: AEGIS_FAULTS_SEED={seed}");
    let salt = name.bytes().fold(0_u64, |salt, byte| salt.wrapping_mul(31).wrapping_add(byte.into()));
    StdRng::seed_from_u64(seed ^ salt)
}

/// Lets the rest go on for up to so many milliseconds: a fault may strike at any moment, so every one has its turn.
fn any_moment(dice: &mut StdRng, below: u64) {
    // expect(sleep): a fault that waited for an event would strike at that moment only.
    std::thread::sleep(Duration::from_millis(dice.random_range(0..below)));
}

/// A runtime for the clients of a test.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}
