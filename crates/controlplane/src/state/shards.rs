//! The shard map: which data nodes own slots.

use aegis_proto::control::{ChangeKind, ShardMap};
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::writer::Writer;
use super::{changes, row};

/// One row: the [`ShardMap`].
pub const SHARDS: Table = Table::new("shards");

const MAP_KEY: &[u8] = b"map";

/// The shard map; empty, of revision 0, before the first was set.
///
/// # Errors
/// The storage failed.
pub fn map(state: &impl StateRead) -> Result<ShardMap, StoreError> {
    Ok(row::read(state, SHARDS, MAP_KEY)?.unwrap_or_default())
}

pub(crate) fn put(write: &mut Writer<'_, '_>, map: &ShardMap) -> Result<(), StoreError> {
    write.put(SHARDS, MAP_KEY, map)?;
    changes::note(write, ChangeKind::ShardMap, "", "")
}
