//! Budgets: what is granted of them in their running epochs, and what somebody changes of that.

use aegis_model::ids::OrgId;
use aegis_model::money::Micros;
use aegis_proto::admin::{
    AdjustBudgetRequest, AdjustOrganizationBudgetRequest, AdjustedBudget, Budget, BudgetList,
    BudgetListRequest, OrganizationListRequest,
};
use aegis_proto::control as rows;
use aegis_proto::v1::{LimitKey, LimitLevel};

use super::{row, tenants};
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::{Problem, form};
use crate::state::budgets;

/// Pages that are looked at for one that holds anything, where a filter leaves little: the rest is left to the next call.
const PAGES_MAX: usize = 16;

/// The budgets of a tenant, of its agents, and of what entries allow to them.
pub(crate) async fn list(caller: &Caller, request: BudgetListRequest) -> Result<BudgetList, Problem> {
    let tenant = form::tenant(&request.tenant)?;
    let mut query = form::page(request.limit, &request.cursor)?;
    let state = caller.reads(Read::Tenant(&tenant)).await?;
    tenants::known(&state, &tenant)?;
    let now_ms = now_ms(caller);
    let mut pages = 0;
    loop {
        let page = match request.before {
            false => budgets::budgets(&state, &tenant, &query)?,
            true => budgets::budgets_before(&state, &tenant, &query)?,
        };
        let next = page.next.clone();
        let (mut items, told) = form::listed(page, |standing| shown(standing, now_ms));
        items.retain(|budget| is_wanted(budget, &request));
        pages += 1;
        match next {
            Some(next) if items.is_empty() && pages < PAGES_MAX => query = query.after(next),
            Some(_) | None => return Ok(BudgetList { items, next: told }),
        }
    }
}

fn is_wanted(budget: &Budget, request: &BudgetListRequest) -> bool {
    let is = |wanted: &str, value: &str| wanted.is_empty() || wanted == value;
    is(&request.agent, &budget.agent) && is(&request.entry, &budget.entry) && is(&request.unit, &budget.unit)
}

/// The budgets of an organization as a whole.
pub(crate) async fn of_organization(
    caller: &Caller,
    request: OrganizationListRequest,
) -> Result<BudgetList, Problem> {
    let organization: OrgId = form::name("organization", &request.organization)?;
    let query = form::page(request.limit, &request.cursor)?;
    let state = caller.reads(Read::Cluster).await?;
    let now_ms = now_ms(caller);
    let page = budgets::organization_budgets(&state, &organization, &query)?;
    let (items, next) = form::listed(page, |standing| shown(standing, now_ms));
    Ok(BudgetList { items, next })
}

/// Changes a budget of a tenant within its running epoch.
pub(crate) async fn adjust(caller: &Caller, request: AdjustBudgetRequest) -> Result<AdjustedBudget, Problem> {
    let level = match (request.agent.is_empty(), request.entry.is_empty()) {
        (true, true) => LimitLevel::Tenant,
        (false, true) => LimitLevel::Agent,
        (false, false) => LimitLevel::Entry,
        (true, false) => return Err(Problem::invalid("agent", "an agent, where there is an entry")),
    };
    let key = LimitKey {
        level: level.into(),
        owner: request.tenant.clone(),
        agent: request.agent.clone(),
        entry: request.entry.clone(),
        unit: request.unit.clone(),
    };
    let command = rows::AdjustBudget {
        key: Some(key),
        limit: limit(request.limit.as_deref())?,
        clear_limit: request.clear_limit,
        reset_spent: request.reset_spent,
        reason: request.reason.clone(),
    };
    let adjusted = row!(caller.write("AdjustBudget", &request, command).await?, Budget)?;
    Ok(changed(caller, adjusted))
}

/// Changes a budget of an organization within its running epoch.
pub(crate) async fn adjust_of_organization(
    caller: &Caller,
    request: AdjustOrganizationBudgetRequest,
) -> Result<AdjustedBudget, Problem> {
    let key = LimitKey {
        level: LimitLevel::Organization.into(),
        owner: request.organization.clone(),
        unit: request.unit.clone(),
        ..LimitKey::default()
    };
    let command = rows::AdjustBudget {
        key: Some(key),
        limit: limit(request.limit.as_deref())?,
        clear_limit: request.clear_limit,
        reset_spent: request.reset_spent,
        reason: request.reason.clone(),
    };
    let adjusted = row!(caller.write("AdjustOrganizationBudget", &request, command).await?, Budget)?;
    Ok(changed(caller, adjusted))
}

fn limit(text: Option<&str>) -> Result<Option<u64>, Problem> {
    text.map(|text| form::amount("limit", text).map(|limit| limit.0)).transpose()
}

fn changed(caller: &Caller, adjusted: rows::BudgetAdjusted) -> AdjustedBudget {
    let now_ms = now_ms(caller);
    let shown = |standing: Option<rows::BudgetStanding>| standing.map(|it| shown(it, now_ms));
    AdjustedBudget { before: shown(adjusted.before), after: shown(adjusted.after) }
}

/// The log time: by it epochs end.
fn now_ms(caller: &Caller) -> i64 {
    i64::try_from(caller.admin().control().applied().borrow().log_time_ms).unwrap_or(i64::MAX)
}

fn shown(standing: rows::BudgetStanding, now_ms: i64) -> Budget {
    let key = standing.key.unwrap_or_default();
    let level = match key.level() {
        LimitLevel::Organization => "organization",
        LimitLevel::Tenant => "tenant",
        LimitLevel::Agent => "agent",
        LimitLevel::Entry => "entry",
        LimitLevel::Unspecified => "",
    };
    let amount = |micros: u64| Micros(micros).to_string();
    let charged = Micros(standing.granted).saturating_add(Micros(standing.debt));
    let free = if standing.void { Micros::ZERO } else { Micros(standing.limit).saturating_sub(charged) };
    let epoch = standing.epoch.unwrap_or_default();
    let moment = |ms: i64| form::time(u64::try_from(ms).unwrap_or_default());
    Budget {
        level: level.to_owned(),
        owner: key.owner,
        agent: key.agent,
        entry: key.entry,
        unit: key.unit,
        limit: amount(standing.limit),
        granted: amount(standing.granted),
        lent: amount(standing.lent),
        debt: amount(standing.debt),
        free: free.to_string(),
        percent: percent(charged, Micros(standing.limit), standing.void),
        policy_limit: amount(standing.policy_limit),
        adjusted_limit: standing.adjusted_limit.map(amount),
        epoch_start: moment(epoch.start_ms),
        epoch_end: moment(epoch.end_ms),
        ended: epoch.end_ms <= now_ms,
        timezone: if standing.zone.is_empty() { "UTC".to_owned() } else { standing.zone },
        void: standing.void,
        ledger: standing.ledger,
        lost: amount(standing.lost),
        written_off: amount(standing.written_off),
    }
}

/// How much is charged, rounded down; of nothing, all is.
fn percent(charged: Micros, limit: Micros, void: bool) -> u64 {
    if void || limit.is_zero() {
        return 100;
    }
    let percent = u128::from(charged.0) * 100 / u128::from(limit.0);
    u64::try_from(percent).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_never_more_than_was_charged() {
        assert_eq!(percent(Micros(999), Micros(1_000), false), 99);
        assert_eq!(percent(Micros(1_500), Micros(1_000), false), 150);
        assert_eq!(percent(Micros::ZERO, Micros::ZERO, false), 100);
        assert_eq!(percent(Micros::ZERO, Micros(5), true), 100, "all of it counts as spent");
        assert_eq!(percent(Micros(u64::MAX), Micros(1), false), u64::MAX);
    }
}
