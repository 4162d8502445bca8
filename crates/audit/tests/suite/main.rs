//! Tests of the audit crate through its public doors.

#![expect(clippy::unwrap_used, clippy::panic, reason = "where a helper fails, its test fails")]

mod copies;
mod crashes;
mod disks;
mod faulty;
mod housekeeping;
mod interop;
mod journals;
mod kills;
mod ledgers;
mod merkle_vectors;
mod mutations;
mod node;
mod notes;
mod ocsf;
mod prunings;
mod records;
mod samples;
mod searches;
mod tiles;
mod uploads;
mod witness_memory;
mod witnesses;
