//! What was taken for a call, until it is known whether the call comes about and what it really costs.
//!
//! ```text
//!  Reservation ── commit ──▶ Charge ── settle ──▶ Settlement
//!      │ refund, or dropped      │ dropped: stays charged as it is
//!      ▼                         ▼
//!  given back                  spent
//! ```

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use aegis_model::clock::Monotonic;
use aegis_model::money::Micros;

use crate::bucket::Token;
use crate::cell::Cell;
use crate::hierarchy::{Account, Costs, Hierarchy, LEVELS, Level};
use crate::purse::{Payment, Purse};

/// What was taken at all levels for a call that may still be refused. Dropped, it gives back what was paid, but no tokens,
/// since that needs the present moment; they grow again by themselves.
#[derive(Debug)]
#[must_use = "a reservation that is dropped is given back"]
pub struct Reservation<C: Cell = AtomicU64> {
    hierarchy: Arc<Hierarchy<C>>,
    held: [Held; LEVELS],
    /// The call came about: nothing is given back.
    committed: bool,
}

/// What was taken at one level.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    pub(crate) token: Option<Token>,
    pub(crate) paid: Option<Payment>,
}

/// What a call that came about was charged. Kept until its real cost is known, or dropped: then it stays as it is.
#[derive(Debug)]
pub struct Charge<C: Cell = AtomicU64>(Reservation<C>);

/// What a settlement could not put in order at this node, by level in the order of [`Level::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settlement {
    /// Real cost that no lease here covers: to be recorded as debt in the ledger.
    pub debt: [Micros; LEVELS],
    /// Unspent, but of a lease whose rest was reported before: stays spent.
    pub late: [Micros; LEVELS],
}

impl<C: Cell> Reservation<C> {
    pub(crate) fn empty(hierarchy: Arc<Hierarchy<C>>) -> Self {
        Self { hierarchy, held: [Held::default(); LEVELS], committed: false }
    }

    pub(crate) fn held_mut(&mut self, level: Level) -> &mut Held {
        &mut self.held[level as usize]
    }

    /// What is reserved at a level.
    pub fn paid(&self, level: Level) -> Micros {
        self.held[level as usize].paid.map_or(Micros::ZERO, Payment::amount)
    }

    /// The call was refused, or never reached its tool: gives back all that was taken, tokens included.
    pub fn refund(mut self, now: Monotonic) {
        for level in Level::ALL {
            let token = self.held_mut(level).token.take();
            let bucket = self.hierarchy.account(level).and_then(|account| account.bucket.as_deref());
            if let (Some(token), Some(bucket)) = (token, bucket) {
                bucket.refund(token, now);
            }
        }
        // What was paid goes back as `self` is dropped.
    }

    /// The call was allowed: it stays charged.
    pub fn commit(mut self) -> Charge<C> {
        self.committed = true;
        Charge(self)
    }
}

impl<C: Cell> Drop for Reservation<C> {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        for level in Level::ALL {
            let paid = self.held_mut(level).paid.take();
            if let (Some(paid), Some(purse)) = (paid, purse(&self.hierarchy, level)) {
                // Late: a lease whose rest was taken meanwhile keeps it as spent, the strict side.
                let _ = purse.refund(paid, paid.amount());
            }
        }
    }
}

impl<C: Cell> Charge<C> {
    /// What is charged at a level.
    pub fn paid(&self, level: Level) -> Micros {
        self.0.paid(level)
    }

    /// Replaces what was charged by what the call really cost. Who may say so is for the caller to know.
    ///
    /// - Less: the difference goes back to the lease that paid, unless its rest was reported before.
    /// - More: leases of the same budget pay the difference as far as they go; the rest is debt.
    /// - A level that was free of charge stays so, and one without a budget has nothing to settle.
    pub fn settle(self, real: &Costs) -> Settlement {
        let mut settlement = Settlement::default();
        for level in Level::ALL {
            let at = level as usize;
            let (Some(paid), Some(purse)) = (self.0.held[at].paid, purse(&self.0.hierarchy, level)) else {
                continue;
            };
            let (back, more) =
                (paid.amount().saturating_sub(real.0[at]), real.0[at].saturating_sub(paid.amount()));
            if !back.is_zero() && purse.refund(paid, back).is_err() {
                settlement.late[at] = back;
            }
            if !more.is_zero() {
                settlement.debt[at] = more.saturating_sub(purse.spend_up_to(more));
            }
        }
        settlement
    }
}

fn purse<C: Cell>(hierarchy: &Hierarchy<C>, level: Level) -> Option<&Purse<C>> {
    hierarchy.account(level).and_then(|account: &Account<C>| account.purse.as_deref())
}
