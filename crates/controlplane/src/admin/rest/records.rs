//! `/records` and `/tenants/{tenant}/records`.

use aegis_proto::admin::ControlRecordList;

use super::call::Call;
use super::reply::{self, Answer};
use crate::admin::service::records;

/// List the control log
///
/// Of all tenants and of the cluster, the newest first. Role `auditor` or `admin` on `*`.
#[utoipa::path(get, path = "/records", tag = "records", operation_id = "ListRecords",
    params(
        ("limit" = Option<u32>, Query, description = "How many rows at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page of records", body = ControlRecordList)))]
pub(super) async fn list(mut call: Call) -> Answer {
    let request = call.list().await?;
    reply::ok(&records::list(&call.caller, request).await?)
}

/// List a tenant's control log
///
/// The newest first. Role `auditor` or `admin` in the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/records", tag = "records", operation_id = "ListTenantRecords",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("limit" = Option<u32>, Query, description = "How many rows at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page of records", body = ControlRecordList)))]
pub(super) async fn of_tenant(mut call: Call) -> Answer {
    let request = call.tenant_list().await?;
    reply::ok(&records::of_tenant(&call.caller, request).await?)
}
