//! `/tenants/{tenant}/approvals`.

use aegis_proto::admin::{Approval, ApprovalList, ApprovalListRequest, ApprovalRequest, ApprovalVoteRequest};

use super::call::Call;
use super::reply::{self, Answer};
use crate::admin::service::approvals;

/// List requests for approval
///
/// The newest first. Any role in the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/approvals", tag = "approvals", operation_id = "ListApprovals",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("state" = Option<String>, Query, description = "Only those that stand so, e.g. `pending`"),
        ("agent" = Option<String>, Query, description = "Only those of this agent"),
        ("limit" = Option<u32>, Query, description = "How many rows are looked at at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page of requests", body = ApprovalList)))]
pub(super) async fn list(mut call: Call) -> Answer {
    let query = call.query(&["state", "agent", "limit", "cursor"])?;
    call.no_body().await?;
    let request = ApprovalListRequest {
        tenant: call.path("tenant"),
        state: query.text("state").to_owned(),
        agent: query.text("agent").to_owned(),
        limit: query.number("limit")?.unwrap_or_default(),
        cursor: query.text("cursor").to_owned(),
    };
    reply::ok(&approvals::list(&call.caller, request).await?)
}

/// Show a request for approval
///
/// Any role in the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/approvals/{approval}", tag = "approvals", operation_id = "GetApproval",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("approval" = String, Path, description = "The request"),
    ),
    responses((status = 200, description = "The request", body = Approval)))]
pub(super) async fn get(mut call: Call) -> Answer {
    call.plain().await?;
    let request = ApprovalRequest { tenant: call.path("tenant"), approval: call.path("approval") };
    reply::ok(&approvals::get(&call.caller, request).await?)
}

/// Agree to a call
///
/// Whoever the policy names, with any role in the tenant; never somebody who stands in the call's own chain.
#[utoipa::path(post, path = "/tenants/{tenant}/approvals/{approval}/approve", tag = "approvals",
    operation_id = "Approve",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("approval" = String, Path, description = "The request"),
    ),
    request_body = ApprovalVoteRequest,
    responses((status = 200, description = "The request", body = Approval)))]
pub(super) async fn approve(mut call: Call) -> Answer {
    let request = vote(&mut call).await?;
    reply::done(&call.caller, &approvals::approve(&call.caller, request).await?)
}

/// Say no to a call
///
/// Whoever the policy names, with any role in the tenant. One no ends the request.
#[utoipa::path(post, path = "/tenants/{tenant}/approvals/{approval}/reject", tag = "approvals",
    operation_id = "Reject",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("approval" = String, Path, description = "The request"),
    ),
    request_body = ApprovalVoteRequest,
    responses((status = 200, description = "The request", body = Approval)))]
pub(super) async fn reject(mut call: Call) -> Answer {
    let request = vote(&mut call).await?;
    reply::done(&call.caller, &approvals::reject(&call.caller, request).await?)
}

/// Take a request back
///
/// Or an approval that was not used. Role `approver`, `operator` or `admin` in the tenant.
#[utoipa::path(post, path = "/tenants/{tenant}/approvals/{approval}/cancel", tag = "approvals",
    operation_id = "CancelApproval",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("approval" = String, Path, description = "The request"),
    ),
    request_body = ApprovalVoteRequest,
    responses((status = 200, description = "The request", body = Approval)))]
pub(super) async fn cancel(mut call: Call) -> Answer {
    let request = vote(&mut call).await?;
    reply::done(&call.caller, &approvals::cancel(&call.caller, request).await?)
}

async fn vote(call: &mut Call) -> Result<ApprovalVoteRequest, crate::admin::Problem> {
    let mut request: ApprovalVoteRequest = call.body().await?;
    request.tenant = call.path("tenant");
    request.approval = call.path("approval");
    Ok(request)
}
