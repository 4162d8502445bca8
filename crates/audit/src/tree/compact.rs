//! A tree that only grows, kept as the roots of its complete subtrees.

use super::{empty_root, node};
use crate::hash::Hash;

/// The compact form of a tree: one hash per bit that is set in its size. Appending costs two hashes on average.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compact {
    size: u64,
    /// The roots of its complete subtrees, largest first.
    roots: Vec<Hash>,
}

impl Compact {
    /// The tree of this size with these complete subtrees, largest first, if their number fits.
    pub fn from_roots(size: u64, roots: Vec<Hash>) -> Option<Self> {
        (roots.len() == size.count_ones() as usize).then_some(Self { size, roots })
    }

    /// How many leaves it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends the hash of a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut root = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.roots.pop().expect("a set bit of the size has its root");
            root = node(&left, &root);
        }
        self.roots.push(root);
        self.size += 1;
    }

    /// The root of the whole.
    pub fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev();
        let Some(&last) = roots.next() else { return empty_root() };
        roots.fold(last, |right, left| node(left, &right))
    }
}
