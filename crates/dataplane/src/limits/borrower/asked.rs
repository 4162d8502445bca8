//! An ask under way, and what goes back with one.

use std::sync::Arc;

use aegis_limits::lease::Lease;
use aegis_model::money::Micros;
use aegis_proto::v1;

use super::super::budget::Budget;
use super::super::cell::LeaseCell;
use super::super::desk::BudgetId;
use super::super::journal::{Recovered, Slot};
use super::pocket::Held;

/// An ask that was not answered.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) message: v1::LendAsk,
    /// Of which it asks, in its order.
    pub(super) budgets: Vec<Arc<Budget>>,
    pub(super) returns: Vec<Return>,
}

/// What goes back of a lease.
#[derive(Debug)]
pub(super) struct Return {
    /// Of this life; none: of an earlier one, or of a lease that could not be kept.
    pub(super) budget: Option<BudgetId>,
    /// Where it is journalled.
    pub(super) slot: Option<Slot>,
    /// The lease itself, if it is of this life: calls may still have it in hand.
    pub(super) held: Option<Arc<Lease<LeaseCell>>>,
    ledger: u64,
    lease: u64,
    unspent: Micros,
    recovered: bool,
}

impl Return {
    /// Of a lease whose rest was taken.
    pub(super) fn of(budget: BudgetId, held: &Held, unspent: Micros) -> Self {
        Self {
            budget: Some(budget),
            slot: Some(held.slot.clone()),
            held: Some(Arc::clone(&held.lease)),
            ledger: held.ledger,
            lease: held.lease.id().0,
            unspent,
            recovered: false,
        }
    }

    /// Of a lease that could not be kept, and so was never spent from.
    pub(super) fn unspent(ledger: u64, lease: u64, amount: Micros) -> Self {
        Self { budget: None, slot: None, held: None, ledger, lease, unspent: amount, recovered: false }
    }

    /// Of a lease that an earlier life left in the journal.
    pub(super) fn of_earlier_life(found: Recovered) -> Self {
        let Recovered { entry, rest, slot } = found;
        Self {
            budget: None,
            slot: Some(slot),
            held: None,
            ledger: entry.ledger,
            lease: entry.lease,
            unspent: rest,
            recovered: true,
        }
    }

    pub(super) fn is_of_earlier_life(&self) -> bool {
        self.recovered
    }

    pub(super) fn to_proto(&self) -> v1::LeaseReturn {
        v1::LeaseReturn {
            ledger: self.ledger,
            lease: self.lease,
            unspent: self.unspent.0,
            recovered: self.recovered,
        }
    }
}
