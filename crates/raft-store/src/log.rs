//! The Raft log over one redb file: entries, vote, what was committed and what was purged.
//!
//! A [`LogStore`] keeps the newest entries in memory and hands every write to the thread of the file, which answers
//! when the disk has it (RAFT-1).

mod disk;
mod tail;
mod writer;

use std::fmt::Debug;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use aegis_model::caps;
use aegis_model::ids::ClusterId;
use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{
    AnyError, Entry, LogId, LogState, OptionalSend, RaftLogReader, StorageError, StorageIOError, Vote,
};
use redb::Database;
use tokio::sync::{mpsc, oneshot};

use crate::failure::Failure;
use crate::state::StateHandle;
use crate::tables::StoreError;
use crate::types::{NodeId, TypeConfig};
pub(crate) use disk::{Loaded, load, plant};
use tail::Tail;
pub(crate) use writer::LogCounters;
use writer::{Job, Writer};

/// The log, for Raft. Writes in the order in which it is called.
#[derive(Debug)]
pub struct LogStore {
    reader: LogReader,
    state: StateHandle,
    install_patience: Duration,
    strict: bool,
}

/// Reads the log: the newest entries from memory, older ones from disk. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LogReader {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Job>,
}

/// What the store, its readers and the thread share.
#[derive(Debug)]
struct Shared {
    tail: Mutex<Tail>,
    /// The thread holds the database, so that the file is closed when the thread ends.
    database: Weak<Database>,
    failure: Failure,
}

/// What a store of the log is made of.
pub(crate) struct Parts {
    pub(crate) database: Database,
    pub(crate) loaded: Loaded,
    pub(crate) state: StateHandle,
    pub(crate) failure: Failure,
    pub(crate) cache_bytes: usize,
    pub(crate) install_patience: Duration,
    pub(crate) strict: bool,
    /// The directory's lock, held until the file is closed.
    pub(crate) lock: Option<Arc<std::fs::File>>,
}

/// Starts the thread of the log's file.
pub(crate) fn start(parts: Parts) -> std::io::Result<(LogStore, Arc<LogCounters>)> {
    let Parts { database, loaded, state, failure, cache_bytes, install_patience, strict, lock } = parts;
    let database = Arc::new(database);
    let shared = Arc::new(Shared {
        tail: Mutex::new(Tail::new(loaded, cache_bytes)),
        database: Arc::downgrade(&database),
        failure,
    });
    let (queue, jobs) = mpsc::channel(caps::RAFT_STORE_QUEUE_MAX);
    let counters = Arc::new(LogCounters::default());
    let writer = Writer::new(database, Arc::clone(&shared), Arc::clone(&counters), lock);
    std::thread::Builder::new().name("aegis-raft-log".to_owned()).spawn(move || writer.run(jobs))?;
    let reader = LogReader { shared, queue };
    Ok((LogStore { reader, state, install_patience, strict }, counters))
}

impl LogStore {
    /// Notes the cluster in the log's file.
    pub(crate) async fn set_cluster(reader: &LogReader, cluster: ClusterId) -> Result<(), StoreError> {
        reader.ask(|reply| Job::Cluster { cluster, reply }).await
    }

    /// A reader, which also closes.
    pub(crate) fn reader(&self) -> LogReader {
        self.reader.clone()
    }

    /// Breaks off: a caller asked for what Raft never asks for, so the caller or the memory is broken.
    fn refuse(&self, what: String) -> StoreError {
        self.reader.shared.failure.declare(&what);
        StoreError::Broken(what)
    }

    /// Takes `entries` into memory and hands them to the thread; `callback` is called when the disk has them.
    async fn take(
        &self,
        entries: Vec<Entry<TypeConfig>>,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StoreError> {
        self.reader.shared.check()?;
        let entries: Vec<Arc<Entry<TypeConfig>>> = entries.into_iter().map(Arc::new).collect();
        // The guard must not live into the match: what is refused takes no lock.
        let taken = self.reader.shared.tail().append(&entries, self.strict);
        taken.map_err(|hole| self.refuse(hole))?;
        self.reader.send(Job::Append { entries, callback }).await
    }

    /// Removes the entries from `from` on.
    async fn cut(&self, from: u64) -> Result<(), StoreError> {
        let last = self.reader.ask(|reply| Job::Truncate { from, reply }).await?;
        self.reader.shared.tail().truncate(from, last);
        Ok(())
    }

    /// Waits until the state on disk has entry `index`.
    async fn wait_for_state(&self, index: u64) -> Result<(), StoreError> {
        let mut applied = self.state.applied();
        let reached = async {
            tokio::select! {
                reached = applied.wait_for(|applied| applied.index >= index) => reached.is_ok(),
                _failed = self.reader.shared.failure.wait() => false,
            }
        };
        let reached = tokio::time::timeout(self.install_patience, reached).await.unwrap_or(false);
        self.state.sync().await?;
        match reached && self.state.covers(index) {
            true => Ok(()),
            false => Err(self.refuse(format!("the log would lose entry {index}, which the state lacks"))),
        }
    }

    /// Removes the entries up to `upto`, once the state on disk covers them: what is not in the state yet is replayed
    /// from the log after a crash.
    ///
    /// openraft asks for this when it has *begun* to install a snapshot, and does not wait until that is done. Were the
    /// log purged first, a crash in between would leave a node that has neither the entries nor the state. So this waits.
    async fn drop_until(&self, upto: LogId<NodeId>) -> Result<(), StoreError> {
        if self.strict && !self.state.covers(upto.index) {
            self.wait_for_state(upto.index).await?;
        }
        self.reader.ask(|reply| Job::Purge { upto, reply }).await?;
        self.reader.shared.tail().purge(upto);
        Ok(())
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError<NodeId>> {
        self.reader.shared.check().map_err(reading_failed)?;
        let tail = self.reader.shared.tail();
        Ok(LogState { last_purged_log_id: tail.purged(), last_log_id: tail.last() })
    }

    async fn get_log_reader(&mut self) -> LogReader {
        self.reader()
    }

    /// Returns when the disk has the vote (RAFT-1).
    async fn save_vote(&mut self, vote: &Vote<NodeId>) -> Result<(), StorageError<NodeId>> {
        let vote = *vote;
        let saved = self.reader.ask(|reply| Job::Vote { vote, reply }).await;
        saved.map_err(|error| StorageIOError::write_vote(AnyError::new(&error)))?;
        self.reader.shared.tail().vote = Some(vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<NodeId>>, StorageError<NodeId>> {
        self.reader.shared.check().map_err(reading_failed)?;
        Ok(self.reader.shared.tail().vote)
    }

    /// Notes it in memory. The thread writes it along with whatever it writes next: it only saves the leader from telling
    /// it again after a restart, and an older one is true as well.
    async fn save_committed(&mut self, committed: Option<LogId<NodeId>>) -> Result<(), StorageError<NodeId>> {
        self.reader.shared.tail().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId<NodeId>>, StorageError<NodeId>> {
        Ok(self.reader.shared.tail().committed)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError<NodeId>>
    where
        I: IntoIterator<Item = Entry<TypeConfig>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = entries.into_iter().collect();
        self.take(entries, callback).await.map_err(writing_failed)
    }

    async fn truncate(&mut self, log_id: LogId<NodeId>) -> Result<(), StorageError<NodeId>> {
        self.cut(log_id.index).await.map_err(writing_failed)
    }

    async fn purge(&mut self, log_id: LogId<NodeId>) -> Result<(), StorageError<NodeId>> {
        self.drop_until(log_id).await.map_err(writing_failed)
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry<TypeConfig>>, StorageError<NodeId>> {
        self.reader.try_get_log_entries(range).await
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry<TypeConfig>>, StorageError<NodeId>> {
        self.reader.limited_get_log_entries(start, end).await
    }
}

impl RaftLogReader<TypeConfig> for LogReader {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry<TypeConfig>>, StorageError<NodeId>> {
        let start = match range.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        self.read(start, end, usize::MAX).await.map_err(reading_failed)
    }

    /// At least one entry, and no more than [`caps::RAFT_READ_BYTES_MAX`] unless that one is larger.
    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry<TypeConfig>>, StorageError<NodeId>> {
        self.read(start, end, caps::RAFT_READ_BYTES_MAX).await.map_err(reading_failed)
    }
}

impl LogReader {
    /// The entries of `start..end` that there are, up to `bytes_max` bytes but at least one.
    async fn read(
        &self,
        start: u64,
        end: u64,
        bytes_max: usize,
    ) -> Result<Vec<Entry<TypeConfig>>, StoreError> {
        self.shared.check()?;
        let slice = self.shared.tail().slice(start, end, bytes_max);
        if slice.on_disk.is_empty() {
            return Ok(slice.held.iter().map(|entry| Entry::clone(entry)).collect());
        }
        let (shared, wanted) = (Arc::clone(&self.shared), slice.on_disk.clone());
        let reading = tokio::task::spawn_blocking(move || shared.read_disk(wanted, bytes_max));
        let read = reading.await.map_err(|_| StoreError::Broken("reading the log panicked".to_owned()))?;
        let mut entries = read.inspect_err(|error| self.shared.failure.declare(&error.to_string()))?;
        let whole = entries.last().is_some_and(|last| last.log_id.index + 1 == slice.on_disk.end);
        if whole && bytes_max == usize::MAX {
            entries.extend(slice.held.iter().map(|entry| Entry::clone(entry)));
        }
        Ok(entries)
    }

    /// Syncs, closes the file and ends the thread, also after a failure. Reads and writes fail from then on.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Close { reply }).await?;
        answer.await.unwrap_or_else(|_| Err(self.shared.gone()))
    }

    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Job,
    ) -> Result<T, StoreError> {
        self.shared.check()?;
        let (reply, answer) = oneshot::channel();
        self.send(job(reply)).await?;
        answer.await.unwrap_or_else(|_| Err(self.shared.gone()))
    }

    async fn send(&self, job: Job) -> Result<(), StoreError> {
        self.queue.send(job).await.map_err(|_| self.shared.gone())
    }
}

impl Shared {
    /// The tail; nothing that holds it panics half-way.
    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self) -> Result<(), StoreError> {
        self.failure.get().map_or(Ok(()), |what| Err(StoreError::Failed(what)))
    }

    /// Why the thread does not answer.
    fn gone(&self) -> StoreError {
        self.failure.get().map_or(StoreError::Closed, StoreError::Failed)
    }

    fn read_disk(
        &self,
        wanted: std::ops::Range<u64>,
        bytes_max: usize,
    ) -> Result<Vec<Entry<TypeConfig>>, StoreError> {
        let database = self.database.upgrade().ok_or(StoreError::Closed)?;
        disk::read(&database, wanted, bytes_max)
    }
}

fn writing_failed(error: StoreError) -> StorageError<NodeId> {
    StorageIOError::write_logs(AnyError::new(&error)).into()
}

fn reading_failed(error: StoreError) -> StorageError<NodeId> {
    StorageIOError::read_logs(AnyError::new(&error)).into()
}
