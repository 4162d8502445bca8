//! Proofs from a store of complete subtrees (RFC 6962, 2.1.1 and 2.1.2).

use super::{empty_root, node};
use crate::hash::Hash;

/// Where the hashes of complete subtrees come from.
///
/// Contract: `node(level, index)` is the root over the leaves `index << level .. (index + 1) << level`. It is only asked
/// for what lies within the size that a proof speaks of.
pub trait Nodes {
    /// Why a hash cannot be given.
    type Error;

    /// The root of a complete subtree.
    ///
    /// # Errors
    /// The store has it not, or cannot be read.
    fn node(&self, level: u32, index: u64) -> Result<Hash, Self::Error>;
}

impl<N: Nodes + ?Sized> Nodes for &N {
    type Error = N::Error;
    fn node(&self, level: u32, index: u64) -> Result<Hash, Self::Error> {
        (**self).node(level, index)
    }
}

/// The leaves themselves: for small trees, and for tests.
impl Nodes for [Hash] {
    type Error = std::convert::Infallible;
    fn node(&self, level: u32, index: u64) -> Result<Hash, Self::Error> {
        let from = usize::try_from(index << level).expect("leaves that lie in memory are counted by usize");
        Ok(super::root_of(self[from..from + (1 << level)].iter().copied()))
    }
}

/// The root of the first `size` leaves.
///
/// # Errors
/// What the store says.
pub fn root_at<N: Nodes + ?Sized>(nodes: &N, size: u64) -> Result<Hash, N::Error> {
    range(nodes, 0, size)
}

/// Proves that the leaf at `index` is among the first `size`; `index` lies below `size`.
///
/// # Errors
/// What the store says.
pub fn inclusion<N: Nodes + ?Sized>(nodes: &N, index: u64, size: u64) -> Result<Vec<Hash>, N::Error> {
    let (mut from, mut to, mut proof) = (0, size, Vec::new());
    while to - from > 1 {
        let middle = split(from, to);
        if index < middle {
            proof.push(range(nodes, middle, to)?);
            to = middle;
        } else {
            proof.push(range(nodes, from, middle)?);
            from = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Proves that the first `old` leaves are the beginning of the first `new`; `old` is at most `new`. Empty where nothing is
/// to be proved.
///
/// # Errors
/// What the store says.
pub fn consistency<N: Nodes + ?Sized>(nodes: &N, old: u64, new: u64) -> Result<Vec<Hash>, N::Error> {
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let (mut from, mut to, mut proof) = (0, new, Vec::new());
    // Down to the subtree that ends where the old tree does.
    while to != old {
        let middle = split(from, to);
        if old <= middle {
            proof.push(range(nodes, middle, to)?);
            to = middle;
        } else {
            proof.push(range(nodes, from, middle)?);
            from = middle;
        }
    }
    // The verifier knows the old root itself.
    if from != 0 {
        proof.push(range(nodes, from, to)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Where a tree of more than one leaf is split: after the largest power of two below its size.
fn split(from: u64, to: u64) -> u64 {
    from + (1 << (to - from - 1).ilog2())
}

/// The root over the leaves `from..to`, where `from` is a multiple of the power of two that the range fits into.
fn range<N: Nodes + ?Sized>(nodes: &N, from: u64, to: u64) -> Result<Hash, N::Error> {
    let size = to - from;
    if size == 0 {
        return Ok(empty_root());
    }
    if size.is_power_of_two() {
        return nodes.node(size.ilog2(), from >> size.ilog2());
    }
    let middle = split(from, to);
    Ok(node(&range(nodes, from, middle)?, &range(nodes, middle, to)?))
}
