//! Compiles policy text to a checked program and an OPA bundle; evaluates it to a verdict with its explanation.
//!
//! The way of a policy: sources → [`check`] → [`ast::PolicySet`] → [`compile`] (Rego units and an index) →
//! the bundle for a stock OPA, and [`prepared::Prepared`] for this process. The same units serve both.
//!
//! What this crate does not do: it reads no file, no clock and no socket; the caller brings texts and moments.

pub mod ast;
pub mod diagnostic;
pub mod judge;
