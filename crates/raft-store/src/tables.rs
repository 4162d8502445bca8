//! Tables of bytes: how a machine reads and writes its state. Every record carries a checksum, and the state as a whole
//! a digest that costs nothing to keep.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};
use sha2::{Digest, Sha256};

use crate::codec::FIRST_HISTORY;
use crate::state::{Applied, read_standing};

/// A table of the state: keys and values are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Table(&'static str);

impl Table {
    /// The table of this name, which has to be unique within the machine.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.0
    }

    pub(crate) fn definition(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(self.0)
    }
}

/// The storage failed, or holds what it never wrote. The node that sees one stops.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error("the store failed: {0}")]
    Database(#[from] Box<redb::Error>),
    /// The state was written by newer software, which this node cannot follow.
    #[error(
        "the state is of level {level}, and this software understands level {own}: install a newer version"
    )]
    Newer {
        /// The level of the state.
        level: u32,
        /// The highest level of this software.
        own: u32,
    },
    /// A record is not what was written.
    #[error("a record of table `{table}` is damaged")]
    Damaged {
        /// The table.
        table: String,
    },
    /// The machine named a table that is not among its tables: neither digest nor snapshot would cover it.
    #[error("table `{table}` is none of the machine's")]
    UnknownTable {
        /// The table.
        table: &'static str,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The store failed before; it does nothing any more.
    #[error("the store failed before: {0}")]
    Failed(Arc<str>),
    /// What is asked for contradicts what is stored; doing it would break what Raft relies on.
    #[error("the store refuses: {0}")]
    Broken(String),
    /// A file beside the databases cannot be read or written.
    #[error("{what}: {error}")]
    File {
        /// What was tried.
        what: String,
        /// Why it failed.
        error: std::io::Error,
    },
}

impl StoreError {
    pub(crate) fn file(what: &str, error: std::io::Error) -> Self {
        Self::File { what: format!("cannot {what}"), error }
    }
}

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::Database(Box::new(error.into()))
            }
        }
    )*};
}
from_redb!(
    redb::Error,
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::DatabaseError
);

/// A key and its value.
pub type Record = (Vec<u8>, Vec<u8>);

/// Reading a state, within a transaction or at the last applied entry.
pub trait StateRead {
    /// The value of `key`.
    ///
    /// # Errors
    /// The storage failed.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The first `limit` records with a key in the range, in order of their keys.
    ///
    /// # Errors
    /// The storage failed.
    fn scan(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        limit: usize,
    ) -> Result<Vec<Record>, StoreError>;

    /// The first `limit` records whose key begins with `prefix`, from `after` (exclusive, a whole key) on.
    ///
    /// # Errors
    /// The storage failed.
    fn scan_prefix(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let end = prefix_end(prefix);
        let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
        let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.scan(table, (from, to), limit)
    }
}

/// The least key that is greater than every key with this prefix; nothing if there is none.
fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// The state at one applied entry, unchanging while it is held. Cheap to make.
pub struct StateView {
    transaction: ReadTransaction,
}

impl StateView {
    /// What `transaction` sees.
    pub fn new(transaction: ReadTransaction) -> Self {
        Self { transaction }
    }

    /// How far the state that it shows has come.
    ///
    /// # Errors
    /// The storage failed.
    pub fn applied(&self) -> Result<Applied, StoreError> {
        Ok(Applied::of(&read_standing(&self.transaction)?.unwrap_or_default()))
    }

    /// Calls `each` with every record of `table`, in order of the keys; holds one at a time.
    ///
    /// # Errors
    /// The storage failed, or `each` did.
    pub fn for_each<E: From<StoreError>>(
        &self,
        table: Table,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(open) = self.open(table)? else { return Ok(()) };
        for record in open.iter().map_err(StoreError::from)? {
            let (key, stored) = record.map_err(StoreError::from)?;
            each(key.value(), checked(table, key.value(), stored.value())?)?;
        }
        Ok(())
    }

    /// The digest of `tables`, computed from every record.
    ///
    /// # Errors
    /// The storage failed, or a record is damaged.
    pub fn recompute_digest(&self, tables: &[Table]) -> Result<StateDigest, StoreError> {
        let mut digest = StateDigest::default();
        for table in tables {
            self.for_each(*table, |key, value| {
                digest.add(&record_hash(*table, key, value));
                Ok::<(), StoreError>(())
            })?;
        }
        Ok(digest)
    }

    fn open(&self, table: Table) -> Result<Option<ReadTable>, StoreError> {
        match self.transaction.open_table(table.definition()) {
            Ok(open) => Ok(Some(open)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl StateRead for StateView {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.open(table)? {
            Some(open) => get(&open, table, key),
            None => Ok(None),
        }
    }

    fn scan(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        match self.open(table)? {
            Some(open) => scan(&open, table, range, limit),
            None => Ok(Vec::new()),
        }
    }
}

type ReadTable = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;

/// The state within the transaction that applies an entry.
pub struct StateWrite<'t> {
    transaction: &'t WriteTransaction,
    tables: &'t [Table],
    /// Opened when they are first used: most commands need a few of many.
    open: RefCell<BTreeMap<&'static str, OpenTable<'t>>>,
    digest: StateDigest,
    history: u64,
}

type OpenTable<'t> = redb::Table<'t, &'static [u8], &'static [u8]>;

impl<'t> StateWrite<'t> {
    /// The state within `transaction`, whose digest is `digest` before it.
    ///
    /// # Errors
    /// None now; kept for the day when opening may fail.
    pub fn new(
        transaction: &'t WriteTransaction,
        tables: &'t [Table],
        digest: StateDigest,
    ) -> Result<Self, StoreError> {
        Ok(Self { transaction, tables, open: RefCell::default(), digest, history: FIRST_HISTORY })
    }

    /// The same, in history `history`.
    #[must_use]
    pub fn in_history(self, history: u64) -> Self {
        Self { history, ..self }
    }

    /// The number of the cluster's history: it grows when the cluster is restored from a backup, or recovered without a
    /// majority. What must not outlive that carries the number it was made under.
    pub fn history(&self) -> u64 {
        self.history
    }

    /// The digest with everything that was written.
    pub fn digest(&self) -> StateDigest {
        self.digest
    }

    /// Sets `key` to `value`.
    ///
    /// # Errors
    /// The storage failed.
    pub fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let hash = record_hash(table, key, value);
        let mut stored = Vec::with_capacity(CHECKSUM_BYTES + value.len());
        stored.extend_from_slice(&hash[..CHECKSUM_BYTES]);
        stored.extend_from_slice(value);
        let old = self.opened(table)?.insert(key, stored.as_slice())?.map(|old| old.value().to_vec());
        if let Some(old) = old {
            self.digest.remove(&record_hash(table, key, checked(table, key, &old)?));
        }
        self.digest.add(&hash);
        Ok(())
    }

    /// Removes `key`: whether it was there.
    ///
    /// # Errors
    /// The storage failed.
    pub fn delete(&mut self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        let old = self.opened(table)?.remove(key)?.map(|old| old.value().to_vec());
        let Some(old) = old else { return Ok(false) };
        self.digest.remove(&record_hash(table, key, checked(table, key, &old)?));
        Ok(true)
    }

    fn opened(&self, table: Table) -> Result<RefMut<'_, OpenTable<'t>>, StoreError> {
        let mut open = self.open.borrow_mut();
        if !open.contains_key(table.0) {
            if !self.tables.contains(&table) {
                return Err(StoreError::UnknownTable { table: table.0 });
            }
            open.insert(table.0, self.transaction.open_table(table.definition())?);
        }
        RefMut::filter_map(open, |open| open.get_mut(table.0))
            .map_err(|_| StoreError::UnknownTable { table: table.0 })
    }
}

impl StateRead for StateWrite<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        get(&*self.opened(table)?, table, key)
    }

    fn scan(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        scan(&*self.opened(table)?, table, range, limit)
    }
}

/// A digest of all records of a state, whatever their order: the sum of their hashes modulo 2^256.
///
/// It finds nodes whose states differ by a fault. It is no proof against somebody who chooses records to collide.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StateDigest([u64; 4]);

impl StateDigest {
    /// Its 32 bytes, the least significant first.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The digest with these bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(chunk.try_into().expect("chunks of eight"));
        }
        Self(words)
    }

    /// With one record more.
    fn add(&mut self, hash: &[u8; 32]) {
        let mut carry = false;
        for (word, other) in self.0.iter_mut().zip(Self::from_bytes(hash).0) {
            let (sum, first) = word.overflowing_add(other);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            (*word, carry) = (sum, first || second);
        }
    }

    /// With one record less.
    fn remove(&mut self, hash: &[u8; 32]) {
        let mut borrow = false;
        for (word, other) in self.0.iter_mut().zip(Self::from_bytes(hash).0) {
            let (rest, first) = word.overflowing_sub(other);
            let (rest, second) = rest.overflowing_sub(u64::from(borrow));
            (*word, borrow) = (rest, first || second);
        }
    }
}

impl fmt::Display for StateDigest {
    /// 64 hexadecimal digits in lower case: its bytes, the least significant first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

const CHECKSUM_BYTES: usize = 8;

/// SHA-256 over table, key and value, each with its length before it.
fn record_hash(table: Table, key: &[u8], value: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [table.0.as_bytes(), key, value] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// The value within `stored`, if its checksum fits.
fn checked<'s>(table: Table, key: &[u8], stored: &'s [u8]) -> Result<&'s [u8], StoreError> {
    let damaged = || StoreError::Damaged { table: table.0.to_owned() };
    let (sum, value) = stored.split_at_checked(CHECKSUM_BYTES).ok_or_else(damaged)?;
    if record_hash(table, key, value)[..CHECKSUM_BYTES] == *sum { Ok(value) } else { Err(damaged()) }
}

fn get(
    open: &impl ReadableTable<&'static [u8], &'static [u8]>,
    table: Table,
    key: &[u8],
) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(stored) = open.get(key)? else { return Ok(None) };
    Ok(Some(checked(table, key, stored.value())?.to_vec()))
}

fn scan(
    open: &impl ReadableTable<&'static [u8], &'static [u8]>,
    table: Table,
    range: (Bound<&[u8]>, Bound<&[u8]>),
    limit: usize,
) -> Result<Vec<Record>, StoreError> {
    let records = open.range::<&[u8]>(range)?.take(limit).map(|record| {
        let (key, stored) = record?;
        let value = checked(table, key.value(), stored.value())?.to_vec();
        Ok((key.value().to_vec(), value))
    });
    records.collect()
}
