//! `TakeLending`: a control node begins to lend. Nobody lends with an older term from then on, however late what they
//! proposed arrives.

use aegis_proto::control::{Lender, TakeLending, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::actor::Actor;
use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::Who;
use crate::state::key::EVERYWHERE;
use crate::state::lender;
use crate::state::writer::Writer;

impl Kind for TakeLending {
    const NAME: &'static str = "TakeLending";
    const WHO: Who = Who::control_node();
    /// Happens by itself whenever another node leads.
    const LOGGED: bool = false;
    type Checked = Lender;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        String::new()
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Lender, Failure> {
        let Actor::ControlNode(node) = *asked.actor else {
            return Err(Refused::invalid("actor", "a control node").into());
        };
        let before = lender::lender(state)?;
        Ok(Lender { term: before.term + 1, node, at_ms: asked.now_ms(), nodes: before.nodes })
    }

    fn apply(row: Lender, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        lender::put(write, &row)?;
        Ok(done::Result::Lending(row))
    }
}
