//! `/tenants/{tenant}/budgets` and `/organizations/{organization}/budgets`.

use aegis_proto::admin::{
    AdjustBudgetRequest, AdjustOrganizationBudgetRequest, AdjustedBudget, BudgetList, BudgetListRequest,
    OrganizationListRequest,
};

use super::call::Call;
use super::reply::{self, Answer};
use crate::admin::service::budgets;

/// List budgets
///
/// Of the tenant, of its agents, and of what entries allow to them: those of which something was asked for lately. Any role in
/// the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/budgets", tag = "limits", operation_id = "ListBudgets",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("agent" = Option<String>, Query, description = "Only those of this agent"),
        ("entry" = Option<String>, Query, description = "Only those of entries of this name"),
        ("unit" = Option<String>, Query, description = "Only those that count this"),
        ("before" = Option<bool>, Query, description = "Instead of the newest epoch of each, the one before"),
        ("limit" = Option<u32>, Query, description = "How many rows are looked at at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page of budgets", body = BudgetList)))]
pub(super) async fn list(mut call: Call) -> Answer {
    let query = call.query(&["agent", "entry", "unit", "before", "limit", "cursor"])?;
    call.no_body().await?;
    let request = BudgetListRequest {
        tenant: call.path("tenant"),
        agent: query.text("agent").to_owned(),
        entry: query.text("entry").to_owned(),
        unit: query.text("unit").to_owned(),
        limit: query.number("limit")?.unwrap_or_default(),
        cursor: query.text("cursor").to_owned(),
        before: query.flag("before")?,
    };
    reply::ok(&budgets::list(&call.caller, request).await?)
}

/// Change a budget
///
/// Until its running epoch ends: another limit, or forgiving what was spent. Role `operator` or `admin` in the tenant.
#[utoipa::path(post, path = "/tenants/{tenant}/budgets/adjust", tag = "limits", operation_id = "AdjustBudget",
    params(
        ("tenant" = String, Path, description = "The tenant"),
    ),
    request_body = AdjustBudgetRequest,
    responses((status = 200, description = "The budget before and after", body = AdjustedBudget)))]
pub(super) async fn adjust(mut call: Call) -> Answer {
    let mut request: AdjustBudgetRequest = call.body().await?;
    request.tenant = call.path("tenant");
    reply::done(&call.caller, &budgets::adjust(&call.caller, request).await?)
}

/// List the budgets of an organization
///
/// As a whole; those of its tenants are listed there. Any role on `*`.
#[utoipa::path(get, path = "/organizations/{organization}/budgets", tag = "limits",
    operation_id = "ListOrganizationBudgets",
    params(
        ("organization" = String, Path, description = "The organization"),
        ("limit" = Option<u32>, Query, description = "How many rows at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page of budgets", body = BudgetList)))]
pub(super) async fn of_organization(mut call: Call) -> Answer {
    let page = call.list().await?;
    let request = OrganizationListRequest {
        organization: call.path("organization"),
        limit: page.limit,
        cursor: page.cursor,
    };
    reply::ok(&budgets::of_organization(&call.caller, request).await?)
}

/// Change a budget of an organization
///
/// Until its running epoch ends. Role `operator` or `admin` on `*`.
#[utoipa::path(post, path = "/organizations/{organization}/budgets/adjust", tag = "limits",
    operation_id = "AdjustOrganizationBudget",
    params(
        ("organization" = String, Path, description = "The organization"),
    ),
    request_body = AdjustOrganizationBudgetRequest,
    responses((status = 200, description = "The budget before and after", body = AdjustedBudget)))]
pub(super) async fn adjust_of_organization(mut call: Call) -> Answer {
    let mut request: AdjustOrganizationBudgetRequest = call.body().await?;
    request.organization = call.path("organization");
    reply::done(&call.caller, &budgets::adjust_of_organization(&call.caller, request).await?)
}
