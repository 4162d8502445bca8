//! `VoteApproval`: a person agrees to a call, or says no.

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::control::{Approval, ApprovalState, ApprovalVote, Role, VoteApproval, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::actor::Actor;
use super::approvals as shared;
use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::{self, Who};
use crate::state::approvals;
use crate::state::writer::Writer;

/// The request as it is, and as it is to be; nothing where the same was said before.
pub(crate) struct Checked {
    before: Approval,
    after: Option<Approval>,
}

impl Kind for VoteApproval {
    const NAME: &'static str = "VoteApproval";
    /// Whoever may look at the tenant's requests. Whether they are one of those who are asked, the request says.
    const WHO: Who =
        Who::roles(&[Role::Viewer, Role::Auditor, Role::Author, Role::Approver, Role::Operator, Role::Admin]);
    type Checked = Checked;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        let vote = if self.approve { "agreed to" } else { "said no to" };
        let reason =
            if self.reason.is_empty() { String::new() } else { format!(", because: {}", self.reason) };
        format!("{vote} request `{}`{reason}", self.id)
    }

    fn outcome(result: &done::Result) -> String {
        match result {
            done::Result::Approval(row) => {
                format!("{}: {}", shared::in_words(row), approvals::state_name(row.state()))
            }
            _ => String::new(),
        }
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        let (tenant, _) = checks::living_tenant(state, &self.tenant)?;
        let Actor::Person { name: person, .. } = asked.actor else {
            return Err(Refused::invalid("actor", "a person").into());
        };
        let reason = checks::words("reason", &self.reason)?;
        let approval = shared::known(state, &tenant, &self.id)?;
        let said = approval.votes.iter().position(|vote| vote.person == person.as_str());
        let same =
            said.and_then(|at| approval.votes.get(at)).is_some_and(|vote| vote.approve == self.approve);
        // A double click is one vote, also if it was the deciding one.
        if same {
            return Ok(Checked { before: approval, after: None });
        }
        let standing = approvals::standing(&approval, asked.cluster.history, asked.now_ms());
        if standing != ApprovalState::Pending {
            return Err(closed(&approval, standing).into());
        }
        if shared::is_own(&approval, person) {
            let message = format!("`{person}` stands in the chain of the call, and cannot decide on it");
            return Err(Refused::new(Code::SelfApproval, message).into());
        }
        is_asked(state, &tenant, &approval, person)?;
        let mut after = approval.clone();
        if let Some(at) = said {
            after.votes.remove(at);
        }
        if after.votes.len() >= caps::APPROVAL_NAMES_MAX {
            return Err(Refused::too_many("votes on one request", caps::APPROVAL_NAMES_MAX).into());
        }
        let (now_ms, approve) = (asked.now_ms(), self.approve);
        after.votes.push(ApprovalVote { person: person.to_string(), approve, reason, at_ms: now_ms });
        Ok(Checked { after: Some(decided(state, &tenant, after, approve, now_ms)?), before: approval })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let Checked { before, after } = checked;
        let row = match after {
            None => before,
            Some(after) => approvals::put(write, &before, after)?,
        };
        Ok(done::Result::Approval(row))
    }
}

/// What a vote makes of the request: one no ends it, enough yes approve it.
fn decided(
    state: &impl StateRead,
    tenant: &TenantId,
    mut approval: Approval,
    approve: bool,
    now_ms: u64,
) -> Result<Approval, StoreError> {
    if !approve {
        return Ok(Approval {
            decided_ms: now_ms,
            ..shared::ended(&approval, ApprovalState::Rejected, now_ms)
        });
    }
    if shared::is_agreed(state, tenant, &approval)? {
        approval.set_state(ApprovalState::Approved);
        approval.decided_ms = now_ms;
        approval.expires_ms = now_ms + caps::OVERRIDE_SECONDS * 1_000;
    }
    Ok(approval)
}

fn is_asked(
    state: &impl StateRead,
    tenant: &TenantId,
    approval: &Approval,
    person: &aegis_model::ids::PersonId,
) -> Result<(), Failure> {
    let mut by = Vec::new();
    for terms in &approval.terms {
        if shared::may(state, tenant, person, terms)? {
            return Ok(());
        }
        by.extend(terms.by.iter().cloned());
    }
    if by.is_empty() {
        by.extend(shared::BY_DEFAULT.iter().map(|role| who::name(*role)));
    }
    let by = by.join(",");
    let message = format!("this is not permitted: the policy asks `{by}`");
    Err(Refused::new(Code::Forbidden, message).with("by", by).into())
}

/// The request is not open any more.
pub(super) fn closed(approval: &Approval, standing: ApprovalState) -> Refused {
    let state = approvals::state_name(standing);
    Refused::new(Code::ApprovalClosed, format!("the request `{}` is {state}", approval.id))
        .with("state", state)
}
