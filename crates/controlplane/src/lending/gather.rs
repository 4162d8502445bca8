//! What data nodes asked for within a few milliseconds, made into commands: one, unless it is too large for that.

use std::collections::{BTreeMap, BTreeSet};

use aegis_limits::epoch::Zone;
use aegis_model::caps;
use aegis_proto::control::{LedgerEpoch, Lend, NodeAsk, Rate};
use aegis_proto::v1;
use aegis_raft_store::tables::{StateRead, StoreError};
use prost::Message;

use super::stream::StreamId;
use crate::state::budgets;
use crate::state::limit_id::LimitId;

/// What came in since the last command.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) asks: Vec<(StreamId, v1::LendAsk)>,
    pub(super) ticks: Vec<(StreamId, v1::RateTick)>,
}

impl Gathered {
    pub(super) fn is_empty(&self) -> bool {
        self.asks.is_empty() && self.ticks.is_empty()
    }
}

/// A command in the making, and whom it concerns.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) lend: Lend,
    /// Who asks, in the order of the command's asks.
    pub(super) asking: Vec<Asking>,
    /// The rates that are replicated, up to which number, in the order of the command's.
    pub(super) rates: Vec<(LimitId, u64)>,
    bytes: usize,
}

/// A data node that waits for its answer.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) stream: StreamId,
    /// For which of its budgets calls wait, by their position.
    pub(super) waiting: BTreeSet<usize>,
}

/// Commands in the making: the last one takes what still fits.
pub(super) struct Drafts {
    head: Lend,
    drafts: Vec<Draft>,
}

/// Bytes that one command may have without its envelope.
const BYTES_MAX: usize = caps::COMMAND_BYTES_MAX - (1 << 10);

impl Drafts {
    /// Commands that begin with what `head` says.
    pub(super) fn new(head: Lend) -> Self {
        Self { head, drafts: Vec::new() }
    }

    pub(super) fn ask(&mut self, stream: StreamId, asked: NodeAsk) {
        let budgets = asked.ask.as_ref().map_or(&[][..], |ask| &ask.budgets);
        let waiting = budgets.iter().enumerate().filter(|(_, budget)| budget.waiting > 0);
        let waiting = waiting.map(|(position, _)| position).collect();
        let draft = self.with_room(asked.encoded_len());
        draft.lend.asks.push(asked);
        draft.asking.push(Asking { stream, waiting });
    }

    pub(super) fn rate(&mut self, id: LimitId, rate: Rate, number: u64) {
        let draft = self.with_room(rate.encoded_len());
        draft.lend.rates.push(rate);
        draft.rates.push((id, number));
    }

    pub(super) fn finish(self) -> Vec<Draft> {
        self.drafts
    }

    fn with_room(&mut self, bytes: usize) -> &mut Draft {
        // A tag and a length beside each.
        let bytes = bytes + 8;
        if self.drafts.last().is_none_or(|draft| draft.bytes + bytes > BYTES_MAX) {
            let lend = self.head.clone();
            self.drafts.push(Draft { lend, asking: Vec::new(), rates: Vec::new(), bytes: 0 });
        }
        let at = self.drafts.len() - 1;
        let draft = &mut self.drafts[at];
        draft.bytes += bytes;
        draft
    }
}

/// Time zones that budgets are counted in, by their names.
#[derive(Debug, Default)]
pub(super) struct Zones {
    known: BTreeMap<String, Zone>,
}

impl Zones {
    /// The epochs that begin if none is running, for each budget that is asked for.
    pub(super) fn epochs(
        &mut self,
        state: &impl StateRead,
        ask: &v1::LendAsk,
        now_ms: u64,
    ) -> Result<Vec<LedgerEpoch>, StoreError> {
        let mut epochs = Vec::with_capacity(ask.budgets.len());
        for budget in &ask.budgets {
            let id = budget.key.as_ref().and_then(|key| LimitId::budget(key).ok());
            let epoch = match id {
                Some(id) => budgets::epoch_at(state, &id, self.named(&budget.zone), now_ms)?.ok(),
                None => None,
            };
            // One that cannot be told is refused where the command is applied.
            epochs.push(epoch.unwrap_or_default());
        }
        Ok(epochs)
    }

    /// The zone of this name. A node of newer software may know one that this one does not: its days are those of UTC then.
    fn named(&mut self, name: &str) -> &Zone {
        self.known.entry(name.to_owned()).or_insert_with(|| match name {
            "" => Zone::utc(),
            name => Zone::named(name).unwrap_or_else(|error| {
                tracing::warn!(zone = %name.escape_debug(), %error, "a budget is counted in days of UTC");
                Zone::utc()
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    #[test]
    fn what_does_not_fit_goes_into_the_next_command() {
        let key = World::budget_key("acme", &"a".repeat(caps::NAME_BYTES_MAX), "usd");
        let rate_key = v1::LimitKey { unit: String::new(), ..key };
        let id = LimitId::rate(&rate_key).expect("a key");
        let rate = Rate { key: Some(rate_key), ..Rate::default() };
        let mut drafts = Drafts::new(Lend { history: 7, ..Lend::default() });
        for number in 0..5_000 {
            drafts.rate(id.clone(), rate.clone(), number);
        }
        let drafts = drafts.finish();
        assert!(drafts.len() > 1, "{}", drafts.len());
        let numbers = drafts.iter().flat_map(|draft| draft.rates.iter().map(|(_, number)| *number));
        assert!(numbers.eq(0..5_000));
        for draft in drafts {
            assert_eq!(draft.lend.history, 7);
            assert_eq!(draft.lend.rates.len(), draft.rates.len());
            assert!(draft.lend.encoded_len() + 512 < caps::COMMAND_BYTES_MAX);
        }
    }
}
