//! Raft between control nodes: three of them in this process, over real storage, sockets and TLS.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod authority;
mod cluster;
mod machine;
mod stranger;

mod agreement;
mod certificates;
mod clocks;
mod control;
mod hazards;
mod leaders;
mod lending;
mod members;
mod object_store;
mod reads;
mod refusals;
mod standings;
mod writes;
