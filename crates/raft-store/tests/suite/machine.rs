//! A machine for tests: commands are `put KEY VALUE`, `delete KEY`, `fail`, `count`.

use std::path::Path;
use std::sync::Arc;

use aegis_raft_store::machine::{Machine, Place};
use aegis_raft_store::store::{Opened, Store, StoreOptions};
use aegis_raft_store::tables::{StateRead, StateWrite, StoreError, Table};
use aegis_raft_store::types::{Batch, NodeId, Response, TypeConfig};
use openraft::{CommittedLeaderId, Entry, EntryPayload, LogId};

pub(crate) const ROWS: Table = Table::new("rows");
pub(crate) const COUNTS: Table = Table::new("counts");

/// Puts, deletes, and counts how often it was asked, so that an entry applied twice shows.
#[derive(Debug)]
pub(crate) struct Rows;

impl Machine for Rows {
    fn tables(&self) -> &'static [Table] {
        &[ROWS, COUNTS]
    }

    #[expect(clippy::panic, reason = "a test asks for it")]
    fn apply(
        &self,
        state: &mut StateWrite<'_>,
        place: Place,
        command: &[u8],
    ) -> Result<Response, StoreError> {
        let count = state.get(COUNTS, b"count")?.map_or(0, |count| number(&count)) + 1;
        state.put(COUNTS, b"count", &count.to_be_bytes())?;
        let mut words = command.splitn(3, |byte| *byte == b' ');
        match (words.next(), words.next(), words.next()) {
            (Some(b"put"), Some(key), Some(value)) => state.put(ROWS, key, value)?,
            (Some(b"delete"), Some(key), None) => drop(state.delete(ROWS, key)?),
            (Some(b"time"), None, None) => return Ok(place.log_time_ms.to_be_bytes().to_vec()),
            (Some(b"panic"), None, None) => panic!("as was asked for"),
            (Some(b"elsewhere"), None, None) => state.put(Table::new("elsewhere"), b"", b"")?,
            _ => return Ok(b"refused".to_vec()),
        }
        Ok(count.to_be_bytes().to_vec())
    }
}

pub(crate) fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().expect("eight bytes"))
}

pub(crate) fn open(directory: &Path) -> Opened {
    Store::open(directory, StoreOptions::default(), Arc::new(Rows)).expect("the store opens")
}

pub(crate) fn log_id(term: u64, index: u64) -> LogId<NodeId> {
    LogId::new(CommittedLeaderId::new(term, 1), index)
}

pub(crate) fn batch(term: u64, index: u64, log_time_ms: u64, commands: &[&str]) -> Entry<TypeConfig> {
    let commands = commands.iter().map(|command| command.as_bytes().to_vec()).collect();
    let payload = EntryPayload::Normal(Batch { log_time_ms, commands });
    Entry { log_id: log_id(term, index), payload }
}
