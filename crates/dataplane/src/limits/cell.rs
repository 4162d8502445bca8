//! The word of a lease: on the heap, or in the journal; it notices when the lease runs low.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use aegis_limits::cell::Cell;
use aegis_limits::lease::rest_of;
use aegis_model::money::Micros;

use super::desk::{BudgetId, Desk};
use super::journal::SlotWord;

/// The word of a lease.
#[derive(Debug)]
pub(crate) struct LeaseCell {
    word: Word,
    bell: Bell,
}

#[derive(Debug)]
enum Word {
    /// Only in tests, and in nodes whose leases nobody has to recover.
    #[cfg_attr(not(test), expect(dead_code, reason = "every lease of a node is journalled"))]
    Heap(AtomicU64),
    Journal(SlotWord),
}

/// Rings once the half of a lease is spent, so that nobody has to look at all of them all the time.
#[derive(Debug)]
struct Bell {
    half: Micros,
    budget: BudgetId,
    desk: Arc<Desk>,
}

impl LeaseCell {
    /// A word on the heap, of a lease of `amount`.
    #[cfg(test)]
    pub(super) fn on_heap(amount: Micros, budget: BudgetId, desk: Arc<Desk>) -> Self {
        Self { word: Word::Heap(AtomicU64::new(0)), bell: Bell { half: Micros(amount.0 / 2), budget, desk } }
    }

    /// A word in the journal, of a lease of `amount`.
    pub(super) fn in_journal(word: SlotWord, amount: Micros, budget: BudgetId, desk: Arc<Desk>) -> Self {
        Self { word: Word::Journal(word), bell: Bell { half: Micros(amount.0 / 2), budget, desk } }
    }
}

impl Bell {
    fn hear(&self, seen: u64, new: u64) {
        if rest_of(new) <= self.half && rest_of(seen) > self.half {
            self.desk.runs_low(self.budget);
        }
    }
}

impl Cell for LeaseCell {
    fn load(&self) -> u64 {
        match &self.word {
            Word::Heap(word) => Cell::load(word),
            Word::Journal(word) => word.load(),
        }
    }

    fn store(&self, value: u64) {
        match &self.word {
            Word::Heap(word) => Cell::store(word, value),
            Word::Journal(word) => word.store(value),
        }
    }

    fn exchange(&self, seen: u64, new: u64) -> Result<(), u64> {
        match &self.word {
            Word::Heap(word) => Cell::exchange(word, seen, new)?,
            Word::Journal(word) => word.exchange(seen, new)?,
        }
        self.bell.hear(seen, new);
        Ok(())
    }
}
