//! The word of a lease: it lies in the journal, and notices when the lease runs low.

use std::sync::Arc;

use aegis_limits::cell::Cell;
use aegis_limits::lease::rest_of;
use aegis_model::money::Micros;

use super::desk::{BudgetId, Desk};
use super::journal::SlotWord;

/// The word of a lease.
#[derive(Debug)]
pub(crate) struct LeaseCell {
    word: SlotWord,
    bell: Bell,
}

/// Rings once the half of a lease is spent, so that nobody has to look at all of them all the time.
#[derive(Debug)]
struct Bell {
    half: Micros,
    budget: BudgetId,
    desk: Arc<Desk>,
}

impl LeaseCell {
    /// A word in the journal, of a lease of `amount`.
    pub(super) fn in_journal(word: SlotWord, amount: Micros, budget: BudgetId, desk: Arc<Desk>) -> Self {
        Self { word, bell: Bell { half: Micros(amount.0 / 2), budget, desk } }
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
        self.word.load()
    }

    fn store(&self, value: u64) {
        self.word.store(value);
    }

    fn exchange(&self, seen: u64, new: u64) -> Result<(), u64> {
        self.word.exchange(seen, new)?;
        self.bell.hear(seen, new);
        Ok(())
    }
}
