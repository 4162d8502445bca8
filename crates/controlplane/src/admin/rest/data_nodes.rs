//! `/data-nodes`.

use aegis_proto::admin::{DataNode, DataNodeList, NodeRequest};

use super::call::Call;
use super::reply::{self, Answer};
use crate::admin::service::data_nodes;

/// List data nodes
///
/// By id. Any role on `*`.
#[utoipa::path(get, path = "/data-nodes", tag = "cluster", operation_id = "ListDataNodes",
    params(
        ("limit" = Option<u32>, Query, description = "How many rows at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page of data nodes", body = DataNodeList)))]
pub(super) async fn list(mut call: Call) -> Answer {
    let request = call.list().await?;
    reply::ok(&data_nodes::list(&call.caller, request).await?)
}

/// Show a data node
///
/// Any role on `*`.
#[utoipa::path(get, path = "/data-nodes/{id}", tag = "cluster", operation_id = "GetDataNode",
    params(
        ("id" = String, Path, description = "The id"),
    ),
    responses((status = 200, description = "The data node", body = DataNode)))]
pub(super) async fn get(mut call: Call) -> Answer {
    call.plain().await?;
    let request = NodeRequest { id: call.path("id") };
    reply::ok(&data_nodes::get(&call.caller, request).await?)
}

/// Retire a data node
///
/// Its id never comes back. Role `admin` on `*`.
#[utoipa::path(delete, path = "/data-nodes/{id}", tag = "cluster", operation_id = "RetireDataNode",
    params(
        ("id" = String, Path, description = "The id"),
    ),
    responses((status = 200, description = "The data node as it is now", body = DataNode)))]
pub(super) async fn retire(mut call: Call) -> Answer {
    call.plain().await?;
    let request = NodeRequest { id: call.path("id") };
    reply::done(&call.caller, &data_nodes::retire(&call.caller, request).await?)
}
