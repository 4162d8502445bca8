//! A node and its feed against a control node that a test plays by hand: every message, and every fault.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod control;
mod support;

mod activations;
mod bundles;
mod connections;
mod evidence;
mod order;
mod restarts;
mod staleness;
