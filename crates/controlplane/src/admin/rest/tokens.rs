//! `/tenants/{tenant}/tokens`.

use aegis_proto::admin::{MintTokenRequest, MintedToken, TokenRecordList};

use super::call::Call;
use super::reply::{self, Answer};
use crate::admin::service::tokens;

/// List tokens
///
/// Those that were given out to the tenant's agents, the newest first: who, by what proof, until when; never a token itself. Any role in
/// the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/tokens", tag = "agents", operation_id = "ListTokens",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("limit" = Option<u32>, Query, description = "How many rows at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page of records", body = TokenRecordList)))]
pub(super) async fn list(mut call: Call) -> Answer {
    let request = call.tenant_list().await?;
    reply::ok(&tokens::list(&call.caller, request).await?)
}

/// Mint a token for an agent
///
/// The token is in the answer, and nowhere else; it lives at most 15 minutes. Role `operator` or `admin` in the tenant.
#[utoipa::path(post, path = "/tenants/{tenant}/tokens", tag = "agents", operation_id = "MintToken",
    params(
        ("tenant" = String, Path, description = "The tenant"),
    ),
    request_body = MintTokenRequest,
    responses((status = 201, description = "The token", body = MintedToken)))]
pub(super) async fn mint(mut call: Call) -> Answer {
    let mut request: MintTokenRequest = call.body().await?;
    request.tenant = call.path("tenant");
    reply::created(&call.caller, &tokens::mint(&call.caller, request).await?)
}
