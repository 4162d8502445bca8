//! `/tenants/{tenant}/revocations`.

use aegis_proto::admin::{Revocation, RevocationList, RevokeRequest};

use super::call::Call;
use super::reply::{self, Answer};
use crate::admin::service::revocations;

/// List revocations
///
/// What the tenant's nodes no longer accept. Any role in the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/revocations", tag = "agents", operation_id = "ListRevocations",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("limit" = Option<u32>, Query, description = "How many rows at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page of revocations", body = RevocationList)))]
pub(super) async fn list(mut call: Call) -> Answer {
    let request = call.tenant_list().await?;
    reply::ok(&revocations::list(&call.caller, request).await?)
}

/// Revoke a token, an agent or a key
///
/// A token, an agent's earlier tokens, or all that a key signs. Role `operator` or `admin` in the tenant.
#[utoipa::path(post, path = "/tenants/{tenant}/revocations", tag = "agents", operation_id = "Revoke",
    params(
        ("tenant" = String, Path, description = "The tenant"),
    ),
    request_body = RevokeRequest,
    responses((status = 201, description = "The revocation", body = Revocation)))]
pub(super) async fn revoke(mut call: Call) -> Answer {
    let mut request: RevokeRequest = call.body().await?;
    request.tenant = call.path("tenant");
    reply::created(&call.caller, &revocations::revoke(&call.caller, request).await?)
}
