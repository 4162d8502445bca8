//! `/roles`, `/tenants/{tenant}/roles` and `/people/{person}/roles`.

use aegis_proto::admin::{RoleBinding, RoleBindingList, RoleRequest};

use super::call::Call;
use super::reply::{self, Answer};
use crate::admin::service::roles;
use crate::state::key::EVERYWHERE;

/// List who has a role on `*`
///
/// Role `viewer`, `auditor` or `admin` on `*`.
#[utoipa::path(get, path = "/roles", tag = "people", operation_id = "ListRoles",
    params(
        ("limit" = Option<u32>, Query, description = "How many rows at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page of roles", body = RoleBindingList)))]
pub(super) async fn list(mut call: Call) -> Answer {
    let request = call.scope_list(EVERYWHERE.to_owned()).await?;
    reply::ok(&roles::list(&call.caller, request).await?)
}

/// List who has a role in a tenant
///
/// Any role in the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/roles", tag = "people", operation_id = "ListTenantRoles",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("limit" = Option<u32>, Query, description = "How many rows at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page of roles", body = RoleBindingList)))]
pub(super) async fn list_of_tenant(mut call: Call) -> Answer {
    let request = call.scope_list(call.path("tenant")).await?;
    reply::ok(&roles::list(&call.caller, request).await?)
}

/// List the roles of a person
///
/// To the person, and to `viewer`, `auditor` and `admin` on `*`.
#[utoipa::path(get, path = "/people/{person}/roles", tag = "people", operation_id = "ListPersonRoles",
    params(
        ("person" = String, Path, description = "The person"),
        ("limit" = Option<u32>, Query, description = "How many rows at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page of roles", body = RoleBindingList)))]
pub(super) async fn of_person(mut call: Call) -> Answer {
    let request = call.person_list().await?;
    reply::ok(&roles::of_person(&call.caller, request).await?)
}

/// Give a person a role on `*`
///
/// Role `admin` on `*`.
#[utoipa::path(put, path = "/roles/{person}/{role}", tag = "people", operation_id = "GrantRole",
    params(
        ("person" = String, Path, description = "The person"),
        ("role" = String, Path, description = "The role"),
    ),
    responses((status = 200, description = "The roles of the person on `*`", body = RoleBinding)))]
pub(super) async fn grant(mut call: Call) -> Answer {
    call.plain().await?;
    let request =
        RoleRequest { scope: EVERYWHERE.to_owned(), person: call.path("person"), role: call.path("role") };
    reply::done(&call.caller, &roles::grant(&call.caller, request).await?)
}

/// Take a role on `*` from a person
///
/// Role `admin` on `*`.
#[utoipa::path(delete, path = "/roles/{person}/{role}", tag = "people", operation_id = "RevokeRole",
    params(
        ("person" = String, Path, description = "The person"),
        ("role" = String, Path, description = "The role"),
    ),
    responses((status = 200, description = "The roles of the person on `*`", body = RoleBinding)))]
pub(super) async fn revoke(mut call: Call) -> Answer {
    call.plain().await?;
    let request =
        RoleRequest { scope: EVERYWHERE.to_owned(), person: call.path("person"), role: call.path("role") };
    reply::done(&call.caller, &roles::revoke(&call.caller, request).await?)
}

/// Give a person a role in a tenant
///
/// Role `admin` in the tenant.
#[utoipa::path(put, path = "/tenants/{tenant}/roles/{person}/{role}", tag = "people", operation_id = "GrantTenantRole",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("person" = String, Path, description = "The person"),
        ("role" = String, Path, description = "The role"),
    ),
    responses((status = 200, description = "The roles of the person in the tenant", body = RoleBinding)))]
pub(super) async fn grant_in_tenant(mut call: Call) -> Answer {
    call.plain().await?;
    let request =
        RoleRequest { scope: call.path("tenant"), person: call.path("person"), role: call.path("role") };
    reply::done(&call.caller, &roles::grant(&call.caller, request).await?)
}

/// Take a role in a tenant from a person
///
/// Role `admin` in the tenant.
#[utoipa::path(delete, path = "/tenants/{tenant}/roles/{person}/{role}", tag = "people", operation_id = "RevokeTenantRole",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("person" = String, Path, description = "The person"),
        ("role" = String, Path, description = "The role"),
    ),
    responses((status = 200, description = "The roles of the person in the tenant", body = RoleBinding)))]
pub(super) async fn revoke_in_tenant(mut call: Call) -> Answer {
    call.plain().await?;
    let request =
        RoleRequest { scope: call.path("tenant"), person: call.path("person"), role: call.path("role") };
    reply::done(&call.caller, &roles::revoke(&call.caller, request).await?)
}
