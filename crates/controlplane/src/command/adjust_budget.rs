//! `AdjustBudget`: somebody sets another limit for the running epoch of a budget, or forgives what was spent of it.

use aegis_model::money::Micros;
use aegis_proto::control::{AdjustBudget, BudgetAdjusted, BudgetStanding, Ledger, Role, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::lend::ledgers;
use super::refused::{Code, Refused};
use super::who::Who;
use crate::state::borrowers::Fates;
use crate::state::budgets;
use crate::state::key::EVERYWHERE;
use crate::state::limit_id::{LimitId, LimitOwner};
use crate::state::writer::Writer;

/// The ledger as it is to be.
pub(crate) struct Checked {
    id: LimitId,
    ledger: Ledger,
    before: BudgetStanding,
    after: BudgetStanding,
}

impl Kind for AdjustBudget {
    const NAME: &'static str = "AdjustBudget";
    const WHO: Who = Who::roles(&[Role::Operator, Role::Admin]);
    type Checked = Checked;

    /// The tenant; what an organization may spend is the cluster's affair.
    fn scope(&self) -> &str {
        match self.key.as_ref().map(|key| (key.level(), key.owner.as_str())) {
            Some((aegis_proto::v1::LimitLevel::Organization, _)) | None => EVERYWHERE,
            Some((_, tenant)) => tenant,
        }
    }

    fn summary(&self) -> String {
        let key = self.key.clone().unwrap_or_default();
        let limit = self.limit.map(|limit| format!(", limit {} until its epoch ends", Micros(limit)));
        let cleared = self.clear_limit.then(|| ", limit of the policy".to_owned());
        let reset = self.reset_spent.then(|| ", spent amount forgiven".to_owned());
        let reason = (!self.reason.is_empty()).then(|| format!(", because: {}", self.reason));
        let changes: String = [limit, cleared, reset, reason].into_iter().flatten().collect();
        format!("{}{changes}", ledgers::describe(&key))
    }

    fn outcome(result: &done::Result) -> String {
        match result {
            done::Result::Budget(BudgetAdjusted { before: Some(before), after: Some(after) }) => {
                format!("before: {}; after: {}", in_words(before), in_words(after))
            }
            _ => String::new(),
        }
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        let key = self.key.clone().unwrap_or_default();
        let id = LimitId::budget(&key).map_err(|bad| Refused::invalid(bad.field, bad))?;
        if let LimitOwner::Tenant(tenant) = id.owner() {
            checks::living_tenant(state, tenant.as_str())?;
        }
        checks::words("reason", &self.reason)?;
        check_changes(self)?;
        let now_ms = ledgers::log_time(asked.now_ms());
        let runs = |ledger: &Ledger| ledger.epoch.is_some_and(|epoch| now_ms < epoch.end_ms);
        let Some(ledger) = budgets::newest(state, &id)?.filter(runs) else {
            let message =
                format!("nothing of the {} was asked for in a running epoch", ledgers::describe(&key));
            return Err(Refused::new(Code::UnknownBudget, message).into());
        };
        let (mut fates, history) = (Fates::default(), asked.cluster.history);
        let ledger = budgets::refresh(state, ledger, history, &mut fates)?;
        let before = budgets::standing(state, ledger.clone(), history, &mut fates)?;
        let ledger = changed(self, ledger);
        let after = budgets::standing(state, ledger.clone(), history, &mut fates)?;
        Ok(Checked { id, ledger, before, after })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let Checked { id, ledger, before, after } = checked;
        budgets::put(write, budgets::LEDGERS, &id, &ledger)?;
        Ok(done::Result::Budget(BudgetAdjusted { before: Some(before), after: Some(after) }))
    }
}

fn check_changes(command: &AdjustBudget) -> Result<(), Refused> {
    if command.limit.is_some_and(|limit| Micros(limit) > Micros::MAX) {
        return Err(Refused::invalid("limit", format!("at most {}", Micros::MAX)));
    }
    if command.limit.is_some() && command.clear_limit {
        return Err(Refused::invalid("clear_limit", "absent where `limit` is set"));
    }
    if command.limit.is_none() && !command.clear_limit && !command.reset_spent {
        return Err(Refused::invalid("limit", "set, or `clear_limit`, or `reset_spent`"));
    }
    Ok(())
}

/// Only what is forgiven makes a void ledger count again: a limit alone says nothing of what was spent.
fn changed(command: &AdjustBudget, ledger: Ledger) -> Ledger {
    let ledger = if command.reset_spent { forgiven(ledger) } else { ledger };
    let adjusted = match command.limit {
        Some(limit) => Some(limit),
        None => ledger.adjusted_limit.filter(|_| !command.clear_limit),
    };
    let limit = ledger.limit;
    ledgers::with_limits(ledger, limit, adjusted)
}

fn forgiven(ledger: Ledger) -> Ledger {
    let mut account = budgets::account(&ledger);
    account.forgive_spent();
    budgets::settle(Ledger { void: false, ..ledger }, account)
}

fn in_words(standing: &BudgetStanding) -> String {
    let BudgetStanding { limit, granted, lent, debt, .. } = *standing;
    let [limit, granted, lent, debt] = [limit, granted, lent, debt].map(Micros);
    format!("limit {limit}, granted {granted}, of which {lent} are lent, debt {debt}")
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::{Role, TakeLending};
    use aegis_proto::v1::{LimitKey, LimitLevel};

    use super::*;
    use crate::state::control_log;
    use crate::state::page::PageQuery;
    use crate::testing::World;

    /// A world in which 60 of a budget of 100 are out in a lease.
    fn world() -> World {
        let world = World::new();
        world.tenant("acme");
        world.done(TakeLending {}, &World::node());
        world.data_node(7);
        need(&world, 1, 60);
        world
    }

    fn need(world: &World, number: u64, cost: u64) {
        let organization = LimitKey {
            level: LimitLevel::Organization.into(),
            owner: "initech".to_owned(),
            unit: "usd".to_owned(),
            ..LimitKey::default()
        };
        let needs = [key(), organization].map(|key| World::need(&key, 100, cost));
        world.done(world.lend(vec![World::ask(7, 1, number, needs.to_vec())]), &World::node());
    }

    fn key() -> LimitKey {
        World::budget_key("acme", "crawler", "usd")
    }

    fn command() -> AdjustBudget {
        AdjustBudget { key: Some(key()), ..AdjustBudget::default() }
    }

    fn adjusted(world: &World, command: AdjustBudget) -> (BudgetStanding, BudgetStanding) {
        match world.done(command, &World::root()).done.result {
            Some(done::Result::Budget(BudgetAdjusted { before: Some(before), after: Some(after) })) => {
                (before, after)
            }
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn a_limit_counts_until_its_day_ends_whatever_policies_say() {
        let world = world();
        let (before, after) = adjusted(&world, AdjustBudget { limit: Some(40), ..command() });
        assert_eq!((before.limit, after.limit, after.policy_limit), (100, 40, 100));
        need(&world, 2, 1);
        let (before, after) = adjusted(&world, AdjustBudget { limit: Some(150), ..command() });
        assert_eq!((before.granted, after.revision), (60, before.revision + 1), "nothing was granted");
        need(&world, 3, 70);
        let (before, after) = adjusted(&world, AdjustBudget { clear_limit: true, ..command() });
        assert_eq!((before.granted, before.limit, after.limit, after.adjusted_limit), (130, 150, 100, None));
        adjusted(&world, AdjustBudget { limit: Some(1), ..command() });
        world.pass_seconds(24 * 3_600);
        assert_eq!(world.refused(command_of_limit(), &World::root()).code, Code::UnknownBudget);
        need(&world, 4, 90);
        assert_eq!(adjusted(&world, command_of_limit()).0.granted, 90, "another day, another limit");
    }

    fn command_of_limit() -> AdjustBudget {
        AdjustBudget { limit: Some(1), ..command() }
    }

    #[test]
    fn what_was_spent_is_forgiven_but_not_what_is_out() {
        let world = world();
        let (before, after) = adjusted(&world, AdjustBudget { reset_spent: true, ..command() });
        assert_eq!((before.granted, after.granted, after.lent), (60, 60, 60));
        // The process ends without a proof of what it had left.
        world.data_node(7);
        let ask = aegis_proto::v1::LendAsk { number: 1, recovered: true, ..Default::default() };
        let asked =
            aegis_proto::control::NodeAsk { node: 7, incarnation: 2, ask: Some(ask), epochs: Vec::new() };
        world.done(world.lend(vec![asked]), &World::node());
        let (before, after) = adjusted(&world, AdjustBudget { reset_spent: true, ..command() });
        assert_eq!((before.granted, before.lent, after.granted), (60, 0, 0));
        assert!(after.revision > before.revision);
    }

    #[test]
    fn the_record_says_who_and_what_was_before_and_after() {
        let world = world();
        let reason = "a big sale".to_owned();
        adjusted(&world, AdjustBudget { limit: Some(2_500_000), reason, ..command() });
        let acme = "acme".parse().expect("a name");
        let records = control_log::of_tenant(&world.view(), &acme, &PageQuery::first()).expect("memory").rows;
        assert_eq!((records[0].actor.as_str(), records[0].command.as_str()), ("root", "AdjustBudget"));
        assert_eq!(
            records[0].summary,
            "budget `usd` of agent `crawler`, limit 2.5 until its epoch ends, because: a big sale; \
             before: limit 0.0001, granted 0.00006, of which 0.00006 are lent, debt 0; \
             after: limit 2.5, granted 0.00006, of which 0.00006 are lent, debt 0"
        );
    }

    #[test]
    fn an_organizations_budget_is_the_clusters_affair() {
        let world = world();
        let key = LimitKey {
            level: LimitLevel::Organization.into(),
            owner: "initech".to_owned(),
            unit: "usd".to_owned(),
            ..LimitKey::default()
        };
        let command = AdjustBudget { key: Some(key), limit: Some(5), ..AdjustBudget::default() };
        // A tenant of the same name gives no right to it.
        world.tenant("initech");
        let of_tenant = world.with_role("ann", "initech", Role::Admin);
        assert_eq!(world.refused(command.clone(), &of_tenant).code, Code::Forbidden);
        world.done(command, &world.with_role("bob", "*", Role::Operator));
    }

    #[test]
    fn forms_are_checked() {
        let world = world();
        let bad = [
            AdjustBudget { key: None, ..command_of_limit() },
            AdjustBudget { key: Some(LimitKey { unit: String::new(), ..key() }), ..command_of_limit() },
            command(),
            AdjustBudget { limit: Some(u64::MAX), ..command() },
            AdjustBudget { clear_limit: true, ..command_of_limit() },
            AdjustBudget { reason: "x".repeat(aegis_model::caps::WORDS_BYTES_MAX + 1), ..command_of_limit() },
        ];
        for command in bad {
            assert_eq!(world.refused(command.clone(), &World::root()).code, Code::Invalid, "{command:?}");
        }
        let key = World::budget_key("acme", "nobody", "usd");
        let unknown = AdjustBudget { key: Some(key), ..command_of_limit() };
        assert_eq!(world.refused(unknown, &World::root()).code, Code::UnknownBudget);
        let key = World::budget_key("globex", "crawler", "usd");
        let unknown = AdjustBudget { key: Some(key), ..command_of_limit() };
        assert_eq!(world.refused(unknown, &World::root()).code, Code::UnknownTenant);
    }
}
