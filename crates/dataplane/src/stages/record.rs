//! `Result<Cleared, Refusal>` → `Recorded`: nothing is answered before its record is written (WALK-2).

use std::sync::Arc;

use aegis_model::decision::{Decision, Outcome, Reason};
use aegis_model::reason::ReasonCode;

use crate::admission::Admission;
use crate::answer::{Answer, Refused, Standing};
use crate::approvals::{Held, Redemption};
use crate::case::{Case, Cleared, Refusal, Surface};
use crate::charges::Open;
use crate::decider::Decider;
use crate::digest;
use crate::laps::{Laps, Stage};
use crate::log::Ack;
use crate::log::line::{ApprovalPart, ChargedPart, DecisionLine, Latency, Line};
use crate::replay::{Kept, ReplayKey, Slot};
use crate::snapshot::{Tenant, Version};
use crate::tally::Source;

/// A finished judgement whose record is on its way.
pub(crate) struct Recording {
    answer: Answer,
    /// Tells when the record is written; nothing if there is none to wait for.
    ack: Option<Ack>,
    laps: Laps,
    surface: Surface,
    tenant: Option<Arc<Tenant>>,
    remembered: Option<(ReplayKey, Arc<Slot>)>,
    /// The approval that was used for it.
    approved: Option<Held>,
}

/// A finished judgement whose record is written, or the refusal to answer without one.
pub(crate) struct Recorded {
    pub(crate) answer: Answer,
    pub(crate) laps: Laps,
    pub(crate) surface: Surface,
    pub(crate) tenant: Option<Arc<Tenant>>,
}

/// Makes the record of a walk, however it ended, and hands it to the log.
///
/// Refuses for: the log takes no more.
pub(crate) fn record(decider: &Decider, end: Result<Cleared, Refusal>) -> Recording {
    let (mut case, outcome, reasons, admission, redemption) = match end {
        Ok(Cleared { case, reasons, admission, redemption }) => {
            (case, Outcome::Allow, reasons, Some(admission), redemption)
        }
        Err(Refusal { case, outcome, reasons }) => (case, outcome, reasons, None, None),
    };
    let (laps, surface, tenant) = (case.laps, case.surface, case.tenant.clone());
    let refused = refused(&case, outcome, &reasons);
    let written = write(decider, &mut case, outcome, &reasons, admission.as_ref(), refused.as_ref());
    // Where no record is on its way nobody will be told, and the approval goes back.
    let approved = redemption.filter(|_| written.is_ok()).map(Redemption::hold);
    let (answer, ack) = match (written, refused) {
        (Err(unavailable), _) => {
            if let Some(admission) = admission {
                admission.refund(decider.clock.monotonic());
            }
            (Answer::Refused(unavailable), None)
        }
        (Ok((_, ack)), Some(refused)) => (Answer::Refused(refused), ack),
        (Ok((decision_id, ack)), None) => {
            if let Some(admission) = admission {
                charge(decider, &case, &decision_id, admission);
            }
            (Answer::Decided(Box::new(decision(*case, decision_id, outcome, reasons))), ack)
        }
    };
    Recording { answer, ack, laps, surface, tenant, remembered: None, approved }
}

/// The call is allowed: it stays charged, and can be completed.
fn charge(decider: &Decider, case: &Case, decision_id: &str, admission: Admission) {
    let (Some(principal), Some(tenant)) = (&case.principal, &case.tenant) else { return };
    decider.metrics.admitted(tenant, &principal.agent, &case.call.tool, &admission);
    let charged = admission.commit();
    if case.call.dry_run {
        return;
    }
    let open = Open {
        tenant: principal.tenant.clone(),
        agent: principal.agent.clone(),
        tool: case.call.tool.clone(),
        action: case.call.action.clone(),
        charged: charged.map(Box::new),
    };
    decider.charges.keep(decision_id, open, case.now);
}

/// The refusal that stands in for a decision, where the walk ended before one could be made.
fn refused(case: &Case, outcome: Outcome, reasons: &[Reason]) -> Option<Refused> {
    let reason = reasons.first().filter(|_| outcome == Outcome::Deny)?;
    match Standing::of(reason.code) {
        Standing::Decision if case.principal.is_some() => None,
        Standing::Decision => Some(Refused::plain(ReasonCode::Unauthenticated)),
        Standing::Unproven | Standing::Foreign | Standing::Malformed | Standing::Unavailable => {
            Some(Refused::new(reason.code, reason.message.clone()))
        }
    }
}

/// Writes what the end of the walk asks for: a line of its own, or one for all such calls of its source and second.
fn write(
    decider: &Decider,
    case: &mut Case,
    outcome: Outcome,
    reasons: &[Reason],
    admission: Option<&Admission>,
    refused: Option<&Refused>,
) -> Result<(String, Option<Ack>), Refused> {
    let decision_id = decider.ids.next();
    let line = match (&case.principal, refused) {
        (None, Some(refused)) => decider.count_refusal(Source::of(case.source), refused.code, case.now),
        (Some(principal), Some(refused)) if refused.code == ReasonCode::Overloaded => {
            decider.count_refusal(Source::Tenant(principal.tenant.clone()), refused.code, case.now)
        }
        _ => Some(decision_line(decider, case, &decision_id, outcome, reasons, admission)),
    };
    let ack = match line.map(|line| decider.log.append(line)) {
        None => None,
        Some(Ok(ack)) => Some(ack),
        Some(Err(_not_taken)) => return Err(Refused::plain(ReasonCode::AuditUnavailable)),
    };
    Ok((decision_id, ack))
}

fn decision_line(
    decider: &Decider,
    case: &mut Case,
    decision_id: &str,
    outcome: Outcome,
    reasons: &[Reason],
    admission: Option<&Admission>,
) -> Vec<u8> {
    let params = digest::canonical(&mut case.call.params);
    let params_digest = format!("hmac-sha256:{}", digest::hex(&decider.digest_key.of(&params)));
    let principal = case.principal.as_deref().expect("a call of nobody proven is refused, not decided");
    let charged = admission.into_iter().flat_map(Admission::paid).map(|(limit, unit, amount)| ChargedPart {
        level: limit.level.name(),
        entry: limit.entry.as_deref(),
        unit,
        amount,
    });
    let line = DecisionLine {
        decision_id,
        request_id: case.call.request_id.as_ref(),
        at: case.now,
        surface: case.surface.as_str(),
        tenant: &principal.tenant,
        org: &principal.org,
        agent: &principal.agent,
        callers: &principal.callers,
        token_id: &principal.token_id,
        tool: &case.call.tool,
        action: &case.call.action,
        params_digest,
        outcome,
        reasons,
        rules: &case.rules,
        left_out: 0,
        unverified: &case.unverified,
        policy: case.version.as_deref().map(Version::policy),
        snapshot: case.snapshot.version(),
        dry_run: case.call.dry_run,
        charged: charged.collect(),
        approval: approval_part(case),
        latency_ns: Latency(case.laps),
    };
    Line::Decision(Box::new(line.bounded())).to_bytes()
}

/// The approval that was redeemed, and by whom it was given; else the request that is open.
fn approval_part(case: &Case) -> Option<ApprovalPart<'_>> {
    let open = case.approval.as_ref().map(|open| ApprovalPart { id: &open.id, approvers: &[] });
    let redeemed = case.approved.as_ref();
    redeemed.map(|approved| ApprovalPart { id: &approved.id, approvers: &approved.approvers }).or(open)
}

fn decision(mut case: Case, decision_id: String, outcome: Outcome, reasons: Vec<Reason>) -> Decision {
    Decision {
        decision_id,
        outcome,
        reasons,
        params: (outcome == Outcome::Allow).then(|| std::mem::take(&mut case.call.params)),
        approval: case.approval.take(),
        policy: case.version.as_deref().map(|version| version.policy().clone()),
        limits: case.limits,
        replayed: false,
        owner: owner(&case),
        explanation: case.explanation,
    }
}

/// Where the agent's calls are better sent.
fn owner(case: &Case) -> Option<Arc<str>> {
    let principal = case.principal.as_deref()?;
    case.snapshot.shards().elsewhere(&principal.tenant, &principal.agent).cloned()
}

impl Recording {
    /// The judgement in the form that is remembered for a retry.
    pub(crate) fn kept(&self) -> Kept {
        let end = match &self.answer {
            Answer::Refused(refused) => Err(refused.clone()),
            Answer::Decided(decision) => Ok(Box::new(Decision {
                decision_id: decision.decision_id.clone(),
                outcome: decision.outcome,
                reasons: decision.reasons.clone(),
                params: None,
                approval: decision.approval.clone(),
                policy: decision.policy.clone(),
                limits: decision.limits,
                replayed: true,
                owner: None,
                explanation: decision.explanation.clone(),
            })),
        };
        Kept { end, ack: self.ack.clone() }
    }

    /// An earlier judgement, answered again to the retry of `case`, whose parameters are the same.
    pub(crate) fn again(kept: &Kept, mut case: Box<Case>) -> Self {
        let answer = match &kept.end {
            Err(refused) => Answer::Refused(refused.clone()),
            Ok(decision) => {
                let mut decision = decision.clone();
                decision.params =
                    (decision.outcome == Outcome::Allow).then(|| std::mem::take(&mut case.call.params));
                // As of now: slots may have moved since.
                decision.owner = owner(&case);
                Answer::Decided(decision)
            }
        };
        Self {
            answer,
            ack: kept.ack.clone(),
            laps: case.laps,
            surface: case.surface,
            tenant: case.tenant,
            remembered: None,
            approved: None,
        }
    }

    /// The same, remembered in `slot`.
    pub(crate) fn remembered(mut self, key: ReplayKey, slot: Arc<Slot>) -> Self {
        self.remembered = Some((key, slot));
        self
    }

    /// Waits until the record is written. Only a decision stays remembered: what could not be answered is judged
    /// anew when it is asked again.
    pub(crate) async fn settled(mut self, decider: &Decider) -> Recorded {
        if let Some(ack) = &self.ack
            && !ack.written().await
        {
            if let Answer::Decided(decision) = &self.answer {
                // Nobody is told that it may go on, so it must not cost anything.
                decider.charges.undo(&decision.decision_id);
            }
            if let Some(approved) = self.approved.take() {
                approved.release();
            }
            self.answer = Answer::Refused(Refused::plain(ReasonCode::AuditUnavailable));
        }
        self.laps.lap(Stage::Record);
        if let (Some((key, slot)), Answer::Refused(_)) = (&self.remembered, &self.answer) {
            decider.replays.forget(*key, slot);
        }
        let Self { answer, laps, surface, tenant, .. } = self;
        Recorded { answer, laps, surface, tenant }
    }
}
