//! The Merkle tree of RFC 6962 over the entries of a log: grown one entry at a time, proved, and verified.

mod compact;
mod prove;
mod subtree;
mod verify;

use sha2::{Digest, Sha256};

pub use compact::Compact;
pub use prove::{Nodes, consistency, inclusion, root_at};
pub use subtree::{verify_subtree_consistency, verify_subtree_inclusion};
pub use verify::{ProofError, verify_consistency, verify_inclusion};

use crate::hash::Hash;

/// The hash of a leaf (RFC 6962, 2.1): of the entry, not of the record.
pub fn leaf(entry: &[u8]) -> Hash {
    Hash(Sha256::new_with_prefix([0]).chain_update(entry).finalize().into())
}

/// The hash of a node above two others (RFC 6962, 2.1).
pub fn node(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(&left.0);
    bytes[33..].copy_from_slice(&right.0);
    Hash::of(&bytes)
}

/// The root of a tree without leaves.
pub fn empty_root() -> Hash {
    Hash::of(&[])
}

/// The root of the tree over `leaves`.
pub fn root_of(leaves: impl IntoIterator<Item = Hash>) -> Hash {
    let mut tree = Compact::default();
    leaves.into_iter().for_each(|leaf| tree.push(leaf));
    tree.root()
}

#[cfg(test)]
mod tests;
