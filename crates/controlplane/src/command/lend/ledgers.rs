//! The rules of a ledger's row: in which epoch it is, which limit counts, and when somebody is to be told. The arithmetic is that of `aegis_limits`.

use aegis_model::caps;
use aegis_model::money::Micros;
use aegis_proto::control::{BudgetAlert, Ledger, LedgerEpoch};
use aegis_proto::v1::{BudgetAsk, LimitKey, LimitLevel, LimitStamp};
use aegis_raft_store::tables::StoreError;

use crate::state::borrowers::Fates;
use crate::state::budgets;
use crate::state::control_log::{self, Act};
use crate::state::key::Scope;
use crate::state::limit_id::{LimitId, LimitOwner};
use crate::state::tenants;
use crate::state::writer::Writer;

/// What a data node says of a budget.
pub(super) struct Terms {
    limit: u64,
    zone: String,
    stamp: LimitStamp,
    pub(super) waiting: Micros,
    pub(super) least: Micros,
    pub(super) per_second: Micros,
}

/// Reads what a data node says of a budget; nothing if an amount is none, or its policy is of a history yet to come.
pub(super) fn terms(ask: &BudgetAsk, history: u64) -> Option<Terms> {
    let amount = |amount: u64| Some(Micros(amount)).filter(|amount| *amount <= Micros::MAX);
    Some(Terms {
        limit: amount(ask.limit)?.0,
        zone: Some(ask.zone.clone()).filter(|zone| zone.len() <= caps::NAME_BYTES_MAX)?,
        stamp: ask.stamp.filter(|stamp| stamp.history <= history)?,
        waiting: amount(ask.waiting)?,
        least: amount(ask.least)?,
        per_second: amount(ask.per_second)?,
    })
}

/// The ledger of the running epoch, so that nothing is granted of an epoch before or to come (LIM-1), or the code of why there is none. The epoch that somebody proposed counts only if none is
/// running; then it has to hold this moment and to begin no earlier than the last one ended.
pub(super) fn running(
    write: &mut Writer<'_, '_>,
    id: &LimitId,
    terms: &Terms,
    proposed: &LedgerEpoch,
    fates: &mut Fates,
) -> Result<Result<Ledger, &'static str>, StoreError> {
    let (now_ms, history) = (log_time(write.now_ms()), write.cluster().history);
    let newest = budgets::newest(write, id)?;
    let end_ms = newest.as_ref().and_then(|ledger| ledger.epoch).map_or(i64::MIN, |epoch| epoch.end_ms);
    if let Some(ledger) = newest.as_ref().filter(|_| now_ms < end_ms) {
        return budgets::refresh(write, ledger.clone(), history, fates).map(Ok);
    }
    if proposed.start_ms < end_ms || !(proposed.start_ms..proposed.end_ms).contains(&now_ms) {
        return Ok(Err("epoch_over"));
    }
    if newest.is_none() && !budgets::has_room(write, id.owner())? {
        return Ok(Err("too_many_budgets"));
    }
    // What was granted between the backup and the restore is unknown, also of epochs that the backup did not hold.
    let began_ms = log_time(write.cluster().history_began_ms);
    let void = history > 1 && proposed.start_ms < began_ms;
    // A node that has missed a policy does not bring its limit back with a new day.
    let (limit, stamp) = match &newest {
        Some(before) => (before.limit, before.stamp),
        None => (terms.limit, Some(terms.stamp)),
    };
    let ledger = Ledger {
        key: Some(id.key().clone()),
        epoch: Some(*proposed),
        zone: terms.zone.clone(),
        limit,
        stamp,
        revision: 1,
        history,
        void,
        ..Ledger::default()
    };
    budgets::open(write, id, budgets::voided(ledger), newest.as_ref()).map(Ok)
}

/// Takes over what a data node says of the limit: the newest policy counts, and of equally new ones, as with a canary, the
/// lowest limit.
pub(super) fn instruct(ledger: Ledger, terms: &Terms) -> Ledger {
    let known = ledger.stamp.unwrap_or_default();
    let order = (terms.stamp.history, terms.stamp.number).cmp(&(known.history, known.number));
    let (limit, zone) = match order {
        std::cmp::Ordering::Less => return ledger,
        std::cmp::Ordering::Equal => (ledger.limit.min(terms.limit), ledger.zone.clone()),
        std::cmp::Ordering::Greater => (terms.limit, terms.zone.clone()),
    };
    with_limits(Ledger { stamp: Some(terms.stamp), zone, ..ledger.clone() }, limit, ledger.adjusted_limit)
}

/// A ledger with these limits.
pub(crate) fn with_limits(ledger: Ledger, limit: u64, adjusted_limit: Option<u64>) -> Ledger {
    let mut account = budgets::account(&ledger);
    let ledger = Ledger { limit, adjusted_limit, ..ledger };
    account.set_limit(Micros(budgets::limit(&ledger)));
    budgets::voided(budgets::settle(ledger, account))
}

/// What is to be told of a ledger, if more of it is charged than ever before in its epoch.
pub(super) fn alert(ledger: &Ledger) -> Option<BudgetAlert> {
    let limit = budgets::limit(ledger);
    let charged = Micros(ledger.granted).saturating_add(Micros(ledger.debt)).0;
    let reached = |percent: u32| u128::from(charged) * 100 >= u128::from(limit) * u128::from(percent);
    let percent = caps::BUDGET_ALERT_PERCENT.into_iter().rev().find(|percent| reached(*percent))?;
    let new = limit > 0 && percent > ledger.alerted;
    new.then(|| BudgetAlert { key: ledger.key.clone(), percent, limit, charged })
}

/// Notes an alert in the control log of the tenant; of an organization, in the cluster's.
pub(super) fn note_alert(
    write: &mut Writer<'_, '_>,
    actor: &str,
    id: &LimitId,
    alert: &BudgetAlert,
) -> Result<(), StoreError> {
    let scope = match id.owner() {
        LimitOwner::Organization(_) => Scope::Cluster,
        LimitOwner::Tenant(tenant) => {
            let today = write.now_ms() / (24 * 3_600 * 1_000);
            let mut counters = tenants::counters(write, tenant)?;
            if counters.alerts_day != today {
                (counters.alerts_day, counters.alerts) = (today, 0);
            }
            if counters.alerts >= caps::BUDGET_ALERTS_PER_DAY_MAX {
                return Ok(());
            }
            counters.alerts += 1;
            tenants::put_counters(write, tenant, &counters)?;
            Scope::Tenant(tenant.clone())
        }
    };
    let (charged, limit) = (Micros(alert.charged), Micros(alert.limit));
    let summary = format!("{}: {} % are charged, {charged} of {limit}", describe(id.key()), alert.percent);
    let act = Act { scope: &scope, actor, command: "BudgetAlert", refused: "", summary: &summary };
    control_log::append(write, &act)
}

/// A budget in words.
pub(crate) fn describe(key: &LimitKey) -> String {
    let LimitKey { owner, agent, entry, unit, .. } = key;
    match key.level() {
        LimitLevel::Organization => format!("budget `{unit}` of organization `{owner}`"),
        LimitLevel::Agent => format!("budget `{unit}` of agent `{agent}`"),
        LimitLevel::Entry => format!("budget `{unit}` of agent `{agent}` for `{entry}`"),
        LimitLevel::Tenant | LimitLevel::Unspecified => format!("budget `{unit}` of tenant `{owner}`"),
    }
}

/// A log time as epochs count it.
pub(crate) fn log_time(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
