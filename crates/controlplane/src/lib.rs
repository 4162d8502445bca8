//! The replicated state, its commands, the admin API and the feed to data-plane nodes.
//!
//! What this crate does not do: it never sees the body of a call, but for the cleaned parameters of one that people are asked
//! about, and does not know the data plane's crate; the two
//! meet only in the messages of the feed.
//!
//! Start at [`control`] (the handle that changes and reads the state), then [`command`] (what can be changed, by whom)
//! and [`state`] (the rows). [`node`] shows how it all hangs together in one process.

pub mod control;

pub mod command;
pub mod machine;
pub mod state;

pub mod raft;

pub mod keys;
pub mod publish;
pub mod store;

pub mod feed;
pub mod shards;

pub mod lending;

pub mod approvals;
pub mod deliveries;
pub mod evidence;
pub mod search;
pub mod tokens;
pub mod witnesses;

pub mod admin;

pub mod node;
pub mod readiness;
pub mod spans;

#[doc(hidden)]
pub mod testing;
