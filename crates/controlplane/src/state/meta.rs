//! The cluster's own row, and its counters.

use aegis_proto::control::{Cluster, Counters};
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::row;

/// The cluster's row and its counters.
pub const CLUSTER: Table = Table::new("cluster");

pub(crate) const CLUSTER_KEY: &[u8] = b"cluster";
pub(crate) const COUNTERS_KEY: &[u8] = b"counters";

/// The cluster's row; nothing before it was made.
///
/// # Errors
/// The storage failed.
pub fn cluster(state: &impl StateRead) -> Result<Option<Cluster>, StoreError> {
    row::read(state, CLUSTER, CLUSTER_KEY)
}

/// The present history; zero before the cluster was made.
///
/// # Errors
/// The storage failed.
pub fn history(state: &impl StateRead) -> Result<u64, StoreError> {
    Ok(cluster(state)?.map_or(0, |cluster| cluster.history))
}

/// The cluster's counters; zeros before the first was counted.
///
/// # Errors
/// The storage failed.
pub fn counters(state: &impl StateRead) -> Result<Counters, StoreError> {
    Ok(row::read(state, CLUSTER, COUNTERS_KEY)?.unwrap_or_default())
}
