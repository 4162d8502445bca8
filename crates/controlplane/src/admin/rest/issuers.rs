//! `/tenants/{tenant}/issuers`.

use aegis_proto::admin::{IssuerList, IssuerRequest, SetIssuerRequest, TokenIssuer};

use super::call::Call;
use super::reply::{self, Answer};
use crate::admin::service::issuers;

/// List the issuers outside whose tokens prove agents
///
/// By name. Any role in the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/issuers", tag = "agents", operation_id = "ListIssuers",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("limit" = Option<u32>, Query, description = "How many rows at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page of issuers", body = IssuerList)))]
pub(super) async fn list(mut call: Call) -> Answer {
    let request = call.tenant_list().await?;
    reply::ok(&issuers::list(&call.caller, request).await?)
}

/// Show an issuer
///
/// Any role in the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/issuers/{issuer}", tag = "agents", operation_id = "GetIssuer",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("issuer" = String, Path, description = "The issuer"),
    ),
    responses((status = 200, description = "The issuer; `ETag` is its revision", body = TokenIssuer)))]
pub(super) async fn get(mut call: Call) -> Answer {
    call.plain().await?;
    let request = IssuerRequest { tenant: call.path("tenant"), issuer: call.path("issuer") };
    let issuer = issuers::get(&call.caller, request).await?;
    reply::tagged(&issuer, issuer.revision)
}

/// Pin an issuer
///
/// Its `iss`, the `aud` that it names, one algorithm and its keys; replaces all that was pinned before. Tokens that were given out stay
/// good; revoke the issuer to end them. Role `operator` or `admin` in the tenant.
#[utoipa::path(put, path = "/tenants/{tenant}/issuers/{issuer}", tag = "agents", operation_id = "SetIssuer",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("issuer" = String, Path, description = "The issuer's name within the tenant"),
        ("If-Match" = Option<String>, Header, description = "Only if this is the issuer's revision, in quotes"),
    ),
    request_body = SetIssuerRequest,
    responses((status = 200, description = "The issuer as it is now", body = TokenIssuer)))]
pub(super) async fn set(mut call: Call) -> Answer {
    let mut request: SetIssuerRequest = call.body().await?;
    (request.tenant, request.issuer) = (call.path("tenant"), call.path("issuer"));
    request.only_if_revision = call.only_if(request.only_if_revision)?;
    let issuer = issuers::set(&call.caller, request).await?;
    Ok(reply::with_tag(reply::done(&call.caller, &issuer)?, issuer.revision))
}

/// Remove an issuer
///
/// Its tokens prove nobody any more, and what was given out on their strength ends. Role `operator` or `admin` in the tenant.
#[utoipa::path(delete, path = "/tenants/{tenant}/issuers/{issuer}", tag = "agents", operation_id = "RemoveIssuer",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("issuer" = String, Path, description = "The issuer"),
    ),
    responses((status = 200, description = "The issuer that was removed", body = TokenIssuer)))]
pub(super) async fn remove(mut call: Call) -> Answer {
    call.plain().await?;
    let request = IssuerRequest { tenant: call.path("tenant"), issuer: call.path("issuer") };
    reply::done(&call.caller, &issuers::remove(&call.caller, request).await?)
}
