//! `Lend`: what data nodes asked for within a few milliseconds: leases are taken back, debts are noted, leases are
//! granted, and who may use which part of a rate is remembered.
//!
//! The command is refused as a whole if it is not the newest lender's. Otherwise each ask is answered by itself, and a repeated one
//! as it was before.

mod desk;
pub(super) mod ledgers;

use aegis_proto::control::{Lend, Lent, NodeAsk, Rate, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::Who;
use crate::state::key::EVERYWHERE;
use crate::state::limit_id::LimitId;
use crate::state::writer::Writer;
use crate::state::{lender, rates};
use desk::Desk;

/// What is to be done, and in whose name.
pub(crate) struct Checked {
    actor: String,
    nodes: u32,
    asks: Vec<NodeAsk>,
    rates: Vec<(LimitId, Rate)>,
}

impl Kind for Lend {
    const NAME: &'static str = "Lend";
    const WHO: Who = Who::control_node();
    /// Happens all the time. Alerts about budgets have records of their own.
    const LOGGED: bool = false;
    type Checked = Checked;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        String::new()
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        if self.history != asked.cluster.history {
            return Err(Refused::stale("history", asked.cluster.history).into());
        }
        let newest = lender::lender(state)?.term;
        if self.lender_term != newest || newest == 0 {
            return Err(Refused::stale("lender term", newest).into());
        }
        let mut rates = Vec::with_capacity(self.rates.len());
        for rate in &self.rates {
            let id = rate.key.as_ref().map(LimitId::rate).and_then(Result::ok);
            rates.push((id.ok_or_else(|| Refused::invalid("rates", "keys of rates"))?, rate.clone()));
        }
        Ok(Checked { actor: asked.by(), nodes: self.nodes, asks: self.asks.clone(), rates })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let mut row = lender::lender(write)?;
        if row.nodes != checked.nodes {
            row.nodes = checked.nodes;
            lender::put(write, &row)?;
        }
        let mut rates_refused = Vec::new();
        for (position, (id, rate)) in (0..).zip(&checked.rates) {
            if !rates::put(write, id, rate)? {
                rates_refused.push(position);
            }
        }
        let mut desk = Desk::new(write, &checked.actor, checked.nodes);
        let mut answers = Vec::with_capacity(checked.asks.len());
        for ask in &checked.asks {
            answers.push(desk.answer(ask)?);
        }
        Ok(done::Result::Lent(Lent { answers, alerts: desk.into_alerts(), rates_refused }))
    }
}

#[cfg(test)]
mod tests;
