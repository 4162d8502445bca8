//! Data nodes: list, show, retire.

use aegis_proto::admin::{DataNode, DataNodeList, ListRequest, NodeRequest};
use aegis_proto::control as rows;

use super::row;
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::{Problem, form};
use crate::command::{Code, Refused};
use crate::state::data_nodes;

/// Data nodes, by id.
pub(crate) async fn list(caller: &Caller, request: ListRequest) -> Result<DataNodeList, Problem> {
    let query = form::page(request.limit, &request.cursor)?;
    let state = caller.reads(Read::Cluster).await?;
    let (items, next) = form::listed(data_nodes::data_nodes(&state, &query)?, shown);
    Ok(DataNodeList { items, next })
}

/// Shows a data node.
pub(crate) async fn get(caller: &Caller, request: NodeRequest) -> Result<DataNode, Problem> {
    let id = form::read_node_id(&request.id)?;
    let state = caller.reads(Read::Cluster).await?;
    let row = data_nodes::data_node(&state, id)?;
    let unknown = || Refused::unknown(Code::UnknownDataNode, "data node", form::node_id(id));
    Ok(shown(row.ok_or_else(unknown)?))
}

/// Retires a data node.
pub(crate) async fn retire(caller: &Caller, request: NodeRequest) -> Result<DataNode, Problem> {
    let command = rows::RetireDataNode { id: form::read_node_id(&request.id)? };
    row!(caller.write("RetireDataNode", &request, command).await?, DataNode).map(shown)
}

fn shown(row: rows::DataNode) -> DataNode {
    DataNode {
        id: form::node_id(row.id),
        name: row.name,
        address: row.address,
        region: row.region,
        tenant: row.tenant,
        incarnation: row.incarnation,
        software: row.software,
        registered_at: form::time(row.registered_ms),
        started_at: form::time(row.started_ms),
        retired_at: form::maybe_time(row.retired_ms),
    }
}
