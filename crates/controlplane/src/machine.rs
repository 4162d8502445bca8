//! The state machine of the control plane: its tables, and its commands as `raft-store` applies them.

use aegis_raft_store::machine::{Machine, Place};
use aegis_raft_store::tables::{StateRead, StateWrite, StoreError, Table};
use aegis_raft_store::types::Response;
use prost::Message;

use crate::command::{self, LEVEL};
use crate::state::{self, meta};

/// The state machine. Holds nothing: all it knows is in the tables (RAFT-2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ControlMachine;

impl Machine for ControlMachine {
    fn tables(&self) -> &'static [Table] {
        state::TABLES
    }

    fn apply(
        &self,
        state: &mut StateWrite<'_>,
        place: Place,
        command: &[u8],
    ) -> Result<Response, StoreError> {
        Ok(command::apply(state, place, command)?.encode_to_vec())
    }
}

/// Whether this software may follow `state`, e.g. at a start: not if newer software raised its level beyond ours.
///
/// # Errors
/// - [`StoreError::Newer`]: it may not
/// - others: the storage failed
pub fn supported(state: &impl StateRead) -> Result<(), StoreError> {
    match meta::cluster(state)? {
        Some(cluster) if cluster.level > LEVEL => Err(StoreError::Newer { level: cluster.level, own: LEVEL }),
        Some(_) | None => Ok(()),
    }
}
