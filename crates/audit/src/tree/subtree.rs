//! Proofs about a part of a tree, as draft-ietf-plants-merkle-tree-certs, 4.3 and 4.4 has them: verified here, made
//! nowhere yet.

use super::{ProofError, empty_root, node, verify_inclusion};
use crate::hash::Hash;

/// Whether `start..end` is a subtree: its start a multiple of the power of two that its length fits into.
fn is_subtree(start: u64, end: u64) -> bool {
    start < end && (end - start).checked_next_power_of_two().is_some_and(|width| start.is_multiple_of(width))
}

/// Whether the subtree over `start..end` with this root has `leaf` at `index`.
///
/// # Errors
/// [`ProofError`]
pub fn verify_subtree_inclusion(
    index: u64,
    start: u64,
    end: u64,
    leaf: &Hash,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if !is_subtree(start, end) || index < start {
        return Err(ProofError::Sizes);
    }
    verify_inclusion(index - start, end - start, leaf, proof, root)
}

/// Whether the subtree over `start..end` with the root `part` lies in the tree of `size` leaves with the root `whole`.
/// One without leaves lies in every tree.
///
/// # Errors
/// [`ProofError`]
pub fn verify_subtree_consistency(
    start: u64,
    end: u64,
    size: u64,
    proof: &[Hash],
    part: &Hash,
    whole: &Hash,
) -> Result<(), ProofError> {
    if start == end && end <= size {
        return match (proof.is_empty(), *part == empty_root()) {
            (false, _) => Err(ProofError::Length),
            (true, false) => Err(ProofError::Root),
            (true, true) => Ok(()),
        };
    }
    if !is_subtree(start, end) || end > size {
        return Err(ProofError::Sizes);
    }
    let (mut first, mut place, mut last) = (start, end - 1, size - 1);
    let skip = |first: &mut u64, place: &mut u64, last: &mut u64| {
        (*first, *place, *last) = (*first >> 1, *place >> 1, *last >> 1);
    };
    while first != place && (place == last || place & 1 == 1) {
        skip(&mut first, &mut place, &mut last);
    }
    let (seed, rest) = match proof.split_first() {
        _ if first == place => (part, proof),
        Some((seed, rest)) => (seed, rest),
        None => return Err(ProofError::Length),
    };
    let (mut inner, mut outer) = (*seed, *seed);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if place & 1 == 1 || place == last {
            if first < place {
                inner = node(sibling, &inner);
            }
            outer = node(sibling, &outer);
            while place & 1 == 0 && place != 0 {
                skip(&mut first, &mut place, &mut last);
            }
        } else {
            outer = node(&outer, sibling);
        }
        skip(&mut first, &mut place, &mut last);
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if inner == *part && outer == *whole { Ok(()) } else { Err(ProofError::Root) }
}
