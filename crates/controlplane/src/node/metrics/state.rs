//! What is in the replicated state: the same at every node, so only the one that leads tells it.

use aegis_model::caps;
use aegis_model::metric::Family;
use aegis_proto::control::BudgetStanding;
use aegis_proto::v1::LimitLevel;
use aegis_raft_store::tables::{StateRead, StoreError};

use super::Page;
use crate::node::Parts;
use crate::state::deliveries::{self, Unheard};
use crate::state::{approvals, budgets};

/// Adds them to `page`; nothing while the state cannot be read, which ends the node by itself.
pub(super) fn families(page: &mut Page, parts: &Parts) {
    let log_time_ms = parts.control.applied().borrow().log_time_ms;
    let read = parts
        .control
        .view()
        .and_then(|state| Ok((approvals::pending_of_everybody(&state)?, budgets_part(&state, log_time_ms)?)));
    if let Ok((pending, budgets)) = read {
        page.gauge("approvals_pending", "Requests for approval that wait for people.", pending);
        page.0.extend(budgets);
    }
    let unheard =
        parts.control.view().and_then(|state| deliveries::unheard(&state, caps::DELIVERIES_COUNTED_MAX));
    if let Ok(unheard) = unheard {
        deliveries_part(page, unheard, log_time_ms);
    }
}

/// What channels have not heard yet of requests for approval.
fn deliveries_part(page: &mut Page, unheard: Unheard, log_time_ms: u64) {
    page.gauge("deliveries_waiting", "Messages about approvals that wait to be told.", unheard.waiting);
    page.gauge("deliveries_failing", "Those of them that failed at least once.", unheard.failing);
    let waited_ms = if unheard.since_ms == 0 { 0 } else { log_time_ms.saturating_sub(unheard.since_ms) };
    page.seconds(
        "deliveries_oldest_waiting_seconds",
        "For how long the oldest of them has waited; 0: none waits.",
        waited_ms,
    );
}

/// The budgets of running days.
fn budgets_part(state: &impl StateRead, log_time_ms: u64) -> Result<Vec<Family>, StoreError> {
    let (standings, more) = budgets::of_everybody(state, caps::BUDGET_SERIES_MAX)?;
    let now_ms = i64::try_from(log_time_ms).unwrap_or(i64::MAX);
    let running =
        |standing: &&BudgetStanding| standing.epoch.as_ref().is_some_and(|epoch| epoch.end_ms > now_ms);
    let gauge = |name: &str, help: &str, value: fn(&BudgetStanding) -> u64| {
        let family = Family::gauge(&format!("aegis_control_budget_{name}"), help);
        standings.iter().filter(running).fold(family, |family, standing| {
            let key = standing.key.clone().unwrap_or_default();
            let labels = [
                ("owner", key.owner.as_str()),
                ("level", level(key.level())),
                ("agent", &key.agent),
                ("entry", &key.entry),
                ("unit", &key.unit),
            ];
            family.with(&labels, value(standing) as f64 / 1e6)
        })
    };
    Ok(vec![
        gauge("limit", "What the running day allows, in units of `unit`.", |it| it.limit),
        gauge("charged", "What is charged to the running day: granted to data nodes, and debt.", |it| {
            if it.void { it.limit } else { it.granted.saturating_add(it.debt) }
        }),
        gauge("lent", "What data nodes hold of it and may still give back.", |it| it.lent),
        Family::gauge("aegis_control_budgets_left_out", "1 if there are more budgets than are shown here.")
            .with(&[], f64::from(u8::from(more))),
    ])
}

fn level(level: LimitLevel) -> &'static str {
    match level {
        LimitLevel::Organization => "organization",
        LimitLevel::Tenant => "tenant",
        LimitLevel::Agent => "agent",
        LimitLevel::Entry => "entry",
        LimitLevel::Unspecified => "",
    }
}
