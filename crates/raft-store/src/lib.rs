//! Keeps Raft log, vote, state and snapshots in redb; applies each entry exactly once to any [`machine::Machine`].
//!
//! Start at [`machine`] (what a replicated state is to this crate), [`tables`] (how it is read and written) and
//! [`store`] (how a node's directory is opened). The page `docs/internals/raft-store.md` has the picture.
//!
//! What this crate does not do: it knows no command, no network and no clock. What an entry means is the machine's
//! matter; when it is proposed, and to whom it is sent, is the caller's.

pub mod machine;
pub mod tables;
pub mod types;

pub mod backup;
pub mod checkpoint;
pub mod failure;
pub mod identity;
pub mod log;
pub mod snapshot;
pub mod state;
pub mod store;

mod codec;
mod sealed;
