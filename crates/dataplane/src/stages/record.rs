//! `Result<Cleared, Refusal>` → `Recorded`: nothing is answered before its record is on disk (WALK-2).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use aegis_audit::hash::KeyedDigest;
use aegis_audit::journal::{Durability, Ticket};
use aegis_audit::record::{self, Chain, Charged, LimitUse, RecordId, What};
use aegis_model::caps;
use aegis_model::decision::{Decision, Outcome, Reason};
use aegis_model::reason::ReasonCode;

use crate::admission::{Admission, Paid};
use crate::answer::{Answer, Refused, Standing};
use crate::approvals::{Held, Redemption};
use crate::case::{Case, Cleared, Refusal};
use crate::charges::Open;
use crate::decider::Decider;
use crate::digest;
use crate::laps::{Laps, Stage};
use crate::replay::{Kept, ReplayKey, Slot};
use crate::sensitive::Cleaner;
use crate::snapshot::{RecordTerms, Tenant};
use crate::subject::Subject;
use crate::tally::Source;

/// A finished judgement whose record is on its way.
pub(crate) struct Recording {
    answer: Answer,
    /// Tells when the record is kept; nothing if there is none to wait for.
    ticket: Option<Ticket>,
    laps: Laps,
    subject: Subject,
    /// What cleaned the parameters.
    cleaned_by: Option<Cleaner>,
    remembered: Option<(ReplayKey, Arc<Slot>)>,
    /// The approval that was used for it.
    approved: Option<Held>,
    /// Whether its receipt is signed.
    signed: bool,
}

/// A finished judgement whose record is kept, or the refusal to answer without one.
pub(crate) struct Recorded {
    pub(crate) answer: Answer,
    pub(crate) laps: Laps,
    pub(crate) subject: Subject,
}

/// Makes the record of a walk, however it ended, and hands it to the journal.
///
/// Refuses for: the journal takes no more.
pub(crate) fn record(decider: &Decider, end: Result<Cleared, Refusal>) -> Recording {
    let (mut case, outcome, reasons, admission, redemption) = match end {
        Ok(Cleared { case, reasons, admission, redemption }) => {
            let outcome = if case.cleaned_by.is_some() { Outcome::Sanitize } else { Outcome::Allow };
            (case, outcome, reasons, Some(admission), redemption)
        }
        Err(Refusal { case, outcome, reasons }) => (case, outcome, reasons, None, None),
    };
    decider.names.cover(&mut case.call, &decider.digest_key);
    let (laps, subject) = (case.laps, Subject::of(decider, &case, outcome, &reasons));
    let cleaned_by = case.cleaned_by.clone();
    let refused = refused(&case, outcome, &reasons);
    let terms = terms(&case);
    let written =
        write(decider, &mut case, outcome, &reasons, admission.as_ref(), refused.as_ref(), terms.durability);
    // Where no record is on its way nobody will be told, and the approval goes back.
    let approved = redemption.filter(|_| written.is_ok()).map(Redemption::hold);
    let (answer, ticket) = match (written, refused) {
        (Err(unavailable), _) => {
            if let Some(admission) = admission {
                admission.refund(decider.clock.monotonic());
            }
            (Answer::Refused(unavailable), None)
        }
        (Ok((_, ticket)), Some(refused)) => (Answer::Refused(refused), ticket),
        (Ok((decision_id, ticket)), None) => {
            if let Some((admission, ticket)) = admission.zip(ticket.as_ref()) {
                charge(decider, &mut case, &decision_id, ticket, admission);
            }
            (Answer::Decided(Box::new(decision(*case, decision_id, outcome, reasons))), ticket)
        }
    };
    let signed = terms.signed;
    Recording { answer, ticket, laps, subject, cleaned_by, remembered: None, approved, signed }
}

/// What the answer waits for, and whether its receipt is signed: as the tenant has it, and the call asks.
fn terms(case: &Case) -> RecordTerms {
    let tenant = case.tenant.as_deref().map(Tenant::recording).unwrap_or_default();
    tenant.of_call(case.call.sign_receipt)
}

/// The call is allowed: it stays charged, and can be completed.
fn charge(decider: &Decider, case: &mut Case, decision_id: &str, record: &Ticket, admission: Admission) {
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
        record: record.clone(),
        result_rules: case.result_rules.take(),
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

/// Writes what the end of the walk asks for: a record of its own, or one for all such calls of its source and second.
fn write(
    decider: &Decider,
    case: &mut Case,
    outcome: Outcome,
    reasons: &[Reason],
    admission: Option<&Admission>,
    refused: Option<&Refused>,
    durability: Durability,
) -> Result<(String, Option<Ticket>), Refused> {
    let decision_id = decider.ids.next();
    // What the record costs is the difference to this.
    #[cfg(aegis_unrecorded)]
    if refused.is_none() {
        return Ok((decision_id, Some(Ticket::unrecorded())));
    }
    let taken = match (&case.principal, refused) {
        (None, Some(refused)) => decider.note_refusal(Source::of(case.source), refused.code, case.now),
        (Some(principal), Some(refused)) if refused.code == ReasonCode::Overloaded => {
            decider.note_refusal(Source::Tenant(principal.tenant.clone()), refused.code, case.now)
        }
        _ => {
            let (chain, what) = what(decider, case, &decision_id, outcome, reasons, admission);
            decider.records.append_for(durability, case.now, chain, &what).map(Some)
        }
    };
    match taken {
        Ok(ticket) => Ok((decision_id, ticket)),
        Err(_not_taken) => Err(Refused::plain(ReasonCode::AuditUnavailable)),
    }
}

/// What is written down of a call of a proven principal. No token, no parameter and no other value of the call stands in it.
fn what(
    decider: &Decider,
    case: &mut Case,
    decision_id: &str,
    outcome: Outcome,
    reasons: &[Reason],
    admission: Option<&Admission>,
) -> (Chain, What) {
    let params = digest::canonical(&mut case.call.params);
    let principal = case.principal.as_deref().expect("a call of nobody proven is refused, not decided");
    let charged =
        admission.into_iter().flat_map(Admission::paid).map(|Paid { limit, unit, ledger, amount }| Charged {
            amount,
            entry: limit.entry.as_deref().map(str::to_owned),
            ledger: Some(ledger),
            level: limit.level.name().to_owned(),
            unit: unit.to_string(),
        });
    let (params_key, params_digest) = match case.tenant.as_deref().and_then(Tenant::record_key) {
        Some((version, key)) => (Some(u64::from(version)), key.digest(&params)),
        None => (None, KeyedDigest(decider.digest_key.of(&params))),
    };
    let shown_reasons = bounded(reasons);
    let mut rules = std::mem::take(&mut case.rules);
    let left_out = reasons.len() - shown_reasons.len() + rules.len() - bounded(&rules).len();
    rules.truncate(caps::RECORD_REASONS_MAX);
    let (findings, unnamed) = case.findings.recorded("/params");
    let what = record::Decision {
        action: case.call.action.clone(),
        agent: principal.agent.clone(),
        approval: approval(case),
        callers: principal.callers.clone(),
        charged: charged.collect(),
        decision_id: decision_id.to_owned(),
        dry_run: case.call.dry_run,
        findings,
        latency_ns: latency(case.laps),
        left_out: left_out as u64 + unnamed,
        limits: limits(std::mem::take(&mut case.limits_seen), admission.is_some()),
        org: principal.org.clone(),
        outcome,
        params: None,
        params_digest: Some(params_digest),
        params_key,
        policy: case.version.as_deref().map(|version| version.policy().into()),
        reasons: shown_reasons.iter().map(record::Reason::from).collect(),
        request_id: case.call.request_id.clone(),
        rules,
        sealed: case.sealed.take(),
        snapshot: case.snapshot.version(),
        surface: case.surface.as_str().to_owned(),
        token_id: principal.token_id.to_string(),
        tool: case.call.tool.clone(),
        trace_id: case.trace.as_deref().map(|traced| RecordId(traced.trace().0)),
        unverified: std::mem::take(&mut case.unverified),
    };
    (Chain::Tenant(principal.tenant.clone()), What::Decision(Box::new(what)))
}

/// What the limits had before and after the call. Where it does not go on, what was taken went back.
fn limits(mut seen: Vec<LimitUse>, allowed: bool) -> Vec<LimitUse> {
    if !allowed {
        seen.iter_mut().for_each(|limit| limit.after = limit.before);
    }
    seen
}

/// As many items as a record may have.
fn bounded<T>(items: &[T]) -> &[T] {
    &items[..items.len().min(caps::RECORD_REASONS_MAX)]
}

/// Time per stage, as known when the record is made: the stage `record` ends later.
fn latency(laps: Laps) -> BTreeMap<Cow<'static, str>, u64> {
    let taken = Stage::ALL.iter().filter(|&&stage| stage != Stage::Record);
    // A record holds whole numbers within 2^53: 104 days.
    let nanos = |stage: Stage| laps.nanos(stage).min(caps::JSON_INTEGER_MAX as u64);
    taken.map(|&stage| (stage.as_str().into(), nanos(stage))).collect()
}

/// The approval that was redeemed, and by whom it was given; else the request that is open.
fn approval(case: &Case) -> Option<record::Approval> {
    if let Some(approved) = &case.approved {
        // Who agreed was a person when that was told, so every name is one.
        let approvers = approved.approvers.iter().filter_map(|name| name.parse().ok()).collect();
        return Some(record::Approval { approvers, id: approved.id.clone() });
    }
    case.approval.as_ref().map(|open| record::Approval { approvers: Vec::new(), id: open.id.clone() })
}

fn decision(mut case: Case, decision_id: String, outcome: Outcome, reasons: Vec<Reason>) -> Decision {
    Decision {
        decision_id,
        outcome,
        reasons,
        params: may_go_on(outcome).then(|| std::mem::take(&mut case.call.params)),
        approval: case.approval.take(),
        redactions: std::mem::take(&mut case.redactions),
        policy: case.version.as_deref().map(|version| version.policy().clone()),
        limits: case.limits,
        receipt: None,
        replayed: false,
        owner: owner(&case),
        explanation: case.explanation,
    }
}

fn may_go_on(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Allow | Outcome::Sanitize)
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
                redactions: decision.redactions.clone(),
                policy: decision.policy.clone(),
                limits: decision.limits,
                receipt: None,
                replayed: true,
                owner: None,
                explanation: decision.explanation.clone(),
            })),
        };
        Kept { end, cleaned_by: self.cleaned_by.clone(), ticket: self.ticket.clone(), signed: self.signed }
    }

    /// An earlier judgement, answered again to the retry of `case`, whose parameters are the same: they are cleaned as they were
    /// then, whatever is in force now.
    pub(crate) fn again(decider: &Decider, kept: &Kept, mut case: Box<Case>) -> Self {
        decider.names.cover(&mut case.call, &decider.digest_key);
        let (outcome, reasons) = match &kept.end {
            Ok(decision) => (decision.outcome, &decision.reasons[..]),
            Err(_refused) => (Outcome::Deny, &[][..]),
        };
        let subject = Subject::of(decider, &case, outcome, reasons);
        let answer = match &kept.end {
            Err(refused) => Answer::Refused(refused.clone()),
            Ok(decision) => {
                let mut decision = decision.clone();
                let params = std::mem::take(&mut case.call.params);
                decision.params = match (decision.outcome, &kept.cleaned_by) {
                    (Outcome::Allow, _) => Some(params),
                    (Outcome::Sanitize, Some(cleaner)) => cleaner.again(params),
                    (Outcome::Sanitize, None) | (Outcome::Deny | Outcome::ApprovalRequired, _) => None,
                };
                // As of now: slots may have moved since.
                decision.owner = owner(&case);
                match may_go_on(decision.outcome) && decision.params.is_none() {
                    false => Answer::Decided(decision),
                    // Never: equal parameters are cleaned alike (DLP-1).
                    true => Answer::Refused(Refused::plain(ReasonCode::SensitiveData)),
                }
            }
        };
        Self {
            answer,
            ticket: kept.ticket.clone(),
            laps: case.laps,
            subject,
            cleaned_by: None,
            remembered: None,
            approved: None,
            signed: kept.signed,
        }
    }

    /// The same, remembered in `slot`.
    pub(crate) fn remembered(mut self, key: ReplayKey, slot: Arc<Slot>) -> Self {
        self.remembered = Some((key, slot));
        self
    }

    /// Waits until the record is kept. Only a decision stays remembered: what could not be answered is judged
    /// anew when it is asked again.
    pub(crate) async fn settled(mut self, decider: &Decider) -> Recorded {
        if let Some(ticket) = self.ticket.take() {
            match (decider.records.kept(ticket).await, &mut self.answer) {
                (Ok(placed), Answer::Decided(decision)) => {
                    let signed_at = self.signed.then(|| decider.clock.now());
                    decision.receipt = decider.records.receipt(&placed, signed_at);
                }
                (Ok(_), Answer::Refused(_)) => {}
                (Err(_not_kept), answer) => {
                    if let Answer::Decided(decision) = answer {
                        // Nobody is told that it may go on, so it must not cost anything.
                        decider.charges.undo(&decision.decision_id);
                    }
                    if let Some(approved) = self.approved.take() {
                        approved.release();
                    }
                    *answer = Answer::Refused(Refused::plain(ReasonCode::AuditUnavailable));
                }
            }
        }
        self.laps.lap(Stage::Record);
        if let (Some((key, slot)), Answer::Refused(_)) = (&self.remembered, &self.answer) {
            decider.replays.forget(*key, slot);
        }
        let Self { answer, laps, subject, .. } = self;
        Recorded { answer, laps, subject }
    }
}
