//! What the commands about approvals share: who may agree, whether enough did, and how a request ends.

use aegis_model::ids::{PersonId, TenantId};
use aegis_proto::control::{Approval, ApprovalState, ApprovalTerms, Role};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::kind::Failure;
use super::refused::{Code, Refused};
use super::who;
use crate::state::key::Scope;
use crate::state::{approvals, data_nodes, people, roles};

/// Who may agree where the policy names nobody.
pub(crate) const BY_DEFAULT: &[Role] = &[Role::Approver, Role::Admin];

/// A request of the tenant.
pub(super) fn known(state: &impl StateRead, tenant: &TenantId, id: &str) -> Result<Approval, Failure> {
    approvals::approval(state, tenant, id)?
        .ok_or_else(|| Refused::unknown(Code::UnknownApproval, "request for approval", id).into())
}

/// Whether `person` is one of those whom `terms` name.
///
/// # Errors
/// The storage failed.
pub(crate) fn may(
    state: &impl StateRead,
    tenant: &TenantId,
    person: &PersonId,
    terms: &ApprovalTerms,
) -> Result<bool, StoreError> {
    let scope = Scope::Tenant(tenant.clone());
    if terms.by.is_empty() {
        return roles::has_any(state, person, &scope, BY_DEFAULT);
    }
    for name in &terms.by {
        let is_named = match (name.contains('@'), who::from_name(name)) {
            (true, _) => name == person.as_str(),
            (false, Some(role)) => roles::has_any(state, person, &scope, &[role])?,
            (false, None) => roles::has_own(state, person, &scope, name)?,
        };
        if is_named {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether enough people agreed who still may: of each of the terms.
pub(super) fn is_agreed(
    state: &impl StateRead,
    tenant: &TenantId,
    approval: &Approval,
) -> Result<bool, StoreError> {
    for terms in &approval.terms {
        let mut agreed = 0;
        for vote in approval.votes.iter().filter(|vote| vote.approve) {
            let Ok(person) = vote.person.parse::<PersonId>() else { continue };
            let counts = people::person(state, &person)?.is_some_and(|row| !row.disabled);
            if counts && may(state, tenant, &person, terms)? {
                agreed += 1;
            }
        }
        if agreed < terms.of.max(1) {
            return Ok(false);
        }
    }
    Ok(!approval.terms.is_empty())
}

/// Whether `person` is the agent whose call it is, or stands in its chain of callers: nobody agrees to their own call.
pub(super) fn is_own(approval: &Approval, person: &PersonId) -> bool {
    let Some(call) = &approval.call else { return true };
    let mut chain = std::iter::once(&call.agent).chain(&call.callers);
    chain.any(|member| member.eq_ignore_ascii_case(person.as_str()))
}

/// Whether the data node is the newest process of one that was not retired, as for leases (LIM-2).
pub(super) fn is_newest(state: &impl StateRead, node: u64, incarnation: u64) -> Result<bool, StoreError> {
    let row = data_nodes::data_node(state, node)?;
    Ok(row.is_some_and(|row| row.incarnation == incarnation && row.retired_ms == 0))
}

/// The same request, ended.
pub(super) fn ended(approval: &Approval, state: ApprovalState, now_ms: u64) -> Approval {
    Approval { state: state.into(), ended_ms: now_ms, ..approval.clone() }
}

/// A request as one line of a record says it.
pub(super) fn in_words(approval: &Approval) -> String {
    let call = approval.call.clone().unwrap_or_default();
    format!("`{}` `{}` of agent `{}`", call.tool, call.action, call.agent)
}

#[cfg(test)]
mod tests;
