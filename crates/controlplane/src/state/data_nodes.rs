//! Data nodes, also retired ones: their ids are never used again.

use aegis_proto::control::{ChangeKind, DataNode};
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::page::{self, Page, PageQuery};
use super::writer::Writer;
use super::{changes, key, row};

/// Id, big-endian → [`DataNode`].
pub const DATA_NODES: Table = Table::new("data_nodes");

/// The data node with this id.
///
/// # Errors
/// The storage failed.
pub fn data_node(state: &impl StateRead, id: u64) -> Result<Option<DataNode>, StoreError> {
    row::read(state, DATA_NODES, &key::rising(id))
}

/// Data nodes, by id.
///
/// # Errors
/// The storage failed.
pub fn data_nodes(state: &impl StateRead, query: &PageQuery) -> Result<Page<DataNode>, StoreError> {
    page::rows(state, DATA_NODES, &[], query)
}

pub(crate) fn put(write: &mut Writer<'_, '_>, node: &DataNode) -> Result<(), StoreError> {
    write.put(DATA_NODES, &key::rising(node.id), node)?;
    changes::note(write, ChangeKind::DataNode, "", &node.id.to_string())
}
