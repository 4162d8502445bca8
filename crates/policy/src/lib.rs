//! Compiles policy text to a checked program and an OPA bundle; evaluates it to a verdict with its explanation.
//!
//! The way of a policy: sources → [`check`] → [`ast::PolicySet`] → [`compile`] (Rego units and an index) →
//! the bundle for a stock OPA, and [`prepared::Prepared`] for this process. The same units serve both.
//!
//! What this crate does not do: it reads no file, no clock and no socket; the caller brings texts and moments.

pub mod ast;
pub mod bundle;
pub mod cases;
pub mod check;
pub mod compile;
pub mod custom;
pub mod diagnostic;
pub mod diff;
pub mod enforce;
pub mod input;
pub mod judge;
pub mod obligation;
mod parallel;
pub mod prepared;
pub mod program;
pub mod redaction;
pub mod regex_subset;
mod schema;
pub mod sources;
pub mod tests_file;
mod yaml;
