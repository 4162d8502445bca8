//! `Identified` → `Authorized`: the tenant's policy judges the call.

use std::panic::{AssertUnwindSafe, catch_unwind};

use aegis_model::decision::Outcome;
use aegis_model::reason::ReasonCode;
use aegis_policy::judge::{Question, Verdict};
use aegis_policy::obligation::{Duty, Obligation};

use crate::case::{Authorized, Case, Identified, Refusal};
use crate::laps::Stage;

/// The right to ask for a dry run or an explanation.
const EXPLAIN_SCOPE: &str = "aegis:explain";

/// Judges the call.
///
/// Refuses for: `dry_run` or `explain` without the right to it, whatever the policy denies, and an evaluation that
/// fails in any way (WALK-3).
pub(crate) fn authorize(identified: Identified) -> Result<Authorized, Refusal> {
    let Identified { mut case, principal, tenant, version } = identified;
    if (case.call.dry_run || case.call.explain) && !principal.scope.has(EXPLAIN_SCOPE) {
        let message = format!("`dry_run` and `explain` need the scope `{EXPLAIN_SCOPE}`");
        return Err(case.deny(ReasonCode::ScopeExceeded, message));
    }
    let question = Question { principal: &principal, call: &case.call, now: case.now };
    // What a panic leaves behind is the engine's own per-call state, which nobody reads again.
    let judged = catch_unwind(AssertUnwindSafe(|| match case.call.explain {
        false => (version.judge(&question), None),
        true => {
            let (verdict, steps) = version.explain(&question);
            (verdict, Some(steps))
        }
    }));
    case.laps.lap(Stage::Authorize);
    match judged {
        Ok((verdict, explanation)) => {
            case.explanation = explanation;
            weigh(case, verdict).map(|(case, verdict)| Authorized { case, principal, tenant, verdict })
        }
        Err(_panic) => {
            // The payload may quote the call, so it is not shown.
            tracing::error!(
                tenant = %tenant.id(), "the evaluation of a policy panicked; the call is denied"
            );
            Err(case.deny(ReasonCode::CustomRule, "the policy could not be evaluated"))
        }
    }
}

/// Notes what decided, and lets pass what is not denied.
fn weigh(mut case: Box<Case>, mut verdict: Verdict) -> Result<(Box<Case>, Verdict), Refusal> {
    case.rules = std::mem::take(&mut verdict.rules);
    case.unverified = std::mem::take(&mut verdict.unverified);
    match verdict.outcome {
        Outcome::Deny if verdict.reasons.is_empty() => Err(case.deny_plainly(ReasonCode::ToolNotAllowed)),
        Outcome::Deny => Err(Refusal { case, outcome: Outcome::Deny, reasons: verdict.reasons }),
        Outcome::Allow | Outcome::ApprovalRequired if verdict.obligations.iter().all(is_met) => {
            Ok((case, verdict))
        }
        Outcome::Allow | Outcome::ApprovalRequired | Outcome::Sanitize => {
            Err(case.deny(ReasonCode::CustomRule, "the policy asks for what this node cannot do yet"))
        }
    }
}

/// Whether this node does what the obligation asks for: limits in `admit`, redaction in `inspect`, approvals in `consent`. Policies with others are
/// refused when they are loaded, so this is the second lock: an obligation that slipped through denies the call instead of
/// being forgotten.
fn is_met(obligation: &Obligation) -> bool {
    match obligation.duty() {
        Duty::Rate(_) | Duty::Budget(_) | Duty::Approval(_) | Duty::Redact(_) => true,
        Duty::Egress => false,
    }
}
