//! A row as bytes: protobuf, read back exactly or reported as damaged.

use aegis_raft_store::tables::{StateRead, StoreError, Table};
use prost::Message;

/// The row at `key`.
pub(crate) fn read<M: Message + Default>(
    state: &impl StateRead,
    table: Table,
    key: &[u8],
) -> Result<Option<M>, StoreError> {
    state.get(table, key)?.map(|value| decode(table, &value)).transpose()
}

/// The row that `value` holds.
pub(crate) fn decode<M: Message + Default>(table: Table, value: &[u8]) -> Result<M, StoreError> {
    M::decode(value).map_err(|_uninformative| StoreError::Damaged { table: table.name().to_owned() })
}
