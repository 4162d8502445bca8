//! The tables of the log's file, and what has to be true of them.

use std::ops::Range;
use std::sync::Arc;

use openraft::{Entry, LogId, Vote};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction};

use super::tail::size;
use crate::codec::{
    entry_from_bytes, entry_to_bytes, log_id_from_bytes, log_id_to_bytes, vote_from_bytes, vote_to_bytes,
};
use crate::sealed::{seal, unseal};
use crate::tables::StoreError;
use crate::types::{NodeId, TypeConfig};

const ENTRIES: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("aegis/log");
const FACTS: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("aegis/facts");
const VOTE: &str = "vote";
const PURGED: &str = "purged";
const COMMITTED: &str = "committed";

/// What the file says when it is opened.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) purged: Option<LogId<NodeId>>,
    /// The index of the first entry; of the next one if there is none.
    pub(crate) first: u64,
    pub(crate) last: Option<LogId<NodeId>>,
    pub(crate) vote: Option<Vote<NodeId>>,
    pub(crate) committed: Option<LogId<NodeId>>,
    /// The last entries, as many as the cache has room for.
    pub(crate) newest: Vec<Arc<Entry<TypeConfig>>>,
}

impl Loaded {
    /// Whether Raft never wrote anything: no vote was given, and no entry taken.
    pub(crate) fn is_virgin(&self) -> bool {
        self.vote.is_none() && self.last.is_none() && self.purged.is_none()
    }
}

/// Reads and checks the whole log: every record is what was written, and there is no hole (RAFT-1).
pub(crate) fn load(database: &Database, cache_bytes: usize, strict: bool) -> Result<Loaded, StoreError> {
    let transaction = database.begin_read()?;
    let fact = |name: &str| -> Result<Option<Vec<u8>>, StoreError> {
        let facts = match transaction.open_table(FACTS) {
            Ok(facts) => facts,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Some(record) = facts.get(name)? else { return Ok(None) };
        let body = unseal(&[b"aegis/facts", name.as_bytes()], record.value());
        Ok(Some(body.map_err(|_| damaged_facts())?.to_vec()))
    };
    let log_id = |bytes: Vec<u8>| log_id_from_bytes(&bytes).map_err(|_| damaged_facts());
    let purged = fact(PURGED)?.map(log_id).transpose()?;
    let committed = fact(COMMITTED)?.map(log_id).transpose()?;
    let vote = fact(VOTE)?.map(|bytes| vote_from_bytes(&bytes).map_err(|_| damaged_facts())).transpose()?;

    let mut walk = Walk::new(purged, cache_bytes, strict);
    match transaction.open_table(ENTRIES) {
        Ok(entries) => {
            for record in entries.iter()? {
                let (index, bytes) = record?;
                walk.step(index.value(), bytes.value())?;
            }
        }
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let first = walk.first.unwrap_or_else(|| purged.map_or(0, |purged| purged.index + 1));
    Ok(Loaded { purged, first, last: walk.last, vote, committed, newest: walk.newest.into() })
}

/// The walk over all entries at open.
struct Walk {
    strict: bool,
    expected: Option<u64>,
    first: Option<u64>,
    last: Option<LogId<NodeId>>,
    newest: std::collections::VecDeque<Arc<Entry<TypeConfig>>>,
    newest_bytes: usize,
    bytes_max: usize,
}

impl Walk {
    fn new(purged: Option<LogId<NodeId>>, bytes_max: usize, strict: bool) -> Self {
        let expected = match purged {
            Some(purged) => Some(purged.index + 1),
            None if strict => Some(0),
            None => None,
        };
        let newest = std::collections::VecDeque::new();
        Self { strict, expected, first: None, last: None, newest, newest_bytes: 0, bytes_max }
    }

    fn step(&mut self, index: u64, record: &[u8]) -> Result<(), StoreError> {
        if self.expected.is_some_and(|expected| expected != index) {
            return Err(StoreError::Broken(format!("the log has a hole before entry {index}")));
        }
        let entry = opened(index, record)?;
        let log_id = entry.log_id;
        if self.strict && self.last.is_some_and(|last| last.leader_id > log_id.leader_id) {
            return Err(StoreError::Broken(format!("the log's terms go back at entry {index}")));
        }
        self.first.get_or_insert(index);
        self.expected = Some(index + 1);
        self.last = Some(log_id);
        self.newest_bytes += size(&entry);
        self.newest.push_back(Arc::new(entry));
        while self.newest_bytes > self.bytes_max {
            let Some(oldest) = self.newest.pop_front() else { break };
            self.newest_bytes -= size(&oldest);
        }
        Ok(())
    }
}

/// The entries of `wanted` that there are, up to `bytes_max` bytes but at least one.
pub(super) fn read(
    database: &Database,
    wanted: Range<u64>,
    bytes_max: usize,
) -> Result<Vec<Entry<TypeConfig>>, StoreError> {
    let transaction = database.begin_read()?;
    let table = transaction.open_table(ENTRIES)?;
    let mut entries: Vec<Entry<TypeConfig>> = Vec::new();
    let mut bytes = 0;
    for record in table.range(wanted)? {
        let (index, record) = record?;
        let entry = opened(index.value(), record.value())?;
        if entries.last().is_some_and(|last| last.log_id.index + 1 != index.value()) {
            return Err(StoreError::Broken(format!("the log has a hole before entry {}", index.value())));
        }
        bytes += size(&entry);
        if bytes > bytes_max && !entries.is_empty() {
            break;
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// Adds entries, each at its index, sealed to it.
pub(super) fn append(
    transaction: &WriteTransaction,
    entries: &[Arc<Entry<TypeConfig>>],
) -> Result<(), StoreError> {
    let mut table = transaction.open_table(ENTRIES)?;
    for entry in entries {
        let index = entry.log_id.index;
        let body = entry_to_bytes(entry)
            .map_err(|_| StoreError::Broken(format!("entry {index} is too large to be written")))?;
        table.insert(index, seal(&[b"aegis/log", &index.to_le_bytes()], &body).as_slice())?;
    }
    Ok(())
}

/// Removes the entries from `from` on; gives the last one that is left.
pub(super) fn truncate(
    transaction: &WriteTransaction,
    from: u64,
) -> Result<Option<LogId<NodeId>>, StoreError> {
    let mut table = transaction.open_table(ENTRIES)?;
    table.retain_in(from.., |_, _| false)?;
    let last = table.last()?;
    last.map(|(index, record)| Ok(opened(index.value(), record.value())?.log_id)).transpose()
}

/// Removes the entries up to `upto`, and notes it.
pub(super) fn purge(transaction: &WriteTransaction, upto: LogId<NodeId>) -> Result<(), StoreError> {
    transaction.open_table(ENTRIES)?.retain_in(..=upto.index, |_, _| false)?;
    set_fact(transaction, PURGED, &log_id_to_bytes(upto))
}

pub(super) fn set_vote(transaction: &WriteTransaction, vote: &Vote<NodeId>) -> Result<(), StoreError> {
    set_fact(transaction, VOTE, &vote_to_bytes(vote))
}

pub(super) fn set_committed(
    transaction: &WriteTransaction,
    committed: LogId<NodeId>,
) -> Result<(), StoreError> {
    set_fact(transaction, COMMITTED, &log_id_to_bytes(committed))
}

/// Makes the log of a restored node within `transaction`: empty, beginning after `purged`, in a term that is over.
pub(crate) fn plant(
    transaction: &WriteTransaction,
    purged: LogId<NodeId>,
    node_id: NodeId,
) -> Result<(), StoreError> {
    purge(transaction, purged)?;
    set_committed(transaction, purged)?;
    set_vote(transaction, &Vote::new(purged.leader_id.term, node_id))
}

fn set_fact(transaction: &WriteTransaction, name: &str, body: &[u8]) -> Result<(), StoreError> {
    let record = seal(&[b"aegis/facts", name.as_bytes()], body);
    transaction.open_table(FACTS)?.insert(name, record.as_slice())?;
    Ok(())
}

fn opened(index: u64, record: &[u8]) -> Result<Entry<TypeConfig>, StoreError> {
    let damaged = || StoreError::Damaged { table: "aegis/log".to_owned() };
    let body = unseal(&[b"aegis/log", &index.to_le_bytes()], record).map_err(|_| damaged())?;
    let entry = entry_from_bytes(body).map_err(|_| damaged())?;
    if entry.log_id.index == index { Ok(entry) } else { Err(damaged()) }
}

fn damaged_facts() -> StoreError {
    StoreError::Damaged { table: "aegis/facts".to_owned() }
}
