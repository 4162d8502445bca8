//! `/tenants/{tenant}/tokens`.

use aegis_proto::admin::{MintTokenRequest, MintedToken};

use super::call::Call;
use super::reply::{self, Answer};
use crate::admin::service::tokens;

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
