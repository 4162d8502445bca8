//! Verification of proofs, by RFC 9162, 2.1.3.2 and 2.1.4.2.

use super::node;
use crate::hash::Hash;

/// A proof does not prove what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Sizes and indexes for which there is no proof.
    #[error("there is no proof for these sizes")]
    Sizes,
    /// Too few or too many hashes.
    #[error("the proof has another length than these sizes ask for")]
    Length,
    /// The hashes lead to another root.
    #[error("the proof leads to another root")]
    Root,
}

impl ProofError {
    /// A stable word for metrics and reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::Sizes => "proof_sizes",
            Self::Length => "proof_length",
            Self::Root => "proof_root",
        }
    }

    /// Never: the same proof is refused again.
    pub fn retryable(self) -> bool {
        false
    }
}

/// Whether the tree of `size` leaves with this root has `leaf` at `index`.
///
/// # Errors
/// [`ProofError`]
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf: &Hash,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Sizes);
    }
    let (mut place, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if place & 1 == 1 || place == last {
            hash = node(sibling, &hash);
            // A right edge that is alone on its level moves up as it is.
            while place & 1 == 0 && place != 0 {
                (place, last) = (place >> 1, last >> 1);
            }
        } else {
            hash = node(&hash, sibling);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if hash == *root { Ok(()) } else { Err(ProofError::Root) }
}

/// Whether the tree of `old_size` leaves is the beginning of the one of `new_size`. A tree without leaves is the beginning
/// of every tree; a proof that says so proves nothing and is refused.
///
/// # Errors
/// [`ProofError`]
pub fn verify_consistency(
    old_size: u64,
    new_size: u64,
    proof: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> Result<(), ProofError> {
    if old_size == 0 || old_size > new_size {
        return Err(ProofError::Sizes);
    }
    if old_size == new_size {
        return match (proof.is_empty(), old_root == new_root) {
            (false, _) => Err(ProofError::Length),
            (true, false) => Err(ProofError::Root),
            (true, true) => Ok(()),
        };
    }
    // Where the old tree is complete, its root is the first hash; it is not sent.
    let (first, rest) = match proof.split_first() {
        _ if old_size.is_power_of_two() => (old_root, proof),
        Some((first, rest)) => (first, rest),
        None => return Err(ProofError::Length),
    };
    let skipped = (old_size - 1).trailing_ones();
    let (mut place, mut last) = ((old_size - 1) >> skipped, (new_size - 1) >> skipped);
    let (mut old, mut new) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if place & 1 == 1 || place == last {
            (old, new) = (node(sibling, &old), node(sibling, &new));
            while place & 1 == 0 && place != 0 {
                (place, last) = (place >> 1, last >> 1);
            }
        } else {
            new = node(&new, sibling);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if old == *old_root && new == *new_root { Ok(()) } else { Err(ProofError::Root) }
}
