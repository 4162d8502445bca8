//! The record, its Merkle tree, checkpoints, proofs, their verification, and the durable journal.
//!
//! What this crate does not do: it knows no node, no policy and no network, and not who made a record. It reads no clock,
//! has no randomness of its own, and starts two threads per open journal.
//!
//! Start at [`record`] (what is written down), [`tree`] and [`checkpoint`] (what makes it evidence), [`journal`] (how it
//! gets to the disk) and [`verify`] (how somebody else finds out). The page `docs/internals/audit.md` has the picture.

pub mod hash;
pub mod record;

pub mod tiles;
pub mod tree;

pub mod keys;
pub mod note;
pub mod origin;

pub mod checkpoint;
pub mod control;
pub mod receipt;
pub mod witness;
pub mod witness_memory;

pub mod heads;
pub mod journal;
pub mod segment;

pub mod export;
pub mod forward;
pub mod ledgers;
pub mod prune;
pub mod pruned;
pub mod read;
pub mod search;
pub mod siem;
pub mod upload;
pub mod verify;
