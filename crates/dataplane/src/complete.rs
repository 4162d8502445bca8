//! What became of an allowed call: its charge is settled, once, and a second record stands beside that of the decision.
//!
//! The agent that made the call may raise what it is charged, never lower it. Lowering it, and saying that the tool was never
//! called, is for who carries the call to the tool or owns it: a token with the scope `settle`.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use aegis_audit::record::{self, Chain, Settled, What};
use aegis_limits::hierarchy::Costs;
use aegis_model::caps;
use aegis_model::completion::{Completed, Completion, Status};
use aegis_model::money::Micros;
use aegis_model::principal::Principal;
use aegis_model::reason::ReasonCode;
use aegis_model::trace::TraceContext;
use aegis_policy::obligation::CALLS;
use serde_json::Value;

use crate::admission::{Charged, Kind, Limit};
use crate::answer::Refused;
use crate::case::Surface;
use crate::charges::{NotOpen, Open};
use crate::decider::Decider;
use crate::decision_id::Elsewhere;
use crate::sensitive::{CleanedResult, ResultRules};
use crate::snapshot::Phase;

/// Who tells what became of a call, and by which way.
pub(crate) struct Teller<'t> {
    pub(crate) surface: Surface,
    pub(crate) source: IpAddr,
    /// The evidence, as sent.
    pub(crate) token: &'t str,
    /// Another node passed it on: it is not passed on again.
    pub(crate) forwarded: bool,
    /// What it says of its trace.
    pub(crate) trace: Option<TraceContext>,
}

/// The right to lower what a call was charged.
const SETTLE_SCOPE: &str = "settle";

/// Settles a call, and gives back its result as it is to be used: cleaned under the version that allowed it.
///
/// Refuses for: bad evidence, a decision of a node that is not known or cannot be reached, of another tenant or agent, one that is over or was completed before, a cost
/// that is lowered without the right to it or beyond belief, and a record that cannot be written.
pub(crate) async fn complete(
    decider: &Decider,
    teller: Teller<'_>,
    completion: Completion,
) -> Result<CleanedResult, Refused> {
    let principal = match prove(decider, teller.token) {
        Ok(principal) => principal,
        Err(refused) => return Err(decider.turn_away(teller.source, teller.surface, refused).await),
    };
    let completed = match decider.ids.check(&completion.decision_id) {
        Ok(()) => accept(decider, &principal, completion).await.inspect(|_| decider.metrics.completed()),
        // Counted, and cleaned, where it was taken.
        Err(elsewhere) => {
            Box::pin(forward(decider, &teller, elsewhere, &completion)).await.map(CleanedResult::passed)
        }
    };
    if let Err(refused) = &completed {
        decider.metrics.refused(refused.code, teller.surface);
    }
    completed
}

/// Passes a completion on to the node that decided, once.
async fn forward(
    decider: &Decider,
    teller: &Teller<'_>,
    elsewhere: Elsewhere,
    completion: &Completion,
) -> Result<Completed, Refused> {
    let snapshot = decider.snapshot();
    let known = match &elsewhere {
        Elsewhere::Node(name) if !teller.forwarded => snapshot.shards().named(name),
        Elsewhere::Node(_) | Elsewhere::Nowhere | Elsewhere::Before => None,
    };
    match (known, decider.peers()) {
        (Some(node), Some(peers)) => {
            peers.complete(node, teller.token, teller.trace.as_ref(), completion).await
        }
        (None, _) | (_, None) => Err(unknown(elsewhere.to_string())),
    }
}

/// Who says so.
pub(crate) fn prove(decider: &Decider, token: &str) -> Result<Arc<Principal>, Refused> {
    let snapshot = decider.snapshot();
    if snapshot.phase() == Phase::Awaiting {
        return Err(Refused::plain(ReasonCode::PolicyUnavailable));
    }
    let principal = snapshot.verifier().verify_agent(token, decider.clock.now());
    let principal = principal.map_err(|refusal| Refused::new(refusal.code(), refusal.to_string()))?;
    match snapshot.tenant(&principal.tenant) {
        Some(tenant) if tenant.revoked().covers(&principal) => Err(Refused::plain(ReasonCode::TokenRevoked)),
        Some(_) => Ok(principal),
        None => Err(Refused::plain(ReasonCode::PolicyUnavailable)),
    }
}

async fn accept(
    decider: &Decider,
    principal: &Principal,
    completion: Completion,
) -> Result<CleanedResult, Refused> {
    let Completion { decision_id, status, cost, result, sign_receipt } = completion;
    let settles = principal.scope.has(SETTLE_SCOPE);
    let said = Said { status, cost, settles };
    if status == Status::NotRun && !settles {
        return Err(Refused::new(ReasonCode::ScopeExceeded, "`not_run` needs the scope `settle`"));
    }
    let now = decider.clock.now();
    let mut real = None;
    let open: Open = decider.charges.take(&decision_id, &principal.tenant, now, |open| {
        if open.agent != principal.agent && !settles {
            return Err(NotOpen::Unknown.into());
        }
        real = open.charged.as_deref().map(|charged| said.real(charged)).transpose()?;
        Ok::<(), Refused>(())
    })?;
    let mut cleaned = clean(open.result_rules.as_deref(), result);
    decider.metrics.found(&cleaned.findings);
    let snapshot = decider.snapshot();
    let terms = snapshot.tenant(&open.tenant).map(|tenant| tenant.recording()).unwrap_or_default();
    let terms = terms.of_call(sign_receipt);
    let what = what(principal, &said, &decision_id, &open, real.as_ref(), &mut cleaned);
    let taken = match what {
        Some(what) => {
            let chain = Chain::Tenant(open.tenant.clone());
            decider.records.append_for(terms.durability, now, chain, &what).ok()
        }
        None => None,
    };
    let Some(ticket) = taken else {
        decider.charges.put_back(&decision_id, open);
        return Err(Refused::plain(ReasonCode::AuditUnavailable));
    };
    // No pause since the record was queued: a client that goes away leaves all of it done, or nothing.
    if let Some((charged, real)) = open.charged.zip(real) {
        settle(decider, *charged, &real);
    }
    match decider.records.kept(ticket).await {
        Ok(placed) => {
            let signed_at = terms.signed.then(|| decider.clock.now());
            cleaned.receipt = decider.records.receipt(&placed, signed_at);
            Ok(cleaned)
        }
        Err(_) => Err(Refused::plain(ReasonCode::AuditUnavailable)),
    }
}

/// What is written down of a call's end; nothing while the record of its decision is not known to be kept: nobody was told of
/// that decision then.
fn what(
    principal: &Principal,
    said: &Said,
    decision_id: &str,
    open: &Open,
    real: Option<&Costs>,
    cleaned: &mut CleanedResult,
) -> Option<What> {
    let parts =
        open.charged.as_deref().into_iter().zip(real).flat_map(|(charged, real)| parts(charged, real));
    let (findings, left_out) = cleaned.findings.recorded("/result");
    Some(What::Completion(record::Completion {
        action: open.action.clone(),
        agent: open.agent.clone(),
        by: principal.agent.clone(),
        cost: said.cost,
        decision: open.record.placed()?.link(),
        decision_id: decision_id.to_owned(),
        findings,
        left_out,
        result: said.status.into(),
        result_digest: None,
        sealed: cleaned.sealed.take(),
        settled: parts.collect(),
        token_id: principal.token_id.to_string(),
        tool: open.tool.clone(),
        withheld: !cleaned.withheld.is_empty(),
    }))
}

/// The result as it is to be used, under the version that allowed the call. The call counts whatever comes of it: the tool ran.
fn clean(rules: Option<&ResultRules>, result: Option<Value>) -> CleanedResult {
    let (rules, result) = match (rules, result) {
        (Some(rules), Some(result)) => (rules, result),
        (_, result) => return CleanedResult::as_it_is(result),
    };
    // The payload may quote the result, so it is not shown.
    catch_unwind(AssertUnwindSafe(|| rules.clean(result))).unwrap_or_else(|_panic| {
        tracing::error!("looking for sensitive data panicked; the result is kept back");
        CleanedResult::unseen()
    })
}

/// What is said of a call's end.
struct Said {
    status: Status,
    cost: Option<Micros>,
    /// Whether who says it may lower what was charged.
    settles: bool,
}

impl Said {
    /// What the call really cost at each account of its charge.
    fn real(&self, charged: &Charged) -> Result<Costs, Refused> {
        let mut real = charged.charge.hierarchy().costs(|at| charged.charge.paid(at));
        for (at, limit) in &charged.budgets {
            real.0[*at] = self.at(limit, charged.charge.paid(*at))?;
        }
        Ok(real)
    }

    fn at(&self, limit: &Limit, paid: Micros) -> Result<Micros, Refused> {
        let Kind::Budget { unit, limit: most, cost, .. } = &limit.kind else { return Ok(paid) };
        let real = match (self.status, self.cost) {
            (Status::NotRun, None) => Micros::ZERO,
            (Status::NotRun, Some(said)) if said.is_zero() => Micros::ZERO,
            (Status::NotRun, Some(_)) => {
                return Err(at_cost(
                    "what was never run costs nothing".to_owned(),
                    ReasonCode::InvalidRequest,
                ));
            }
            (Status::Succeeded | Status::Failed, Some(said)) if **unit != *CALLS => said,
            (Status::Succeeded | Status::Failed, None) if self.settles => cost.stated.unwrap_or(paid),
            (Status::Succeeded | Status::Failed, _) => paid,
        };
        if real < paid && !self.settles {
            let message = "a cost below what was charged needs the scope `settle`".to_owned();
            return Err(at_cost(message, ReasonCode::ScopeExceeded));
        }
        if real > *most && real > paid {
            let message = format!("the cost is more than the whole budget of the {}", limit.level);
            return Err(at_cost(message, ReasonCode::InvalidRequest));
        }
        Ok(real)
    }
}

fn at_cost(message: String, code: ReasonCode) -> Refused {
    Refused { path: "/cost".to_owned(), ..Refused::new(code, message) }
}

fn settle(decider: &Decider, charged: Charged, real: &Costs) {
    let Charged { budgets, charge } = charged;
    let settlement = charge.settle(real);
    for (at, limit) in &budgets {
        let Kind::Budget { budget, .. } = &limit.kind else { continue };
        for debt in settlement.debt.iter().filter(|debt| debt.account == *at) {
            budget.beyond(debt);
            decider.metrics.debt(limit.level);
        }
        for saving in settlement.late.iter().filter(|saving| saving.account == *at) {
            budget.below(saving);
        }
    }
}

/// What the record says of each budget.
fn parts(charged: &Charged, real: &Costs) -> impl Iterator<Item = Settled> {
    charged.budgets.iter().filter_map(|(at, limit)| {
        let Kind::Budget { unit, .. } = &limit.kind else { return None };
        Some(Settled {
            charged: charged.charge.paid(*at),
            cost: real.0[*at],
            entry: limit.entry.as_deref().map(str::to_owned),
            ledger: charged.charge.ledger(*at),
            level: limit.level.name().to_owned(),
            unit: unit.to_string(),
        })
    })
}

fn unknown(detail: String) -> Refused {
    Refused { path: "/decision_id".to_owned(), ..Refused::new(ReasonCode::InvalidRequest, detail) }
}

impl From<NotOpen> for Refused {
    fn from(not_open: NotOpen) -> Self {
        match not_open {
            NotOpen::Unknown => unknown(format!(
                "no allowed call of this decision waits to be completed; it does for {} minutes",
                caps::CHARGES_KEPT_SECONDS / 60
            )),
            NotOpen::Completed => unknown("the decision was completed before".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
