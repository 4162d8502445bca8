//! The feed from one end to the other: a state with real commands, control nodes, and data nodes that answer calls.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod support;

mod certificates;
mod draining;
mod followers;
mod nodes;
mod shards;
