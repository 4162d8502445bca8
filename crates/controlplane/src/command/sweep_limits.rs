//! `SweepLimits`: forgets ledgers whose epoch ended long ago, after what became of them is in the control log, and rates that nobody
//! uses.

use aegis_model::caps;
use aegis_proto::control::{Rate, SweepLimits, Swept, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::kind::{Asked, Failure, Kind};
use super::who::Who;
use crate::state::borrowers::Fates;
use crate::state::key::EVERYWHERE;
use crate::state::writer::Writer;
use crate::state::{budgets, ended_ledgers, rates};

/// What is to be removed.
pub(crate) struct Checked {
    ledgers: Vec<u64>,
    rates: Vec<Rate>,
}

impl Kind for SweepLimits {
    const NAME: &'static str = "SweepLimits";
    const WHO: Who = Who::control_node();
    /// Happens by itself, all the time.
    const LOGGED: bool = false;
    type Checked = Checked;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        String::new()
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        let ledgers = budgets::ended(state, asked.now_ms(), caps::SWEEP_ROWS_MAX)?;
        let rates = rates::unused(state, asked.now_ms(), caps::SWEEP_ROWS_MAX)?;
        Ok(Checked { ledgers, rates })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let Checked { ledgers, rates } = checked;
        let mut fates = Fates::default();
        let mut ended = ended_ledgers::take(write, caps::SWEEP_ROWS_MAX, &mut fates)?;
        let more = [ended.len(), ledgers.len(), rates.len()].contains(&caps::SWEEP_ROWS_MAX);
        for number in &ledgers {
            ended.push(budgets::delete(write, *number, &mut fates)?);
        }
        ended_ledgers::write_down(write, &ended)?;
        for rate in &rates {
            rates::delete(write, rate)?;
        }
        Ok(done::Result::Swept(Swept { removed: (ended.len() + rates.len()) as u64, more }))
    }
}
