//! Control nodes that are killed, paused and cut off while people write and agents ask. What was acknowledged must be
//! there afterwards, no two leaders may accept, and the data nodes must not notice.
//!
//! Each test runs a seeded sample. `cargo xtask bar kills|leader-loss|rollback` runs the whole, through the variables of
//! [`crate::trials`] and these:
//!
//! | variable | |
//! |---|---|
//! | `AEGIS_FAULTS_AGENTS` | how many agents the policies are for |
//! | `AEGIS_FAULTS_WRITES` | how many writes there are before a node is replaced |

#![expect(clippy::print_stderr, reason = "a failure shows how to repeat it")]

mod agents;
mod kills;
mod leaders;
mod partitions;
mod replacements;
mod rollbacks;
mod standing;
mod writers;

use std::time::Duration;

/// A bound for broken code: how long a cluster may take until it is whole again.
const WHOLE_AGAIN: Duration = Duration::from_secs(60);
