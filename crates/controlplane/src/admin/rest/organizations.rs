//! `/organizations/{organization}/limits`.

use aegis_proto::admin::{OrganizationRequest, SetOrganizationLimitsRequest, SharedLimits};

use super::call::Call;
use super::reply::{self, Answer};
use crate::admin::service::organizations;

/// Show the limits of an organization
///
/// What all its tenants may use together; revision 0 if none were ever set. Any role on `*`.
#[utoipa::path(get, path = "/organizations/{organization}/limits", tag = "limits",
    operation_id = "GetOrganizationLimits",
    params(
        ("organization" = String, Path, description = "The organization"),
    ),
    responses((status = 200, description = "The limits", body = SharedLimits)))]
pub(super) async fn limits(mut call: Call) -> Answer {
    call.plain().await?;
    let request = OrganizationRequest { organization: call.path("organization") };
    let limits = organizations::limits(&call.caller, request).await?;
    reply::tagged(&limits, limits.revision)
}

/// Set the limits of an organization
///
/// All of them at once: what is not said is not limited. Role `admin` on `*`.
#[utoipa::path(put, path = "/organizations/{organization}/limits", tag = "limits",
    operation_id = "SetOrganizationLimits",
    params(
        ("organization" = String, Path, description = "The organization"),
        ("If-Match" = Option<String>, Header, description = "Only if this is the revision, in quotes"),
    ),
    request_body = SetOrganizationLimitsRequest,
    responses((status = 200, description = "The limits as they are now", body = SharedLimits)))]
pub(super) async fn set_limits(mut call: Call) -> Answer {
    let mut request: SetOrganizationLimitsRequest = call.body().await?;
    request.organization = call.path("organization");
    request.only_if_revision = call.only_if(request.only_if_revision)?;
    let limits = organizations::set_limits(&call.caller, request).await?;
    Ok(reply::with_tag(reply::done(&call.caller, &limits)?, limits.revision))
}
