//! `AdvanceHistory`: begins a new history after a restore, in which older leases, tokens and open approvals are void.

use aegis_model::caps;
use aegis_proto::control::{AdvanceHistory, ChangeKind, Cluster, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::Who;
use crate::state::changes;
use crate::state::key::EVERYWHERE;
use crate::state::writer::Writer;

/// Each history has so many bits of incarnations for itself: a start every microsecond for twelve days.
const INCARNATION_BITS: u32 = 40;

/// And so many of ledgers: a hundred thousand budgets a day for fourteen years. JSON carries numbers up to 2^53, and records name them.
const LEDGER_BITS: u32 = 29;
const _: () = assert!(HISTORY_MAX << LEDGER_BITS < caps::JSON_INTEGER_MAX.unsigned_abs());

/// The last history that has incarnations for itself.
const HISTORY_MAX: u64 = u64::MAX >> INCARNATION_BITS;

impl Kind for AdvanceHistory {
    const NAME: &'static str = "AdvanceHistory";
    const WHO: Who = Who::control_node();
    type Checked = Cluster;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        format!("from history {} to {}", self.from, self.to)
    }

    fn check(&self, _state: &impl StateRead, asked: &Asked<'_>) -> Result<Cluster, Failure> {
        let history = asked.cluster.history;
        if history != self.from {
            return Err(Refused::stale("history", history).into());
        }
        let to = if self.to == 0 { history + 1 } else { self.to };
        if to <= history || to > HISTORY_MAX {
            return Err(Refused::invalid("to", format!("{} to {HISTORY_MAX}, or 0", history + 1)).into());
        }
        Ok(Cluster { history: to, history_began_ms: asked.now_ms(), ..asked.cluster.clone() })
    }

    fn apply(cluster: Cluster, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        // A backup does not know the incarnations that were given after it; none of them may be given again (LIM-2).
        let counters = write.counters_mut();
        counters.incarnations = counters.incarnations.max(cluster.history << INCARNATION_BITS);
        // Nor the numbers of ledgers, which records name for as long as they are kept.
        counters.ledgers = counters.ledgers.max(cluster.history << LEDGER_BITS);
        write.put_cluster(cluster.clone())?;
        changes::note(write, ChangeKind::Cluster, "", "")?;
        Ok(done::Result::Cluster(cluster))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Code;
    use crate::state::meta;
    use crate::testing::World;

    #[test]
    fn a_history_is_left_once() {
        let world = World::new();
        let command = AdvanceHistory { from: 1, to: 0 };
        world.pass_seconds(3);
        world.done(command, &World::node());
        let refused = world.refused(command, &World::node());
        assert_eq!((refused.code, refused.detail("current")), (Code::PreconditionFailed, Some("2")));
        let cluster = meta::cluster(&world.view()).expect("memory").expect("a cluster");
        assert_eq!((cluster.history, cluster.history_began_ms), (2, world.now_ms()));
    }

    #[test]
    fn a_history_may_be_skipped_but_not_come_back() {
        let world = World::new();
        for to in [1, HISTORY_MAX + 1] {
            assert_eq!(world.refused(AdvanceHistory { from: 1, to }, &World::node()).code, Code::Invalid);
        }
        world.done(AdvanceHistory { from: 1, to: 9 }, &World::node());
        assert_eq!(world.refused(AdvanceHistory { from: 9, to: 8 }, &World::node()).code, Code::Invalid);
        world.done(AdvanceHistory { from: 9, to: HISTORY_MAX }, &World::node());
        assert_eq!(
            world.refused(AdvanceHistory { from: HISTORY_MAX, to: 0 }, &World::node()).code,
            Code::Invalid
        );
    }

    #[test]
    fn no_incarnation_of_another_history_is_given_again() {
        let world = World::new();
        let old = world.data_node(7).incarnation;
        world.done(AdvanceHistory { from: 1, to: 0 }, &World::node());
        let new = world.data_node(7).incarnation;
        assert!(new > old && new >> INCARNATION_BITS == 2, "{old} {new}");
    }
}
