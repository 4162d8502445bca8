//! How far a publication is: for whoever waits for it.

use serde::Serialize;

/// Where a publication is. Later ones follow earlier ones, except that a lost race for a number begins again at
/// `Uploading`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum Progress {
    /// It waits for others.
    Waiting,
    /// The sources are read and checked.
    Checking,
    /// The sources are compiled, and the bundle is made.
    Compiling,
    /// Pieces of the bundle are replicated.
    Uploading {
        /// How many of them.
        done: usize,
        /// Of how many that were not there.
        of: usize,
    },
    /// The version itself is replicated.
    Publishing {
        /// The number that it is to have.
        version: u64,
    },
    /// It is replicated: no crash loses it.
    Replicated {
        /// Its number.
        version: u64,
    },
}
