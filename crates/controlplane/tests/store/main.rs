//! The object store through its doors: one contract, kept by a folder, by a server that speaks S3, and by Google's.

#![expect(clippy::unwrap_used, clippy::panic, reason = "where a helper fails, its test fails")]

mod contract;
mod folder;
mod google;
mod opa;
mod s3;
mod worker;
