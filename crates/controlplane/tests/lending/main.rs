//! Lending from one end to the other: control nodes over one state, and data nodes played by hand.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod support;

mod budgets;
mod rates;
mod streams;
