//! A state machine for these tests: keys and values, and ids that were retired.

use std::sync::Arc;

use aegis_controlplane::raft::Local;
use aegis_raft_store::checkpoint::Checkpoint;
use aegis_raft_store::machine::{Machine, Place};
use aegis_raft_store::store::StoreHandle;
use aegis_raft_store::tables::{StateRead, StateWrite, StoreError, Table};
use aegis_raft_store::types::{NodeId, Peer, Response};

const PAIRS: Table = Table::new("pairs");
const RETIRED: Table = Table::new("retired");

/// Answers a put with the value before it.
pub(crate) struct Pairs;

impl Machine for Pairs {
    fn tables(&self) -> &'static [Table] {
        &[PAIRS, RETIRED]
    }

    fn apply(&self, state: &mut StateWrite<'_>, _: Place, command: &[u8]) -> Result<Response, StoreError> {
        let (key, value) = command.split_at_checked(8).unwrap_or((command, b""));
        if key == b"!retire!" {
            state.put(RETIRED, value, b"")?;
            return Ok(Vec::new());
        }
        if key == COUNT {
            let count = state.get(PAIRS, COUNT)?.map_or(0, |count| number(&count)) + 1;
            state.put(PAIRS, COUNT, &count.to_be_bytes())?;
            return Ok(Vec::new());
        }
        let before = state.get(PAIRS, key)?.unwrap_or_default();
        state.put(PAIRS, key, value)?;
        Ok(before)
    }
}

const COUNT: &[u8] = b"!count!!";

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().unwrap())
}

/// A command that shows when it is applied twice.
pub(crate) fn count_one() -> Vec<u8> {
    COUNT.to_vec()
}

/// How often [`count_one`] was applied.
pub(crate) fn counted(store: &StoreHandle) -> u64 {
    store.view().unwrap().get(PAIRS, COUNT).unwrap().map_or(0, |count| number(&count))
}

/// A command that sets `key` to `value`.
pub(crate) fn put(key: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
    [key.to_be_bytes().as_slice(), value.as_ref()].concat()
}

/// The value of `key` in what `store` has applied.
pub(crate) fn get(store: &StoreHandle, key: u64) -> Option<Vec<u8>> {
    store.view().unwrap().get(PAIRS, &key.to_be_bytes()).unwrap()
}

/// What replication asks of this state.
pub(crate) struct PairsState(pub(crate) StoreHandle);

impl PairsState {
    pub(crate) fn new(store: &StoreHandle) -> Arc<Self> {
        Arc::new(Self(store.clone()))
    }
}

impl Local for PairsState {
    fn log_time_ms(&self) -> u64 {
        self.0.applied().borrow().log_time_ms
    }

    fn is_retired(&self, node: NodeId) -> bool {
        self.0.view().unwrap().get(RETIRED, &node.to_be_bytes()).unwrap().is_some()
    }

    fn checkpoints(&self) -> Vec<Checkpoint> {
        self.0.checkpoints()
    }

    fn retire(&self, node: NodeId, _: &Peer) -> Vec<Vec<u8>> {
        vec![[b"!retire!".as_slice(), &node.to_be_bytes()].concat()]
    }
}
