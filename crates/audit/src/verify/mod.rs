//! Verification of a log's folder or of an export, offline: with the log's public key, and better with a checkpoint that
//! came from somewhere else.
//!
//! What is proved: every record is exactly one that the log committed to, in its place, and every chain has its numbers and
//! links without a break (*integrity*). That nothing is missing at the end, and that the log is not another one signed with
//! the same key (*completeness*), only a checkpoint from elsewhere can say: the control log's, or a witness's.
//!
//! Trusted is the key that the caller brings, never a file of the folder. Files may hold anything.

mod chains;
mod growing;
mod problem;
mod tree_files;

use std::collections::BTreeMap;
use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::hash::Hash;
use crate::journal::{Disk, Grown, Proof, Signed, grown};
use crate::keys::VerifyingKey;
pub use crate::pruned::PrunedTo;
use crate::record::Chain;
use crate::tree;

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
    /// Entries of the log that it has signed.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// Records that were read and hashed.
    pub records: u64,
    /// The number of the newest record of each chain.
    pub chains: BTreeMap<Chain, u64>,
    /// Where a chain says that acknowledged records may be missing: chain, index of the record that says so.
    pub gaps: Vec<(Chain, u64)>,
    /// What retention deleted of each chain, by evidence that holds. Proofs of it stay valid; its records cannot be shown any more.
    pub pruned: BTreeMap<Chain, PrunedTo>,
    /// Whether the log was ended by its node; a log that is not may go on after what is here.
    pub ended: bool,
    /// Records after those that are signed: of a log that runs or was cut off, the newest. Its key vouches for none of them.
    pub unsigned: u64,
    /// Up to which index nothing of the scope is missing; nothing without a checkpoint from elsewhere.
    pub complete_to: Option<u64>,
}

/// Verifies the log in `folder`: what is sealed, and, where it is the whole log, what it has grown since.
///
/// `trusted` is the newest checkpoint that the caller has from elsewhere. Without it, [`Verified::complete_to`] stays empty.
///
/// # Errors
/// The [`Problem`] with the lowest index that could be found. While a node writes the log, what it seals meanwhile may look
/// like one: verify again.
pub fn verify(
    disk: &dyn Disk,
    folder: &Path,
    key: &VerifyingKey,
    trusted: Option<&Checkpoint>,
    scope: &Scope,
) -> Result<Verified, Problem> {
    verify_pruned(disk, folder, key, &[], trusted, scope)
}

/// The same for a log of which a later life of its node deleted records by retention: `later` are the keys of its logs, as
/// trusted as `key`.
///
/// # Errors
/// As for [`verify`].
pub fn verify_pruned(
    disk: &dyn Disk,
    folder: &Path,
    key: &VerifyingKey,
    later: &[VerifyingKey],
    trusted: Option<&Checkpoint>,
    scope: &Scope,
) -> Result<Verified, Problem> {
    judge(disk, folder, (key, later), trusted, scope).map(|judged| judged.verified)
}

/// Proves that the entry at `index` is in the log, from the files of the whole log, which are verified first. Nothing if no
/// checkpoint covers it.
///
/// # Errors
/// As for [`verify`].
pub fn prove(
    disk: &dyn Disk,
    folder: &Path,
    key: &VerifyingKey,
    later: &[VerifyingKey],
    index: u64,
) -> Result<Option<(Hash, Proof)>, Problem> {
    let Judged { signed, entries, .. } = judge(disk, folder, (key, later), None, &Scope::Whole)?;
    let size = signed.checkpoint.size;
    let leaves: Vec<Hash> = entries.iter().map(|entry| tree::leaf(&entry.0)).collect();
    let Some(leaf) = usize::try_from(index).ok().filter(|_| index < size).map(|at| leaves[at]) else {
        return Ok(None);
    };
    let Ok(hashes) = tree::inclusion(&leaves[..], index, size);
    Ok(Some((leaf, Proof { hashes, signed: signed.into() })))
}

/// A log that was verified.
struct Judged {
    verified: Verified,
    /// The newest checkpoint.
    signed: Signed,
    entries: Vec<Hash>,
}

fn judge(
    disk: &dyn Disk,
    folder: &Path,
    (key, later): (&VerifyingKey, &[VerifyingKey]),
    trusted: Option<&Checkpoint>,
    scope: &Scope,
) -> Result<Judged, Problem> {
    // Before the checkpoint: what is sealed in between is in both then, and never in none.
    let mut grown = match scope {
        Scope::Whole => grown(disk, folder, key.name().as_str())
            .map_err(|path| Problem::of_file(ProblemKind::Segment, path.to_string_lossy()))?,
        Scope::Chain(_) => Vec::new(),
    };
    let mut signed = sealed(disk, folder, key, &grown)?;
    let size = signed.checkpoint.size;
    if let Some(trusted) = trusted
        && trusted.origin != signed.checkpoint.origin
    {
        return Err(Problem::of_file(ProblemKind::OtherLog, "checkpoint"));
    }
    // Sealed already; its file is about to go.
    grown.retain(|segment| segment.start >= size);
    let growing = grown.first().map(|segment| segment.number);
    let known = trusted.filter(|trusted| trusted.size <= size);
    let mut entries = tree_files::entries(disk, folder, &signed.checkpoint, known, growing.is_some())?;
    let keys: Vec<&VerifyingKey> = std::iter::once(key).chain(later).collect();
    let mut found = chains::verify(disk, folder, key.name(), &entries, (scope, growing), &keys)?;
    let later = trusted.filter(|trusted| trusted.size > size);
    growing::verify(&grown, key, later, &mut signed, &mut entries, &mut found)?;
    let total = entries.len() as u64;
    let checkpoint = &signed.checkpoint;
    if let Some(trusted) = trusted
        && trusted.size > total
    {
        return Err(Problem::at(ProblemKind::RolledBack, total));
    }
    let complete_to = trusted.map(|_| match scope {
        Scope::Whole => checkpoint.size,
        Scope::Chain(Chain::Log) => found.last_end.map_or(0, |(at, _)| at + 1),
        Scope::Chain(chain) => found.openings.get(chain).map_or(0, |end| end + 1),
    });
    let verified = Verified {
        size: checkpoint.size,
        root: checkpoint.root,
        records: found.records,
        chains: found.chains,
        gaps: found.gaps,
        pruned: found.pruned,
        ended: found.last_end.is_some_and(|(at, last)| last && at + 1 == checkpoint.size),
        unsigned: total - checkpoint.size,
        complete_to,
    };
    Ok(Judged { verified, signed, entries })
}

/// The checkpoint over what is sealed: nothing is, while a log grows in its first segment.
fn sealed(disk: &dyn Disk, folder: &Path, key: &VerifyingKey, grown: &[Grown]) -> Result<Signed, Problem> {
    match disk.read(&folder.join("checkpoint")) {
        Ok(note) => {
            let checkpoint = Checkpoint::open(&note, key)
                .map_err(|_reported| Problem::of_file(ProblemKind::Checkpoint, "checkpoint"))?;
            Ok(Signed { checkpoint, note })
        }
        Err(_reported) if grown.first().is_some_and(|first| (first.number, first.start) == (0, 0)) => {
            let checkpoint = Checkpoint { origin: key.name().clone(), size: 0, root: tree::empty_root() };
            Ok(Signed { checkpoint, note: Vec::new() })
        }
        Err(_reported) => Err(Problem::of_file(ProblemKind::Missing, "checkpoint")),
    }
}
