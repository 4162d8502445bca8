//! One node: takes a call from any surface, walks it, answers it.
//!
//! Start at [`walk::walk`], which is the whole flow on one screen. Around it: [`snapshot::Snapshot`] (what a call is
//! judged under), [`decider::Decider`] (what a walk uses), the surfaces `http` and `grpc` (bytes in, bytes out),
//! `serve` (sockets), and [`node::Node`], which binds and owns all of it.
//!
//! What this crate does not do: it reads no configuration and no policy file, mints no token, decides no rule of its
//! own, and knows neither Raft nor the control plane.

mod waiting;
pub mod walk;

pub mod case;
mod stages;

mod admission;
pub mod answer;
mod approvals;
mod charges;
mod complete;
pub mod decider;
pub mod snapshot;

pub mod archive;
mod decision_id;
mod digest;
mod evidence;
pub mod export;
mod freshness;
mod laps;
mod limits;
mod metrics;
mod names;
mod occupied;
mod peers;
mod price;
mod records;
mod replay;
pub mod retention;
mod room;
mod sealing;
mod search;
mod sensitive;
mod subject;
mod tally;
mod tokens;

mod grpc;
pub mod http;

mod budget;
mod metrics_page;
mod readiness;
mod serve;

pub mod node;

pub mod feed;

pub mod spans;

pub use decision_id::{BadNodeName, NodeName};
pub use records::{JournalConfig, standalone};
pub use serve::Patience;

#[cfg(test)]
mod testing;
