//! For tests, of this crate and of others: a state without Raft, and what a cluster begins with.
//!
//! Not for a node: nothing of it outlives the process.

mod direct;
mod dump;
mod world;

pub use direct::Direct;
pub use dump::Dump;
pub use world::World;
