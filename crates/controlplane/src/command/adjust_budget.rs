//! `AdjustBudget`: somebody sets another limit for the running epoch of a budget, or forgives what was spent of it.

use aegis_model::money::Micros;
use aegis_proto::control::{AdjustBudget, BudgetAdjusted, BudgetStanding, Ledger, Role, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::lend::ledgers;
use super::refused::{Code, Refused};
use super::who::Who;
use crate::state::borrowers::Lost;
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
            return Err(Refused::unknown(Code::UnknownBudget, "running", ledgers::describe(&key)).into());
        };
        let mut lost = Lost::default();
        let ledger = ledgers::refresh(state, ledger, asked.cluster.history, &mut lost)?;
        let before = budgets::standing(state, &ledger, &mut lost)?;
        let ledger = changed(self, ledger);
        let after = budgets::standing(state, &ledger, &mut lost)?;
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
