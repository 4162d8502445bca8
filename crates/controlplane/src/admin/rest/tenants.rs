//! `/tenants`, `/tenants/{tenant}`, `/tenants/{tenant}/keys` and `/tenants/{tenant}/reveal`.

use aegis_proto::admin::{
    CreateTenantRequest, LiftHoldRequest, ListRequest, PlaceHoldRequest, RevealValueRequest, RevealedValue,
    Tenant, TenantKeyList, TenantList, TenantRequest, UpdateTenantRequest,
};

use super::call::Call;
use super::reply::{self, Answer};
use crate::admin::service::{reveal as values, tenants};

/// List tenants
///
/// Those in which the caller has a role, by name.
#[utoipa::path(get, path = "/tenants", tag = "tenants", operation_id = "ListTenants",
    params(
        ("limit" = Option<u32>, Query, description = "How many rows at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page of tenants", body = TenantList)))]
pub(super) async fn list(mut call: Call) -> Answer {
    let request: ListRequest = call.list().await?;
    reply::ok(&tenants::list(&call.caller, request).await?)
}

/// Make a tenant
///
/// Under a name that was never used. Role `admin` on `*`.
#[utoipa::path(post, path = "/tenants", tag = "tenants", operation_id = "CreateTenant",
    request_body = CreateTenantRequest,
    responses((status = 201, description = "The tenant", body = Tenant)))]
pub(super) async fn create(mut call: Call) -> Answer {
    let request: CreateTenantRequest = call.body().await?;
    let tenant = tenants::create(&call.caller, request).await?;
    Ok(reply::with_tag(reply::created(&call.caller, &tenant)?, tenant.revision))
}

/// Show a tenant
///
/// Any role in the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}", tag = "tenants", operation_id = "GetTenant",
    params(("tenant" = String, Path, description = "The tenant")),
    responses((status = 200, description = "The tenant; `ETag` is its revision", body = Tenant)))]
pub(super) async fn get(mut call: Call) -> Answer {
    call.plain().await?;
    let tenant = tenants::get(&call.caller, TenantRequest { tenant: call.path("tenant") }).await?;
    reply::tagged(&tenant, tenant.revision)
}

/// Change what a tenant chose
///
/// An absent field stays as it is. Role `admin` in the tenant.
#[utoipa::path(patch, path = "/tenants/{tenant}", tag = "tenants", operation_id = "UpdateTenant",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("If-Match" = Option<String>, Header, description = "Only if this is the tenant's revision, in quotes"),
    ),
    request_body = UpdateTenantRequest,
    responses((status = 200, description = "The tenant as it is now", body = Tenant)))]
pub(super) async fn update(mut call: Call) -> Answer {
    let mut request: UpdateTenantRequest = call.body().await?;
    request.tenant = call.path("tenant");
    request.only_if_revision = call.only_if(request.only_if_revision)?;
    let tenant = tenants::update(&call.caller, request).await?;
    Ok(reply::with_tag(reply::done(&call.caller, &tenant)?, tenant.revision))
}

/// Retire a tenant
///
/// Its calls are refused, its rows stay, and its name is never used again. Role `admin` in the tenant.
#[utoipa::path(delete, path = "/tenants/{tenant}", tag = "tenants", operation_id = "RetireTenant",
    params(("tenant" = String, Path, description = "The tenant")),
    responses((status = 200, description = "The tenant as it is now", body = Tenant)))]
pub(super) async fn retire(mut call: Call) -> Answer {
    call.plain().await?;
    let request = TenantRequest { tenant: call.path("tenant") };
    reply::done(&call.caller, &tenants::retire(&call.caller, request).await?)
}

/// Place a legal hold
///
/// Nothing of the tenant's audit records is deleted until it is lifted, whatever their retention. Data nodes know of it within
/// moments. Several can stand at once. Role `admin` in the tenant.
#[utoipa::path(put, path = "/tenants/{tenant}/holds/{hold}", tag = "tenants", operation_id = "PlaceHold",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("hold" = String, Path, description = "Its name within the tenant"),
    ),
    request_body = PlaceHoldRequest,
    responses((status = 200, description = "The tenant as it is now", body = Tenant)))]
pub(super) async fn place_hold(mut call: Call) -> Answer {
    let mut request: PlaceHoldRequest = call.body().await?;
    (request.tenant, request.hold) = (call.path("tenant"), call.path("hold"));
    reply::done(&call.caller, &tenants::place_hold(&call.caller, request).await?)
}

/// Lift a legal hold
///
/// What retention asks for is deleted from then on, unless another hold stands. Why is kept in the control log. Role `admin` in the
/// tenant.
#[utoipa::path(post, path = "/tenants/{tenant}/holds/{hold}/lift", tag = "tenants", operation_id = "LiftHold",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("hold" = String, Path, description = "The hold"),
    ),
    request_body = LiftHoldRequest,
    responses((status = 200, description = "The tenant as it is now", body = Tenant)))]
pub(super) async fn lift_hold(mut call: Call) -> Answer {
    let mut request: LiftHoldRequest = call.body().await?;
    (request.tenant, request.hold) = (call.path("tenant"), call.path("hold"));
    reply::done(&call.caller, &tenants::lift_hold(&call.caller, request).await?)
}

/// Show the versions of a tenant's secret key
///
/// What its tokens and keyed digests are made with; the keys themselves are never shown. Any role in the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/keys", tag = "tenants", operation_id = "GetTenantKeys",
    params(("tenant" = String, Path, description = "The tenant")),
    responses((status = 200, description = "The versions, the newest last", body = TenantKeyList)))]
pub(super) async fn list_keys(mut call: Call) -> Answer {
    call.plain().await?;
    reply::ok(&tenants::list_keys(&call.caller, TenantRequest { tenant: call.path("tenant") }).await?)
}

/// Rotate a tenant's secret key
///
/// A new random version counts from then on; what was made with older ones is known again. Role `admin` in the tenant.
#[utoipa::path(post, path = "/tenants/{tenant}/keys/rotate", tag = "tenants", operation_id = "RotateTenantKey",
    params(("tenant" = String, Path, description = "The tenant")),
    responses((status = 200, description = "The versions, the newest last", body = TenantKeyList)))]
pub(super) async fn rotate_key(mut call: Call) -> Answer {
    call.plain().await?;
    let request = TenantRequest { tenant: call.path("tenant") };
    reply::done(&call.caller, &tenants::rotate_key(&call.caller, request).await?)
}

/// Take a token back to its value
///
/// For tokens that a policy calls `reversible`. `sealed` is that of the audit record of the call in which the token was made. Who asked,
/// and why, stands in the control log before the value is given. Role `admin` in the tenant.
#[utoipa::path(post, path = "/tenants/{tenant}/reveal", tag = "tenants", operation_id = "RevealValue",
    params(("tenant" = String, Path, description = "The tenant")),
    request_body = RevealValueRequest,
    responses((status = 200, description = "The value", body = RevealedValue)))]
pub(super) async fn reveal(mut call: Call) -> Answer {
    let mut request: RevealValueRequest = call.body().await?;
    request.tenant = call.path("tenant");
    reply::done(&call.caller, &values::reveal(&call.caller, request).await?)
}
