//! The crate through its public doors: tokens good and hostile, public vectors, minting, cache, inspection, TLS.

#![expect(clippy::unwrap_used, reason = "where a helper fails, its test fails")]

mod forge;

mod assertions;
mod cache;
mod foreign;
mod hostile_tokens;
mod inspection;
mod manifests;
mod minting;
mod mutations;
mod persons;
mod tls;
mod vectors;
