//! What a command's apply writes through: the state, where in the log it is, and the cluster's counters.

use std::ops::Bound;

use aegis_proto::control::{Cluster, Counters};
use aegis_raft_store::machine::Place;
use aegis_raft_store::tables::{Record, StateRead, StateWrite, StoreError, Table};
use prost::Message;

use super::meta;

/// The state while one command is applied.
///
/// The counters are read once and written once, by [`Writer::finish`]; a writer that is dropped without it has changed
/// no counter.
pub struct Writer<'w, 't> {
    state: &'w mut StateWrite<'t>,
    place: Place,
    /// The cluster's row; empty before it was made.
    cluster: Cluster,
    counters: Counters,
    counters_before: Counters,
}

impl<'w, 't> Writer<'w, 't> {
    pub(crate) fn new(state: &'w mut StateWrite<'t>, place: Place) -> Result<Self, StoreError> {
        let cluster = meta::cluster(state)?.unwrap_or_default();
        let counters = meta::counters(state)?;
        Ok(Self { state, place, cluster, counters_before: counters, counters })
    }

    /// Where in the log the command stands.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// The log time, in milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        self.place.log_time_ms
    }

    /// The cluster's row; empty before it was made.
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Replaces the cluster's row.
    pub(crate) fn put_cluster(&mut self, cluster: Cluster) -> Result<(), StoreError> {
        self.put(meta::CLUSTER, meta::CLUSTER_KEY, &cluster)?;
        self.cluster = cluster;
        Ok(())
    }

    /// The cluster's counters.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The cluster's counters, to be counted on.
    pub(crate) fn counters_mut(&mut self) -> &mut Counters {
        &mut self.counters
    }

    /// Sets the row at `key`.
    pub(crate) fn put(&mut self, table: Table, key: &[u8], row: &impl Message) -> Result<(), StoreError> {
        self.state.put(table, key, &row.encode_to_vec())
    }

    /// Sets the bytes at `key`.
    pub(crate) fn put_bytes(&mut self, table: Table, key: &[u8], bytes: &[u8]) -> Result<(), StoreError> {
        self.state.put(table, key, bytes)
    }

    /// Removes what is at `key`: whether something was.
    pub(crate) fn delete(&mut self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        self.state.delete(table, key)
    }

    /// Writes the counters, if one changed.
    pub(crate) fn finish(self) -> Result<(), StoreError> {
        if self.counters == self.counters_before {
            return Ok(());
        }
        self.state.put(meta::CLUSTER, meta::COUNTERS_KEY, &self.counters.encode_to_vec())
    }
}

impl StateRead for Writer<'_, '_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.state.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.state.scan(table, range, limit)
    }
}
