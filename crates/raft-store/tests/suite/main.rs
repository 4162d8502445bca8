//! Tests of the store through its public door.

#![expect(clippy::unwrap_used, reason = "where a helper fails, its test fails")]

mod crash;
mod crashes;
mod damage;
mod directories;
mod disk;
mod machine;
mod openraft_suite;
mod restores;
mod round_trip;
mod snapshots;
mod syncs;
mod tables;
