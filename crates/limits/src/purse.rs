//! What a data node has to spend of one budget: its present lease, and soon the next one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aegis_model::caps::LEASES_PER_PURSE_MAX;
use aegis_model::money::Micros;
use arc_swap::ArcSwap;

use crate::cell::Cell;
use crate::lease::{Late, Lease};
use crate::ledger::LeaseId;

/// The leases of one budget at one node, oldest first. Reading it takes no lock; it changes with grants and returns only.
#[derive(Debug)]
pub struct Purse<C: Cell = AtomicU64> {
    leases: ArcSwap<Vec<Entry<C>>>,
    /// The number of the last entry.
    entered: AtomicU64,
    /// Grows after each change of the leases.
    version: AtomicU64,
}

/// The leases of a purse as they were, and its version then. Paying from it is as good as paying from the purse, since
/// whether a lease pays is said by the lease; only leases that came since are missing.
#[derive(Debug)]
pub(crate) struct View<C: Cell> {
    version: u64,
    leases: Arc<Vec<Entry<C>>>,
}

impl<C: Cell> View<C> {
    /// As [`Purse::spend`].
    pub(crate) fn spend(&self, cost: Micros) -> Result<Payment, Short> {
        spend(&self.leases, cost)
    }
}

/// A lease in a purse, under a number that no other one in it has, of whatever epoch.
#[derive(Debug)]
struct Entry<C: Cell> {
    number: u64,
    /// The ledger that it is of.
    ledger: u64,
    lease: Arc<Lease<C>>,
}

impl<C: Cell> Clone for Entry<C> {
    fn clone(&self) -> Self {
        Self { number: self.number, ledger: self.ledger, lease: Arc::clone(&self.lease) }
    }
}

/// What was paid for a call, and by which lease. A small value, so that paying costs one change of one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payment {
    number: u64,
    ledger: u64,
    lease: LeaseId,
    amount: Micros,
}

impl Payment {
    /// What was paid.
    pub fn amount(self) -> Micros {
        self.amount
    }

    /// The ledger of the lease that paid, as [`Purse::add_of`] was told.
    pub fn ledger(self) -> u64 {
        self.ledger
    }

    /// The lease that paid.
    pub fn lease(self) -> LeaseId {
        self.lease
    }
}

/// No lease of the purse pays this cost alone: a grant is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no lease has enough left")]
pub struct Short;

/// As many leases as a purse holds are in it. The new one was not taken in: its rest is to be returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the purse is full of leases that were not returned")]
pub struct Full;

impl<C: Cell> Default for Purse<C> {
    fn default() -> Self {
        Self { leases: ArcSwap::default(), entered: AtomicU64::new(0), version: AtomicU64::new(0) }
    }
}

impl<C: Cell> Purse<C> {
    /// Takes in a lease that was granted, behind those that are there, where nobody tells ledgers apart.
    ///
    /// # Errors
    /// [`Full`], at [`LEASES_PER_PURSE_MAX`].
    pub fn add(&self, lease: &Arc<Lease<C>>) -> Result<(), Full> {
        self.add_of(lease, 0)
    }

    /// The same, of a lease of the ledger that has this number.
    ///
    /// # Errors
    /// [`Full`], at [`LEASES_PER_PURSE_MAX`].
    pub fn add_of(&self, lease: &Arc<Lease<C>>, ledger: u64) -> Result<(), Full> {
        let number = self.entered.fetch_add(1, Ordering::Relaxed);
        let entry = Entry { number, ledger, lease: Arc::clone(lease) };
        let before = self.leases.rcu(|leases| {
            let room = leases.len() < LEASES_PER_PURSE_MAX;
            leases.iter().chain(room.then_some(&entry)).cloned().collect::<Vec<_>>()
        });
        self.version.fetch_add(1, Ordering::Release);
        if before.len() < LEASES_PER_PURSE_MAX { Ok(()) } else { Err(Full) }
    }

    /// Pays for a call from the oldest lease that has enough: a call is paid by one, so that it can be put back there.
    ///
    /// # Errors
    /// [`Short`]; nothing has changed.
    pub fn spend(&self, cost: Micros) -> Result<Payment, Short> {
        spend(&self.leases.load(), cost)
    }

    /// Puts back `amount` of what was paid, to the lease that paid.
    ///
    /// # Errors
    /// [`Late`]: its rest was taken before. It stays spent, unless the ledger is told ([`crate::ledger::Ledger::save`]).
    pub fn refund(&self, payment: Payment, amount: Micros) -> Result<(), Late> {
        let leases = self.leases.load();
        let payer = leases.iter().find(|entry| entry.number == payment.number).ok_or(Late)?;
        payer.lease.refund(amount.min(payment.amount))
    }

    /// Pays as much of `cost` as all leases of this ledger have together, and gives what was paid. What a call costs more than it
    /// was charged counts where the call does.
    pub fn spend_up_to(&self, ledger: u64, cost: Micros) -> Micros {
        let leases = self.leases.load();
        leases.iter().filter(|entry| entry.ledger == ledger).fold(Micros::ZERO, |paid, entry| {
            paid.saturating_add(entry.lease.spend_up_to(cost.saturating_sub(paid)))
        })
    }

    /// What open leases have left together.
    pub fn rest(&self) -> Micros {
        let leases = self.leases.load();
        let open = leases.iter().filter(|entry| entry.lease.is_open());
        open.fold(Micros::ZERO, |sum, entry| sum.saturating_add(entry.lease.rest()))
    }

    /// Whether one of the leases has enough for a call of this cost. The next moment it may be otherwise.
    pub fn pays(&self, cost: Micros) -> bool {
        let leases = self.leases.load();
        leases.iter().any(|entry| entry.lease.is_open() && entry.lease.rest() >= cost)
    }

    /// Whether half of the newest lease is spent, and nothing older makes up for it: time to ask for the next one.
    pub fn is_low(&self) -> bool {
        let newest = self.leases.load().last().map_or(Micros::ZERO, |entry| entry.lease.amount());
        self.rest().0 <= newest.0 / 2
    }

    /// All leases, oldest first. Those before the newest may have too little left for a call, and are to be returned then.
    pub fn all(&self) -> Vec<Arc<Lease<C>>> {
        self.leases.load().iter().map(|entry| Arc::clone(&entry.lease)).collect()
    }

    /// Lets go of a lease whose rest was taken. Before that it stays, stopped or not, since calls under way may give back
    /// what it paid.
    pub fn remove(&self, lease: &Arc<Lease<C>>) {
        self.leases.rcu(|leases| {
            let others = leases.iter().filter(|entry| !Arc::ptr_eq(&entry.lease, lease));
            others.cloned().collect::<Vec<_>>()
        });
        self.version.fetch_add(1, Ordering::Release);
    }

    /// The leases as they are.
    pub(crate) fn view(&self) -> View<C> {
        // The version first: a change in between makes the view look old, never new.
        let version = self.version.load(Ordering::Acquire);
        View { version, leases: self.leases.load_full() }
    }

    /// Whether the leases are still those of `view`.
    pub(crate) fn is_as_in(&self, view: &View<C>) -> bool {
        self.version.load(Ordering::Acquire) == view.version
    }
}

fn spend<C: Cell>(leases: &[Entry<C>], cost: Micros) -> Result<Payment, Short> {
    let payer = leases.iter().find(|entry| entry.lease.spend(cost).is_ok()).ok_or(Short)?;
    Ok(Payment { number: payer.number, ledger: payer.ledger, lease: payer.lease.id(), amount: cost })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purse(amounts: &[u64]) -> Purse {
        let purse = Purse::default();
        for (id, amount) in amounts.iter().enumerate() {
            purse.add(&Arc::new(Lease::open(LeaseId(id as u64), Micros(*amount)))).unwrap();
        }
        purse
    }

    fn spend(purse: &Purse, cost: u64) -> Result<u64, Short> {
        purse.spend(Micros(cost)).map(|payment| payment.number)
    }

    #[test]
    fn the_oldest_lease_that_has_enough_pays() {
        let purse = purse(&[10, 100]);
        assert_eq!(spend(&purse, 8), Ok(0));
        assert_eq!(spend(&purse, 8), Ok(1));
        assert_eq!(spend(&purse, 2), Ok(0));
        assert_eq!(spend(&purse, 93), Err(Short), "one lease pays, not two");
        assert!(purse.pays(Micros(92)) && !purse.pays(Micros(93)));
        assert_eq!(purse.rest(), Micros(92));
        assert_eq!((purse.spend_up_to(0, Micros(93)), purse.rest()), (Micros(92), Micros::ZERO));
    }

    #[test]
    fn it_is_low_at_half() {
        assert!(purse(&[]).is_low());
        let purse = purse(&[100]);
        spend(&purse, 49).unwrap();
        assert!(!purse.is_low());
        spend(&purse, 1).unwrap();
        assert!(purse.is_low());
        purse.add(&Arc::new(Lease::open(LeaseId(9), Micros(80)))).unwrap();
        assert!(!purse.is_low());
        purse.all()[1].stop();
        assert!(!purse.is_low() && purse.rest() == Micros(50));
    }

    #[test]
    fn a_payment_goes_back_to_the_lease_that_paid() {
        let purse = purse(&[10, 100]);
        let payment = purse.spend(Micros(20)).unwrap();
        assert_eq!(purse.refund(payment, Micros(5)), Ok(()));
        assert_eq!(purse.all()[1].rest(), Micros(85));
        assert_eq!(purse.refund(payment, Micros(95)), Ok(()), "no more than was paid");
        assert_eq!(purse.all().iter().map(|lease| lease.rest().0).collect::<Vec<_>>(), [10, 100]);
        let payment = purse.spend(Micros(20)).unwrap();
        let lease = purse.all().remove(1);
        assert_eq!(lease.take_rest(), Some(Micros(80)));
        assert_eq!(purse.refund(payment, Micros(20)), Err(Late));
        purse.remove(&lease);
        // A lease of the next epoch may have the same id, and is another one.
        purse.add(&Arc::new(Lease::open(lease.id(), Micros(100)))).unwrap();
        assert_eq!(purse.refund(payment, Micros(20)), Err(Late));
    }

    #[test]
    fn leases_come_and_go() {
        let purse = purse(&[1; LEASES_PER_PURSE_MAX]);
        let late = Arc::new(Lease::open(LeaseId(99), Micros(1)));
        assert_eq!(purse.add(&late), Err(Full));
        assert_eq!(purse.all().len(), LEASES_PER_PURSE_MAX);
        purse.remove(&purse.all()[0]);
        assert_eq!(purse.add(&late), Ok(()));
        assert_eq!(purse.all().last().unwrap().id(), LeaseId(99));
    }
}
