//! `Inspected` → `Cleared`: a person agreed to exactly this call, or none had to.

use aegis_identity::approved::{ApprovedCall, verify_override};
use aegis_identity::refusal::TokenRefusal;
use aegis_model::caps;
use aegis_model::decision::{Outcome, Reason};
use aegis_model::json;
use aegis_model::principal::Principal;
use aegis_model::reason::ReasonCode;
use aegis_model::tenant_key::TenantKeys;
use aegis_policy::judge::Verdict;
use aegis_policy::obligation::{Duty, Obligation};
use aegis_proto::v1;
use serde_json::Value;

use crate::approvals::{
    CallDigest, Opening, Redeemed, Unreachable, canonical_context, digest_of_call, shown,
};
use crate::case::{Approved, Case, Cleared, Inspected, Refusal, Resumed};
use crate::decider::Decider;
use crate::laps::Stage;
use crate::limits::Identity;

/// What an answer `approval_required` adds where nobody can be asked.
const NOBODY_IS_ASKED: &str =
    "a person has to agree before the call may go on; this node has no control plane, which would ask one";

/// For how long people are asked where no rule says.
const WITHIN_SECONDS_DEFAULT: u64 = 30 * 60;

/// Holds the call back if a person has to agree, and asks them; then it costs nothing: what was taken for it goes back. With an
/// override token the approval is redeemed for it, once (APR-1).
///
/// Waits for the control plane, at most [`caps::APPROVAL_LINK_MS`]. A client that goes away meanwhile leaves nothing behind: what
/// was taken goes back, and what was redeemed as well.
///
/// Refuses for: approval needed, an override token that is not for this call, was used or has ended, and a control plane that does
/// not answer.
pub(crate) async fn consent(decider: &Decider, inspected: Inspected) -> Result<Cleared, Refusal> {
    let Inspected { case, verdict, admission } = inspected;
    let asks = verdict.outcome != Outcome::Allow;
    if !asks && case.call.override_token.is_none() {
        let mut case = case;
        case.laps.lap(Stage::Consent);
        return Ok(Cleared { case, reasons: verdict.reasons, admission, redemption: None });
    }
    // On its own: what talks to the control plane takes some kilobytes, which no other call is to carry.
    Box::pin(agreed(decider, Inspected { case, verdict, admission })).await
}

/// A call to which a person has to agree, or has.
async fn agreed(decider: &Decider, inspected: Inspected) -> Result<Cleared, Refusal> {
    let Inspected { case, verdict, admission } = inspected;
    let asks = verdict.outcome != Outcome::Allow;
    let Some(principal) = case.principal.clone() else {
        admission.refund(decider.clock.monotonic());
        return Err(case.deny_plainly(ReasonCode::Unauthenticated));
    };
    let Some(identity) = decider.approvals.identity() else {
        admission.refund(decider.clock.monotonic());
        return Err(nobody(case, verdict.reasons));
    };
    let Some(keys) = case.tenant.as_ref().and_then(|tenant| tenant.keys().cloned()) else {
        admission.refund(decider.clock.monotonic());
        return Err(keyless(case, verdict.reasons));
    };
    let agreed = match &case.call.override_token {
        None => None,
        Some(token) => Some(match presented(&case, token.expose(), &principal, &identity, &keys) {
            Ok(approved) => approved,
            Err(reason) => {
                admission.refund(decider.clock.monotonic());
                return Err(denied(case, reason));
            }
        }),
    };
    match agreed {
        // Nobody has to agree to it any more, so the approval is not used up.
        Some(_) if !asks => {
            let mut case = case;
            case.laps.lap(Stage::Consent);
            Ok(Cleared { case, reasons: verdict.reasons, admission, redemption: None })
        }
        Some(_) if case.call.dry_run => {
            admission.refund(decider.clock.monotonic());
            Err(held(case, verdict.reasons, ReasonCode::ApprovalRequired, "a dry run redeems no approval"))
        }
        Some(approved) => {
            let entries = entries(&case);
            let redeemed = decider.approvals.redeem(
                &principal.tenant,
                &approved.approval,
                &approved.digest,
                &entries,
                case.passed_on(),
            );
            let (case, reason) = match redeemed.await {
                Ok(Redeemed::Yes(redemption, approvers)) => {
                    let mut case = case;
                    case.approved = Some(Approved { id: approved.approval, approvers });
                    case.laps.lap(Stage::Consent);
                    return Ok(Cleared {
                        case,
                        reasons: verdict.reasons,
                        admission,
                        redemption: Some(redemption),
                    });
                }
                Ok(Redeemed::No(why)) => (case, not_redeemed(&why)),
                Err(why) => (case, Reason::plain(ReasonCode::PolicyUnavailable, unredeemable(why))),
            };
            admission.refund(decider.clock.monotonic());
            Err(denied(case, reason))
        }
        None => {
            admission.refund(decider.clock.monotonic());
            let digest = digest_of_call(keys.current(), &principal, &case.call);
            Err(ask(decider, case, verdict, &principal, digest).await)
        }
    }
}

/// Asks people, unless that was done before, and says how it stands.
async fn ask(
    decider: &Decider,
    mut case: Box<Case>,
    verdict: Verdict,
    principal: &Principal,
    digest: CallDigest,
) -> Refusal {
    match case.resumed {
        Some(Resumed::Rejected) => return denied(case, plain(ReasonCode::ApprovalRejected)),
        Some(Resumed::Ended) => return denied(case, plain(ReasonCode::ApprovalExpired)),
        Some(Resumed::Approved) | None => {}
    }
    let reasons = verdict.reasons;
    if case.call.dry_run {
        let message = "a person has to agree before the call may go on; a dry run asks nobody";
        return held(case, reasons, ReasonCode::ApprovalRequired, message);
    }
    if digest.params.len() + digest.context.len() > caps::APPROVAL_CONTENT_BYTES_MAX {
        let most = caps::APPROVAL_CONTENT_BYTES_MAX;
        let message = format!(
            "a person has to agree, but nobody is asked to look through parameters and context of over {most} bytes"
        );
        return held(case, reasons, ReasonCode::ApprovalRequired, message);
    }
    let needs = needs(&verdict.obligations);
    if needs.len() > caps::APPROVAL_TERMS_MAX {
        let message = format!("more than {} rules ask for approval of the call", caps::APPROVAL_TERMS_MAX);
        return held(case, reasons, ReasonCode::ApprovalRequired, message);
    }
    let opening = opening(decider, &case, &reasons, needs, principal, digest);
    let standing = match decider.approvals.open(opening, case.passed_on()).await {
        Ok(standing) => standing,
        Err(why) => {
            let message = match why {
                Unreachable::None | Unreachable::Late => {
                    "a person has to agree, but the control plane cannot be reached, so nobody was asked; ask again"
                }
                Unreachable::Refused => {
                    "a person has to agree, but the control plane does not ask for this call"
                }
            };
            return held(case, reasons, ReasonCode::ApprovalRequired, message);
        }
    };
    if !standing.refused.is_empty() {
        return held(case, reasons, ReasonCode::ApprovalRequired, bound(&standing.refused));
    }
    case.approval = Some(shown(&standing));
    match standing.state.as_str() {
        "pending" if standing.opened => {
            held(case, reasons, ReasonCode::ApprovalRequired, ReasonCode::ApprovalRequired.meaning())
        }
        "pending" => held(case, reasons, ReasonCode::ApprovalPending, ReasonCode::ApprovalPending.meaning()),
        "approved" => {
            let message =
                "it was approved; retry with the override token, which the request for approval gives";
            held(case, reasons, ReasonCode::ApprovalRequired, message)
        }
        "rejected" => denied(case, plain(ReasonCode::ApprovalRejected)),
        _ => denied(case, plain(ReasonCode::ApprovalExpired)),
    }
}

/// What an override token says, if it is good and of this call.
fn presented(
    case: &Case,
    token: &str,
    principal: &Principal,
    identity: &Identity,
    keys: &TenantKeys,
) -> Result<ApprovedCall, Reason> {
    let approved = match verify_override(token, case.snapshot.verifier().trust(), case.now) {
        Ok(approved) => approved,
        Err(TokenRefusal::Expired) => {
            let message = "the call was approved, but not made in time";
            return Err(Reason::plain(ReasonCode::ApprovalExpired, message));
        }
        Err(refusal) => return Err(Reason::plain(ReasonCode::OverrideInvalid, refusal.to_string())),
    };
    // A key that the node does not know has not reached it yet, or is no longer kept.
    let Some(key) = keys.get(approved.call.key_version) else {
        return Err(plain(ReasonCode::OverrideInvalid));
    };
    let digest = digest_of_call(key, principal, &case.call);
    let same = approved.issuer.as_str() == identity.cluster.as_str()
        && approved.call.tenant == principal.tenant
        && approved.call.agent == principal.agent
        && approved.call.digest == digest.digest;
    if same { Ok(approved.call) } else { Err(plain(ReasonCode::OverrideInvalid)) }
}

/// A digest of the rules that decided: an approval holds as long as they say the same.
fn entries(case: &Case) -> [u8; 32] {
    case.version.as_ref().map(|version| version.digest_of_rules(&case.rules)).unwrap_or_default()
}

/// Whose agreement the verdict asks for: of whoever approves, where no rule says.
fn needs(obligations: &[Obligation]) -> Vec<v1::ApprovalNeed> {
    let said = obligations.iter().filter_map(|obligation| match obligation.duty() {
        Duty::Approval(terms) => Some(v1::ApprovalNeed {
            rule: cut(&terms.rule),
            by: terms.by.clone(),
            of: terms.of,
            within_seconds: terms.within_seconds,
            notify: terms.notify.clone(),
        }),
        Duty::Rate(_) | Duty::Budget(_) | Duty::Redact(_) | Duty::Egress => None,
    });
    let said: Vec<_> = said.collect();
    if !said.is_empty() {
        return said;
    }
    let anybody =
        v1::ApprovalNeed { of: 1, within_seconds: WITHIN_SECONDS_DEFAULT, ..v1::ApprovalNeed::default() };
    vec![anybody]
}

/// What people are shown, and the control plane keeps: parameters as they may be kept, and no name that is a secret (AUD-2). What
/// they agree to is the call as it is passed on, by its digest.
fn opening(
    decider: &Decider,
    case: &Case,
    reasons: &[Reason],
    needs: Vec<v1::ApprovalNeed>,
    principal: &Principal,
    digest: CallDigest,
) -> Opening {
    let cause = |reason: &Reason| v1::ApprovalCause {
        code: reason.code.as_str().to_owned(),
        message: cut(&reason.message),
        path: cut(reason.path.as_deref().unwrap_or_default()),
        rule: cut(reason.rule.as_deref().unwrap_or_default()),
    };
    let policy = case.version.as_ref().map(|version| version.policy());
    let (tool, action) = decider.names.shown(&case.call, &decider.digest_key);
    let params = match case.kept_params() {
        None => digest.params,
        Some(kept) => json::canonical(&Value::Object(kept.clone())),
    };
    let context = match &case.stored_context {
        None => digest.context,
        Some(kept) => canonical_context(kept.clone()),
    };
    Opening {
        node: None,
        tenant: principal.tenant.to_string(),
        digest: digest.digest.to_vec(),
        key_version: digest.key_version,
        entry_digest: entries(case).to_vec(),
        organization: principal.org.to_string(),
        agent: principal.agent.to_string(),
        callers: principal.callers.iter().map(ToString::to_string).collect(),
        tool: tool.to_string(),
        action: action.to_string(),
        params,
        context,
        cost: case.call.cost.map(|cost| cost.to_string()).unwrap_or_default(),
        causes: reasons.iter().take(caps::APPROVAL_REASONS_MAX).map(cause).collect(),
        needs,
        version: policy.map_or(0, |policy| policy.version),
        activation: policy.map_or(0, |policy| policy.activation),
    }
}

fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(caps::APPROVAL_TEXT_BYTES_MAX)).unwrap_or_default().to_owned()
}

/// Why a redemption was refused, in the words of the protocol, as a reason.
fn not_redeemed(why: &str) -> Reason {
    match why {
        "used" => plain(ReasonCode::OverrideUsed),
        "expired" => {
            Reason::plain(ReasonCode::ApprovalExpired, "the call was approved, but not made in time")
        }
        "pending" => plain(ReasonCode::ApprovalPending),
        "rejected" => plain(ReasonCode::ApprovalRejected),
        "changed" => Reason::plain(
            ReasonCode::OverrideInvalid,
            "the rule that asked for approval has changed since the call was approved",
        ),
        "cancelled" => Reason::plain(
            ReasonCode::OverrideInvalid,
            "the approval was taken back, or its approver may no longer agree",
        ),
        "fenced" => Reason::plain(
            ReasonCode::PolicyUnavailable,
            "another process has started with this node's id, so it redeems nothing",
        ),
        // `mismatch`, `unknown`, and what newer control nodes may say.
        _ => plain(ReasonCode::OverrideInvalid),
    }
}

fn unredeemable(why: Unreachable) -> &'static str {
    match why {
        Unreachable::None | Unreachable::Late => {
            "the control plane cannot be reached, and an approval is redeemed there; retry with the same token"
        }
        Unreachable::Refused => "the control plane does not take the redemption",
    }
}

/// Why nobody more can be asked.
fn bound(refused: &str) -> &'static str {
    match refused {
        "agent_pending" => "a person has to agree, but as many requests of the agent wait for people as may",
        "agent_rate" => "a person has to agree, but the agent has asked as often within an hour as it may",
        "tenant_pending" => {
            "a person has to agree, but as many requests of the tenant wait for people as may"
        }
        "tenant_rate" => {
            "a person has to agree, but the tenant's agents have asked as often within an hour as they may"
        }
        _ => "a person has to agree, but this node may not ask one",
    }
}

fn nobody(case: Box<Case>, reasons: Vec<Reason>) -> Refusal {
    if case.call.override_token.is_some() {
        return denied(case, plain(ReasonCode::OverrideInvalid));
    }
    held(case, reasons, ReasonCode::ApprovalRequired, NOBODY_IS_ASKED)
}

/// A node that was told of the tenant before its key.
fn keyless(case: Box<Case>, reasons: Vec<Reason>) -> Refusal {
    let message =
        "the control plane has not given this node the tenant's key yet, by which calls are told apart";
    if case.call.override_token.is_some() {
        return denied(case, Reason::plain(ReasonCode::PolicyUnavailable, message));
    }
    held(case, reasons, ReasonCode::ApprovalRequired, message)
}

fn plain(code: ReasonCode) -> Reason {
    Reason::plain(code, code.meaning())
}

/// The call waits for a person.
fn held(
    mut case: Box<Case>,
    mut reasons: Vec<Reason>,
    code: ReasonCode,
    message: impl Into<String>,
) -> Refusal {
    case.laps.lap(Stage::Consent);
    case.limits = None;
    reasons.push(Reason::plain(code, message));
    Refusal { case, outcome: Outcome::ApprovalRequired, reasons }
}

/// The call must not go on.
fn denied(mut case: Box<Case>, reason: Reason) -> Refusal {
    case.laps.lap(Stage::Consent);
    case.limits = None;
    Refusal { case, outcome: Outcome::Deny, reasons: vec![reason] }
}
