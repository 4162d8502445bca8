//! Raft between the control nodes: who leads, what is committed, who belongs to the cluster.
//!
//! Start at [`node`]. A command goes [`proposer`] → [`submit`] → openraft → `raft-store`, or by way of [`peers`] to the
//! leader's [`service`]; a read goes through [`read`]. [`keeper`] is what a node does unasked,
//! [`agreement`] what it holds of the others' states. openraft decides; here is
//! what it leaves open: connections and who may use them, batches, time, and the precise word on what became of a command.
//!
//! What this module does not do: it does not know what a command means (see `command`), and keeps nothing on disk
//! (see `raft-store`).

pub mod node;
pub mod timings;

mod proposal;
mod proposer;
mod submit;

mod read;

pub mod changes;
pub mod membership;

pub mod backup;
pub mod replicate;

mod agreement;
mod ask;
mod clocks;
mod keeper;
mod log_time;
pub mod object_store;
mod shared;
pub mod standings;

pub mod envelope;
pub mod listen;
pub mod service;
pub mod tls;

mod network;
mod peers;
mod snapshot;
mod wire;

pub use agreement::{Agreement, Difference};
pub use clocks::Verdict;
pub use proposal::{NotAccepted, ProposeError, Proposed};
pub use read::ReadError;
pub use shared::{Counters, Local};
pub use wire::Malformed;
