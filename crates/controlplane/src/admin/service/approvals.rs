//! Requests for approval: list, show, agree, say no, take back.

use aegis_proto::admin::{
    Approval, ApprovalList, ApprovalListRequest, ApprovalReason, ApprovalRequest, ApprovalTerms,
    ApprovalVote, ApprovalVoteRequest,
};
use aegis_proto::control as rows;
use aegis_proto::control::ApprovalState;

use super::{row, tenants};
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::{Problem, form};
use crate::command::approvals::BY_DEFAULT;
use crate::command::{Code, Refused, who};
use crate::control::Applied;
use crate::state::approvals;

/// Pages that are looked at for one that holds anything, where a filter leaves little: the rest is left to the next call.
const PAGES_MAX: usize = 16;

/// A tenant's requests, the newest first.
pub(crate) async fn list(caller: &Caller, request: ApprovalListRequest) -> Result<ApprovalList, Problem> {
    let tenant = form::tenant(&request.tenant)?;
    check_state(&request.state)?;
    let mut query = form::page(request.limit, &request.cursor)?;
    let state = caller.reads(Read::Tenant(&tenant)).await?;
    tenants::known(&state, &tenant)?;
    let mut pages = 0;
    loop {
        let page = approvals::approvals(&state, &tenant, &query)?;
        let next = page.next.clone();
        let (mut items, told) = form::listed(page, |row| shown(caller, row));
        items.retain(|approval| is_wanted(approval, &request));
        pages += 1;
        match next {
            Some(next) if items.is_empty() && pages < PAGES_MAX => query = query.after(next),
            Some(_) | None => return Ok(ApprovalList { items, next: told }),
        }
    }
}

fn is_wanted(approval: &Approval, request: &ApprovalListRequest) -> bool {
    let is = |wanted: &str, value: &str| wanted.is_empty() || wanted == value;
    is(&request.state, &approval.state) && is(&request.agent, &approval.agent)
}

/// One request.
pub(crate) async fn get(caller: &Caller, request: ApprovalRequest) -> Result<Approval, Problem> {
    let tenant = form::tenant(&request.tenant)?;
    let state = caller.reads(Read::Tenant(&tenant)).await?;
    tenants::known(&state, &tenant)?;
    let found = approvals::approval(&state, &tenant, &request.approval)?;
    let unknown = || Refused::unknown(Code::UnknownApproval, "request for approval", &request.approval);
    Ok(shown(caller, found.ok_or_else(unknown)?))
}

/// The caller agrees.
pub(crate) async fn approve(caller: &Caller, request: ApprovalVoteRequest) -> Result<Approval, Problem> {
    vote(caller, "Approve", &request, true).await
}

/// The caller says no.
pub(crate) async fn reject(caller: &Caller, request: ApprovalVoteRequest) -> Result<Approval, Problem> {
    vote(caller, "Reject", &request, false).await
}

async fn vote(
    caller: &Caller,
    operation: &'static str,
    request: &ApprovalVoteRequest,
    approve: bool,
) -> Result<Approval, Problem> {
    let command = rows::VoteApproval {
        tenant: request.tenant.clone(),
        id: request.approval.clone(),
        approve,
        reason: request.reason.clone(),
    };
    let row = row!(caller.write(operation, request, command).await?, Approval)?;
    Ok(shown(caller, row))
}

/// Takes a request back, or an approval that was not used.
pub(crate) async fn cancel(caller: &Caller, request: ApprovalVoteRequest) -> Result<Approval, Problem> {
    let command = rows::CancelApproval {
        tenant: request.tenant.clone(),
        id: request.approval.clone(),
        reason: request.reason.clone(),
    };
    let row = row!(caller.write("CancelApproval", &request, command).await?, Approval)?;
    Ok(shown(caller, row))
}

fn check_state(state: &str) -> Result<(), Problem> {
    let known = [
        ApprovalState::Unspecified,
        ApprovalState::Pending,
        ApprovalState::Approved,
        ApprovalState::Rejected,
        ApprovalState::Expired,
        ApprovalState::Redeemed,
        ApprovalState::Cancelled,
    ];
    if known.into_iter().any(|known| approvals::state_name(known) == state) {
        return Ok(());
    }
    let form = "`pending`, `approved`, `rejected`, `expired`, `redeemed` or `cancelled`";
    Err(Problem::invalid("state", form))
}

fn shown(caller: &Caller, row: rows::Approval) -> Approval {
    let now = *caller.admin().control().applied().borrow();
    document(row, now)
}

/// A request as it is shown, wherever it is.
pub(crate) fn document(row: rows::Approval, now: Applied) -> Approval {
    let state = approvals::state_name(approvals::standing(&row, now.history, now.log_time_ms)).to_owned();
    let call = row.call.unwrap_or_default();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap_or_default();
    let reason = |it: rows::ApprovalReason| ApprovalReason {
        code: it.code,
        message: it.message,
        path: it.path,
        rule: it.rule,
    };
    let moment = |ms: u64| if ms == 0 { String::new() } else { form::time(ms) };
    let vote = |it: rows::ApprovalVote| ApprovalVote {
        person: it.person,
        approve: it.approve,
        reason: it.reason,
        at: form::time(it.at_ms),
    };
    Approval {
        tenant: row.tenant,
        id: row.id,
        state,
        agent: call.agent,
        callers: call.callers,
        tool: call.tool,
        action: call.action,
        params: text(call.params),
        context: text(call.context),
        cost: call.cost,
        reasons: call.reasons.into_iter().map(reason).collect(),
        terms: row.terms.into_iter().map(terms).collect(),
        votes: row.votes.into_iter().map(vote).collect(),
        similar: row.similar,
        opened_at: form::time(row.opened_ms),
        expires_at: form::time(row.expires_ms),
        decided_at: moment(row.decided_ms),
        ended_at: moment(row.ended_ms),
        cancelled_because: row.cancelled_because,
        version: call.version,
        activation: call.activation,
    }
}

fn terms(row: rows::ApprovalTerms) -> ApprovalTerms {
    let by = match row.by.as_slice() {
        [] => BY_DEFAULT.iter().map(|role| who::name(*role)).collect(),
        _ => row.by,
    };
    ApprovalTerms { rule: row.rule, by, of: row.of }
}
