//! Calling back what others hold: somebody waits for a budget that is out in leases.

use std::collections::BTreeMap;
use std::time::Duration;

use aegis_model::caps;
use aegis_model::clock::Monotonic;
use aegis_model::money::Micros;
use aegis_proto::control::Loan;
use aegis_raft_store::tables::{StateRead, StoreError};

use crate::state::budgets;

/// Who was asked for what lately, so that nobody is asked again before they could answer.
#[derive(Debug, Default)]
pub(super) struct Recalls {
    asked: BTreeMap<(u64, u64), Monotonic>,
}

/// What others hold of a ledger.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// How much of it those hold who are there to be asked.
    pub(super) amount: u64,
    /// Those to be asked now.
    pub(super) ask: Vec<u64>,
}

impl Recalls {
    /// What data nodes other than `waiting` hold of a ledger, as far as `is_there` knows them in that life; whom to ask for it
    /// now, if somebody `waits`.
    pub(super) fn of(
        &mut self,
        state: &impl StateRead,
        ledger: u64,
        waiting: u64,
        waits: bool,
        is_there: impl Fn(&Loan) -> bool,
        now: Monotonic,
    ) -> Result<Held, StoreError> {
        let Some(found) = budgets::by_number(state, ledger)? else { return Ok(Held::default()) };
        let mut held = Held::default();
        let others = found.ledger.loans.iter().filter(|loan| loan.node != waiting);
        for loan in others.filter(|loan| is_there(loan)) {
            held.amount = Micros(held.amount).saturating_add(Micros(loan.amount)).0;
            if waits && self.is_due(ledger, loan.node, now) {
                held.ask.push(loan.node);
            }
        }
        Ok(held)
    }

    /// Whether it is time to ask; noted as asked.
    fn is_due(&mut self, ledger: u64, node: u64, now: Monotonic) -> bool {
        let due = self.asked.get(&(ledger, node)).is_none_or(|asked| now.since(*asked) >= PAUSE);
        if due {
            self.asked.insert((ledger, node), now);
        }
        due
    }

    /// Forgets who was asked long ago.
    pub(super) fn pass(&mut self, now: Monotonic) {
        self.asked.retain(|_, asked| now.since(*asked) < PAUSE);
    }
}

const PAUSE: Duration = Duration::from_millis(caps::LEND_RECALL_MS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_again_before_they_could_answer() {
        let at = |ms| Monotonic(Duration::from_millis(ms));
        let mut recalls = Recalls::default();
        assert!(recalls.is_due(1, 7, at(0)) && recalls.is_due(1, 8, at(0)) && recalls.is_due(2, 7, at(0)));
        assert!(!recalls.is_due(1, 7, at(caps::LEND_RECALL_MS - 1)));
        assert!(recalls.is_due(1, 7, at(caps::LEND_RECALL_MS)));
        recalls.pass(at(3 * caps::LEND_RECALL_MS));
        assert!(recalls.asked.is_empty());
    }
}
