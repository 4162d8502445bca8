//! An open-loop load generator, and the peers a decision is compared with.
//!
//! It answers three questions: how long do callers wait at a given rate, what does a decision cost the server in
//! CPU time, and how does that compare with an empty echo on the same stack and with a stock OPA.
//!
//! Start at [`pump`] (how load is made), then [`link`] (one connection, per kind of target), [`servers`] (the
//! processes under load), [`compare`] (rounds and ratios) and [`report`].
//!
//! What it does not do: it does not ship, and it reaches no other machine; it starts what it measures.

pub mod schedule;
pub mod watch;

pub mod pump;
pub mod tally;

pub mod calls;
pub mod target;

pub mod link;

pub mod echo;
pub mod servers;

pub mod cpu;

pub mod compare;
pub mod report;
pub mod stats;

pub mod bounds;
