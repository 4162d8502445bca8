//! What is found, what is not, and that it does not depend on how a text is cut or hidden.

#![expect(clippy::unwrap_used, clippy::panic, reason = "where a helper fails, its test fails")]

mod custom;
mod detect;
mod faker;
mod hidden;
mod linear;
mod quality;
mod shapes;
mod streams;
mod support;
mod table;
