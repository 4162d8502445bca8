//! Finds and redacts sensitive spans in text, JSON and streams.
//!
//! What this crate does not do: it knows no tenants and no policies, reads no clock and no file, and keeps nothing of what it
//! has seen. The caller says what is looked for, what becomes of it, and under which key.
//!
//! Start at [`scanner::Scanner::scan`] (what is in this text?). What is found where, and why it does not matter how a text is
//! cut: `docs/internals/dlp.md`.

pub mod finding;
pub mod kind;

pub mod scanner;
pub mod stream;

pub mod redact;

pub mod checksum;
pub mod custom;

mod pass;
mod resolve;

mod near;
mod numbers;
mod place;
mod words;

mod detectors;
mod secrets;
mod views;
