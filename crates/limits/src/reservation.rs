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
use crate::hierarchy::{Costs, Hierarchy};
use crate::ledger::LeaseId;
use crate::purse::{Payment, Purse};

/// What was taken at all accounts for a call that may still be refused. Dropped, it gives back what was paid, but no tokens,
/// since that needs the present moment; they grow again by themselves.
#[derive(Debug)]
#[must_use = "a reservation that is dropped is given back"]
pub struct Reservation<C: Cell = AtomicU64> {
    hierarchy: Arc<Hierarchy<C>>,
    /// By account, of the first few: enough for one limit per level without a place of its own in memory.
    near: [Held; NEAR],
    /// Of the others.
    far: Vec<Held>,
    /// The call came about: nothing is given back.
    committed: bool,
}

/// Accounts whose part of a reservation lies within it.
const NEAR: usize = 4;

/// What was taken at one account.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    pub(crate) token: Option<Token>,
    pub(crate) paid: Option<Payment>,
}

/// What a call that came about was charged. Kept until its real cost is known, or dropped: then it stays as it is.
#[derive(Debug)]
pub struct Charge<C: Cell = AtomicU64>(Reservation<C>);

/// What a settlement could not put in order at this node: amounts by account of the hierarchy, where there are any.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settlement {
    /// Real cost that no lease here covers: to be recorded as debt in the ledger.
    pub debt: Vec<Debt>,
    /// Unspent, but of leases whose rest was reported before.
    pub late: Vec<Saving>,
}

/// What a call cost more than it was charged, and no lease of its ledger covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Debt {
    /// The account of the hierarchy.
    pub account: usize,
    /// The ledger of the lease that paid for the call.
    pub ledger: u64,
    /// How much.
    pub amount: Micros,
}

/// What a call cost less than it was charged, of a lease that cannot take it back any more: stays spent until the ledger knows
/// ([`crate::ledger::Ledger::save`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Saving {
    /// The account of the hierarchy.
    pub account: usize,
    /// The ledger of the lease that paid.
    pub ledger: u64,
    /// The lease that paid.
    pub lease: LeaseId,
    /// How much.
    pub amount: Micros,
}

impl<C: Cell> Reservation<C> {
    pub(crate) fn empty(hierarchy: Arc<Hierarchy<C>>) -> Self {
        let far = vec![Held::default(); hierarchy.accounts().len().saturating_sub(NEAR)];
        Self { hierarchy, near: [Held::default(); NEAR], far, committed: false }
    }

    pub(crate) fn held_mut(&mut self, account: usize) -> &mut Held {
        if account < NEAR { &mut self.near[account] } else { &mut self.far[account - NEAR] }
    }

    fn held(&self, account: usize) -> Held {
        if account < NEAR { self.near[account] } else { self.far[account - NEAR] }
    }

    /// The limits it was taken from.
    pub fn hierarchy(&self) -> &Arc<Hierarchy<C>> {
        &self.hierarchy
    }

    /// What is reserved at an account.
    pub fn paid(&self, account: usize) -> Micros {
        self.held(account).paid.map_or(Micros::ZERO, Payment::amount)
    }

    /// The ledger of the lease that paid at an account; nothing where nothing was paid.
    pub fn ledger(&self, account: usize) -> Option<u64> {
        self.held(account).paid.map(Payment::ledger)
    }

    /// The call was refused, or never reached its tool: gives back all that was taken, tokens included. Gives what came back too
    /// late for the lease that paid it.
    pub fn refund(mut self, now: Monotonic) -> Vec<Saving> {
        for account in 0..self.hierarchy.accounts().len() {
            let token = self.held_mut(account).token.take();
            let bucket = self.hierarchy.accounts()[account].bucket.as_deref();
            if let (Some(token), Some(bucket)) = (token, bucket) {
                bucket.refund(token, now);
            }
        }
        self.put_back()
    }

    /// Puts back what was paid, and keeps the tokens: for a call of which nobody waits for an answer any more. Gives what came back
    /// too late for the lease that paid it.
    pub fn put_back(&mut self) -> Vec<Saving> {
        let mut late = Vec::new();
        for account in 0..self.hierarchy.accounts().len() {
            let paid = self.held_mut(account).paid.take();
            if let (Some(paid), Some(purse)) = (paid, purse(&self.hierarchy, account))
                && purse.refund(paid, paid.amount()).is_err()
            {
                late.push(Saving::of(account, paid, paid.amount()));
            }
        }
        late
    }

    /// The call was allowed: it stays charged.
    pub fn commit(mut self) -> Charge<C> {
        self.committed = true;
        Charge(self)
    }
}

impl<C: Cell> Drop for Reservation<C> {
    fn drop(&mut self) {
        if !self.committed {
            // Late: a lease whose rest was taken meanwhile keeps it as spent, the strict side.
            let _ = self.put_back();
        }
    }
}

impl Saving {
    fn of(account: usize, paid: Payment, amount: Micros) -> Self {
        Self { account, ledger: paid.ledger(), lease: paid.lease(), amount }
    }
}

impl<C: Cell> Charge<C> {
    /// The limits it was taken from.
    pub fn hierarchy(&self) -> &Arc<Hierarchy<C>> {
        self.0.hierarchy()
    }

    /// What is charged at an account.
    pub fn paid(&self, account: usize) -> Micros {
        self.0.paid(account)
    }

    /// The ledger of the lease that paid at an account; nothing where nothing was paid.
    pub fn ledger(&self, account: usize) -> Option<u64> {
        self.0.ledger(account)
    }

    /// Replaces what was charged by what the call really cost. Who may say so is for the caller to know.
    ///
    /// - Less: the difference goes back to the lease that paid, or to the ledger if its rest was reported before.
    /// - More: leases of the ledger that was charged pay the difference as far as they go; the rest is debt there. So a call counts
    ///   whole in the epoch in which it was allowed.
    /// - An account that was free of charge stays so, and one without a budget has nothing to settle.
    pub fn settle(self, real: &Costs) -> Settlement {
        let mut settlement = Settlement::default();
        for (account, real) in real.0.iter().enumerate().take(self.hierarchy().accounts().len()) {
            let (Some(paid), Some(purse)) = (self.0.held(account).paid, purse(self.hierarchy(), account))
            else {
                continue;
            };
            let (back, more) = (paid.amount().saturating_sub(*real), real.saturating_sub(paid.amount()));
            if !back.is_zero() && purse.refund(paid, back).is_err() {
                settlement.late.push(Saving::of(account, paid, back));
            }
            let ledger = paid.ledger();
            let debt =
                if more.is_zero() { more } else { more.saturating_sub(purse.spend_up_to(ledger, more)) };
            if !debt.is_zero() {
                settlement.debt.push(Debt { account, ledger, amount: debt });
            }
        }
        settlement
    }
}

fn purse<C: Cell>(hierarchy: &Hierarchy<C>, account: usize) -> Option<&Purse<C>> {
    hierarchy.accounts()[account].purse.as_deref()
}
