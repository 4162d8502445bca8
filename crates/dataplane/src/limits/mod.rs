//! What this node may spend of budgets and use of rates: a book of all of them, which borrows from the control plane's leader.
//!
//! ```text
//!  call ── pays from ──▶ Budget: leases ──┐                              ┌──▶ link ══ Lending ══▶ the leader
//!  call ── takes from ─▶ Rate: bucket  ───┤── needs ──▶ desk ──▶ borrower┤
//!                                         └◀─ leases, shares, droughts ──┘──▶ journal: what a killed process left
//! ```
//!
//! A call asks nobody as long as there are leases and tokens. What a lease pays is charged already, so nothing that happens
//! to this node, the leader or the wires makes more be spent than a budget has (LIM-1). `docs/internals/limits.md` tells the
//! states, and what survives what.

mod key;

mod book;

mod budget;

mod rate;

mod cell;

mod desk;

mod borrower;

mod lender;

mod link;

mod journal;

pub(crate) use book::{Book, Identity, TooMany};
pub(crate) use budget::{Budget, Dry};
pub(crate) use cell::LeaseCell;
pub(crate) use key::{BudgetKey, BudgetTerms, RateKey, RateTerms, Stamp, Whose};
pub(crate) use lender::Lending;
pub(crate) use link::LinkConfig;
pub(crate) use rate::{NoShare, Rate};

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests;
