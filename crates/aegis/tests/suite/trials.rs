//! Tests that are repeated over seeded rounds: a sample in each run, and the whole as a bar, through these variables:
//!
//! | variable | |
//! |---|---|
//! | `AEGIS_FAULTS_ROUNDS` | how many rounds |
//! | `AEGIS_FAULTS_SEED` | which ones |
//! | `AEGIS_FAULTS_PROGRAM` | another build of the binary |

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "bars read figures; a failure shows how to repeat it"
)]

pub(crate) mod figures;

use std::time::Duration;

use anyhow::Context as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// The number in a variable, or `otherwise`.
pub(crate) fn number(variable: &str, otherwise: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return otherwise };
    text.parse().with_context(|| format!("`{variable}` is `{text}`")).expect("a number")
}

/// How many rounds: so many, unless a bar asks for more.
pub(crate) fn rounds(sample: u64) -> u64 {
    number("AEGIS_FAULTS_ROUNDS", sample)
}

/// The order of things; `name` keeps tests apart. Says how to repeat it.
pub(crate) fn dice(name: &str) -> StdRng {
    let seed = number("AEGIS_FAULTS_SEED", 1);
    eprintln!("{name}: AEGIS_FAULTS_SEED={seed}");
    let salt = name.bytes().fold(0_u64, |salt, byte| salt.wrapping_mul(31).wrapping_add(byte.into()));
    StdRng::seed_from_u64(seed ^ salt)
}

/// Lets the rest go on for up to so many milliseconds: a fault may strike at any moment, so every one has its turn.
pub(crate) fn any_moment(dice: &mut StdRng, below: u64) {
    // expect(sleep): a fault that waited for an event would strike at that moment only.
    std::thread::sleep(Duration::from_millis(dice.random_range(0..below)));
}

/// A runtime for the clients of a test.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}
