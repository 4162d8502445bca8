//! `/tenants/{tenant}/labels`.

use aegis_proto::admin::{Label, LabelList, LabelRequest, PutLabelRequest};

use super::call::Call;
use super::reply::{self, Answer};
use crate::admin::service::labels;

/// List labels
///
/// By name. Any role in the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/labels", tag = "versions", operation_id = "ListLabels",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("limit" = Option<u32>, Query, description = "How many rows at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page of labels", body = LabelList)))]
pub(super) async fn list(mut call: Call) -> Answer {
    let request = call.tenant_list().await?;
    reply::ok(&labels::list(&call.caller, request).await?)
}

/// Put a label at a version
///
/// Role `author`, `operator` or `admin` in the tenant.
#[utoipa::path(put, path = "/tenants/{tenant}/labels/{label}", tag = "versions", operation_id = "PutLabel",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("label" = String, Path, description = "The label"),
        ("If-Match" = Option<String>, Header, description = "Only if this is the label's version, in quotes"),
    ),
    request_body = PutLabelRequest,
    responses((status = 200, description = "The label", body = Label)))]
pub(super) async fn put(mut call: Call) -> Answer {
    let mut request: PutLabelRequest = call.body().await?;
    (request.tenant, request.label) = (call.path("tenant"), call.path("label"));
    request.only_if_version = call.only_if(request.only_if_version)?;
    let label = labels::put(&call.caller, request).await?;
    Ok(reply::with_tag(reply::done(&call.caller, &label)?, label.version))
}

/// Take a label away
///
/// Role `author`, `operator` or `admin` in the tenant.
#[utoipa::path(delete, path = "/tenants/{tenant}/labels/{label}", tag = "versions", operation_id = "RemoveLabel",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("label" = String, Path, description = "The label"),
    ),
    responses((status = 200, description = "The label that was taken away", body = Label)))]
pub(super) async fn remove(mut call: Call) -> Answer {
    call.plain().await?;
    let request = LabelRequest { tenant: call.path("tenant"), label: call.path("label") };
    reply::done(&call.caller, &labels::remove(&call.caller, request).await?)
}
