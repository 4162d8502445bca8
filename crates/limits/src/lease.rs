//! A lease at its data node: a call is paid by one change of one word, without message or lock.
//!
//! ```text
//!  open ── stop ──▶ stopped ── take_rest ──▶ taken
//!    └──────────────── take_rest ──────────────▲
//! ```
//!
//! *Open*: calls are paid. *Stopped*: none is, but what a refused call gives back still counts. *Taken*: nothing changes any
//! more, and the rest was handed to one caller, who reports it. What was spent never exceeds what was granted (LIM-1),
//! since state and rest are one word: no payment can slip between reading the rest and closing the lease.
//!
//! The word may lie in a mapped file ([`Lease::in_cell`]). After the process was killed it still says the exact rest
//! ([`recovered_rest`]), also if it was taken and nobody knows whether its report arrived: the ledger credits a lease once.

use std::sync::atomic::AtomicU64;

use aegis_model::money::Micros;

use crate::cell::{Cell, update};
use crate::ledger::LeaseId;

/// Set when the lease pays no more.
const STOPPED: u64 = 1 << 62;
/// Set when the rest was handed out.
const TAKEN: u64 = 1 << 63;
/// The bits of the rest.
const REST: u64 = STOPPED - 1;

const _: () = assert!(Micros::MAX.0 <= REST, "every amount fits below the marks");

/// A lease of a budget, from which any number of threads pays.
#[derive(Debug)]
pub struct Lease<C: Cell = AtomicU64> {
    id: LeaseId,
    amount: Micros,
    word: C,
}

/// Why a lease does not pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unpaid {
    /// It has less than the call costs.
    #[error("the lease has too little left")]
    Short,
    /// It pays no more.
    #[error("the lease was stopped")]
    Stopped,
}

/// What came back too late, after the rest was taken: it stays spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the rest of the lease was taken before")]
pub struct Late;

impl Lease {
    /// A lease as it was granted, with its word on the heap. `amount` is at most [`Micros::MAX`], as all grants are.
    pub fn open(id: LeaseId, amount: Micros) -> Self {
        Self::in_cell(id, amount, AtomicU64::new(0))
    }
}

impl<C: Cell> Lease<C> {
    /// A lease as it was granted, whose word is `cell`. The word is overwritten.
    pub fn in_cell(id: LeaseId, amount: Micros, cell: C) -> Self {
        let amount = amount.min(Micros::MAX);
        cell.store(amount.0);
        Self { id, amount, word: cell }
    }

    /// Its number.
    pub fn id(&self) -> LeaseId {
        self.id
    }

    /// What was granted.
    pub fn amount(&self) -> Micros {
        self.amount
    }

    /// What is left. The next moment it may be another amount.
    pub fn rest(&self) -> Micros {
        Micros(self.word.load() & REST)
    }

    /// Whether it still pays.
    pub fn is_open(&self) -> bool {
        self.word.load() & (STOPPED | TAKEN) == 0
    }

    /// Pays for a call, in full or not at all.
    ///
    /// # Errors
    /// Why it does not pay; nothing has changed.
    pub fn spend(&self, cost: Micros) -> Result<(), Unpaid> {
        let paid = update(&self.word, |word| match word & (STOPPED | TAKEN) {
            0 => word.checked_sub(cost.0),
            _ => None,
        });
        paid.map(|_| ()).map_err(|word| match word & (STOPPED | TAKEN) {
            0 => Unpaid::Short,
            _ => Unpaid::Stopped,
        })
    }

    /// Pays as much of `cost` as there is, and gives what was paid. For costs that have come about already.
    pub fn spend_up_to(&self, cost: Micros) -> Micros {
        let paid = update(&self.word, |word| match word & (STOPPED | TAKEN) {
            0 => Some(word - word.min(cost.0)),
            _ => None,
        });
        paid.map_or(Micros::ZERO, |(before, after)| Micros(before - after))
    }

    /// Puts back what was paid for a call that did not come about. The rest never grows beyond the amount of the lease.
    ///
    /// # Errors
    /// The rest was taken before; what would have come back stays spent.
    pub fn refund(&self, paid: Micros) -> Result<(), Late> {
        let amount = self.amount.0;
        let back = update(&self.word, |word| {
            let rest = (word & REST).saturating_add(paid.0).min(amount);
            (word & TAKEN == 0).then_some(word & STOPPED | rest)
        });
        back.map(|_| ()).map_err(|_| Late)
    }

    /// Stops it: it pays no more. Refunds of calls under way still count, until the rest is taken.
    pub fn stop(&self) {
        // The word never has a value for which this gives nothing.
        let _ = update(&self.word, |word| Some(word | STOPPED));
    }

    /// Closes it and hands out the rest, to one caller only: to be reported to the ledger. No payment comes after it.
    pub fn take_rest(&self) -> Option<Micros> {
        let taken = update(&self.word, |word| (word & TAKEN == 0).then_some(word | STOPPED | TAKEN));
        taken.ok().map(|(before, _)| Micros(before & REST))
    }
}

/// The rest that a word of a lease says, whatever its marks.
pub const fn rest_of(word: u64) -> Micros {
    Micros(word & REST)
}

/// What a word that outlived its process says was left of a lease of `amount`; nothing if no lease leaves such a word, and
/// then the lease is spent.
pub fn recovered_rest(word: u64, amount: Micros) -> Option<Micros> {
    let rest = Micros(word & REST);
    let possible = word & (STOPPED | TAKEN) != TAKEN;
    (possible && rest <= amount).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(amount: u64) -> Lease {
        Lease::open(LeaseId(7), Micros(amount))
    }

    #[test]
    fn a_lease_pays_what_it_has_and_no_more() {
        let lease = lease(100);
        assert_eq!(lease.spend(Micros(60)), Ok(()));
        assert_eq!(lease.spend(Micros(41)), Err(Unpaid::Short));
        assert_eq!(lease.spend(Micros(u64::MAX)), Err(Unpaid::Short), "LIM-1: no wrap");
        assert_eq!((lease.spend(Micros(40)), lease.rest()), (Ok(()), Micros::ZERO));
        assert_eq!(lease.spend(Micros::ZERO), Ok(()), "what costs nothing fits");
    }

    #[test]
    fn costs_that_have_come_about_take_what_there_is() {
        let lease = lease(100);
        assert_eq!(lease.spend_up_to(Micros(60)), Micros(60));
        assert_eq!(lease.spend_up_to(Micros(60)), Micros(40));
        lease.refund(Micros(10)).unwrap();
        lease.stop();
        assert_eq!(lease.spend_up_to(Micros(1)), Micros::ZERO);
    }

    #[test]
    fn a_stopped_lease_takes_refunds_until_its_rest_is_taken() {
        let lease = lease(100);
        lease.spend(Micros(60)).unwrap();
        lease.stop();
        assert!(!lease.is_open());
        assert_eq!(lease.spend(Micros(1)), Err(Unpaid::Stopped));
        assert_eq!(lease.refund(Micros(20)), Ok(()));
        assert_eq!(lease.spend(Micros(1)), Err(Unpaid::Stopped), "a refund does not open it");
        assert_eq!((lease.take_rest(), lease.take_rest()), (Some(Micros(60)), None));
        assert_eq!((lease.refund(Micros(40)), lease.rest()), (Err(Late), Micros(60)));
    }

    #[test]
    fn a_refund_never_makes_more_than_was_granted() {
        let lease = lease(100);
        lease.spend(Micros(10)).unwrap();
        for too_much in [Micros(11), Micros(u64::MAX)] {
            lease.refund(too_much).unwrap();
            assert_eq!((lease.rest(), lease.is_open()), (Micros(100), true));
        }
    }

    #[test]
    fn a_word_says_the_rest_after_its_process_died() {
        let word = AtomicU64::new(u64::MAX);
        let lease = Lease::in_cell(LeaseId(1), Micros(100), &word);
        lease.spend(Micros(30)).unwrap();
        let rest = || recovered_rest(word.load(std::sync::atomic::Ordering::Relaxed), Micros(100));
        assert_eq!(rest(), Some(Micros(70)));
        lease.stop();
        assert_eq!(rest(), Some(Micros(70)));
        lease.take_rest();
        assert_eq!(rest(), Some(Micros(70)), "reported or not: the ledger credits it once");
    }

    #[test]
    fn a_word_that_no_lease_leaves_counts_for_nothing() {
        for word in [101, u64::MAX, TAKEN, TAKEN | 5, STOPPED | 101] {
            assert_eq!(recovered_rest(word, Micros(100)), None, "{word:x}");
        }
    }
}
