//! Tests of the audit crate through its public doors.

#![expect(clippy::unwrap_used, clippy::panic, reason = "where a helper fails, its test fails")]

mod interop;
mod merkle_vectors;
mod notes;
mod records;
mod samples;
mod tiles;
mod witnesses;
