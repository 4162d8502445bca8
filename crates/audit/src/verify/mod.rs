//! Verification of a log's folder or of an export, offline: with the log's public key, and better with a checkpoint that
//! came from somewhere else.
//!
//! What is proved: every record is exactly one that the log committed to, in its place, and every chain has its numbers and
//! links without a break (*integrity*). That nothing is missing at the end, and that the log is not another one signed with
//! the same key (*completeness*), only a checkpoint from elsewhere can say: the control log's, or a witness's.
//!
//! Trusted is the key that the caller brings, never a file of the folder. Files may hold anything.

mod chains;
mod problem;
mod tree_files;

use std::collections::BTreeMap;
use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::hash::Hash;
use crate::journal::Disk;
use crate::keys::VerifyingKey;
use crate::record::Chain;

pub use problem::{Problem, ProblemKind};

/// Which records the folder has to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Whole,
    /// Those of this chain, and the log's own: an export.
    Chain(Chain),
}

/// What was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Entries of the log.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// Records that were read and hashed.
    pub records: u64,
    /// The number of the newest record of each chain.
    pub chains: BTreeMap<Chain, u64>,
    /// Where a chain says that acknowledged records may be missing: chain, index of the record that says so.
    pub gaps: Vec<(Chain, u64)>,
    /// Whether the log was ended by its node; a log that is not may go on after what is here.
    pub ended: bool,
    /// Up to which index nothing of the scope is missing; nothing without a checkpoint from elsewhere.
    pub complete_to: Option<u64>,
}

/// Verifies the log in `folder`.
///
/// `trusted` is the newest checkpoint that the caller has from elsewhere. Without it, [`Verified::complete_to`] stays empty.
///
/// # Errors
/// The [`Problem`] with the lowest index that could be found.
pub fn verify(
    disk: &dyn Disk,
    folder: &Path,
    key: &VerifyingKey,
    trusted: Option<&Checkpoint>,
    scope: &Scope,
) -> Result<Verified, Problem> {
    let note = disk.read(&folder.join("checkpoint"));
    let note = note.map_err(|_reported| Problem::of_file(ProblemKind::Missing, "checkpoint"))?;
    let checkpoint = Checkpoint::open(&note, key)
        .map_err(|_reported| Problem::of_file(ProblemKind::Checkpoint, "checkpoint"))?;
    if let Some(trusted) = trusted {
        if trusted.origin != checkpoint.origin {
            return Err(Problem::of_file(ProblemKind::OtherLog, "checkpoint"));
        }
        if trusted.size > checkpoint.size {
            return Err(Problem::at(ProblemKind::RolledBack, checkpoint.size));
        }
    }
    let entries = tree_files::entries(disk, folder, &checkpoint, trusted)?;
    let found = chains::verify(disk, folder, key.name(), &entries, scope)?;
    let complete_to = trusted.map(|_| match scope {
        Scope::Whole => checkpoint.size,
        Scope::Chain(Chain::Log) => found.last_end.map_or(0, |(at, _)| at + 1),
        Scope::Chain(chain) => found.openings.get(chain).map_or(0, |end| end + 1),
    });
    Ok(Verified {
        size: checkpoint.size,
        root: checkpoint.root,
        records: found.records,
        chains: found.chains,
        gaps: found.gaps,
        ended: found.last_end.is_some_and(|(at, last)| last && at + 1 == checkpoint.size),
        complete_to,
    })
}
