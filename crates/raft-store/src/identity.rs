//! Whose files these are: a node's id, made once, and the cluster that the node belongs to.

use aegis_model::ids::ClusterId;
use redb::{ReadTransaction, TableDefinition, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};

use crate::sealed::{seal, unseal};
use crate::tables::StoreError;
use crate::types::NodeId;

/// The form of both files that this version writes. A file of a greater one is left alone.
pub const FORMAT: u32 = 1;

/// Node ids stay below this, so that they survive JSON readers that keep numbers as doubles.
const NODE_ID_END: u64 = 1 << 53;

const TABLE: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("aegis/identity");
const KEY: &str = "identity";
const PLACE: &[&[u8]] = &[b"aegis/identity"];

/// Which of a node's two files this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Log,
    State,
}

impl Role {
    pub(crate) fn file_name(self) -> &'static str {
        match self {
            Self::Log => "log.redb",
            Self::State => "state.redb",
        }
    }
}

/// What each file says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) format: u32,
    pub(crate) role: Role,
    pub(crate) node_id: NodeId,
    pub(crate) cluster_id: Option<ClusterId>,
}

/// Just the format, which every version can read.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// What a file says about itself, as far as this version understands it.
pub(crate) enum Found {
    /// Nothing yet.
    Nothing,
    /// It was written by a newer version.
    Newer(u32),
    /// This.
    Identity(Identity),
}

/// A node id that was never used: 53 bits at random, not 0.
pub(crate) fn fresh_node_id() -> NodeId {
    rand::random_range(1..NODE_ID_END)
}

pub(crate) fn read(transaction: &ReadTransaction) -> Result<Found, StoreError> {
    let table = match transaction.open_table(TABLE) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(Found::Nothing),
        Err(error) => return Err(error.into()),
    };
    let damaged = || StoreError::Damaged { table: "aegis/identity".to_owned() };
    let Some(record) = table.get(KEY)? else { return Ok(Found::Nothing) };
    let body = unseal(PLACE, record.value()).map_err(|_| damaged())?;
    let Format { format } = serde_json::from_slice(body).map_err(|_| damaged())?;
    if format > FORMAT {
        return Ok(Found::Newer(format));
    }
    serde_json::from_slice(body).map(Found::Identity).map_err(|_| damaged())
}

pub(crate) fn write(transaction: &WriteTransaction, identity: &Identity) -> Result<(), StoreError> {
    let body = serde_json::to_vec(identity).map_err(|error| StoreError::Broken(error.to_string()))?;
    transaction.open_table(TABLE)?.insert(KEY, seal(PLACE, &body).as_slice())?;
    Ok(())
}
