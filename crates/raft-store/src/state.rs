//! The replicated state over one redb file, and how it is read.
//!
//! A [`StateStore`] is what Raft drives; a [`StateHandle`] is what everybody else reads through. All writes go to the
//! thread of the file.

mod disk;
mod writer;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use aegis_model::caps;
use aegis_model::ids::ClusterId;
use openraft::storage::RaftStateMachine;
use openraft::{
    AnyError, Entry, LogId, OptionalSend, RaftSnapshotBuilder, Snapshot, SnapshotMeta, StorageError,
    StorageIOError, StoredMembership,
};
use redb::{Database, ReadTransaction, ReadableDatabase};
use tokio::sync::{mpsc, oneshot, watch};

use crate::checkpoint::{Checkpoint, Checkpoints};
use crate::codec::Standing;
use crate::failure::Failure;
use crate::machine::Machine;
use crate::snapshot::{Head, SnapshotFiles};
use crate::tables::{StateDigest, StateView, StoreError};
use crate::types::{NodeId, Peer, Response, SnapshotFile, TypeConfig};
pub(crate) use disk::{Placed, load, read_standing, replace, write};
pub(crate) use writer::StateCounters;
use writer::{Job, Writer};

/// How far the state has come on this node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// The number of the cluster's history: it grows with a restore or a recovery without a majority.
    pub history: u64,
    /// The index of the last applied entry; 0 if none is.
    pub index: u64,
    /// The log time in force, in milliseconds since 1970; 0 before the first command.
    pub log_time_ms: u64,
    /// The digest of all records. Equal on every node of the same history at the same index (RAFT-2).
    pub digest: StateDigest,
}

impl Applied {
    pub(crate) fn of(standing: &Standing) -> Self {
        let index = standing.last_applied.map_or(0, |log_id| log_id.index);
        let &Standing { history, log_time_ms, digest, .. } = standing;
        Self { history, index, log_time_ms, digest }
    }
}

/// Reads the state. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StateHandle {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Job>,
}

/// What handles and the thread share.
#[derive(Debug)]
struct Shared {
    /// The thread holds the database, so that the file is closed when the thread ends.
    database: Weak<Database>,
    applied: watch::Sender<Applied>,
    checkpoints: Mutex<Checkpoints>,
    /// The index after the last applied entry that is synced.
    synced_next: AtomicU64,
    failure: Failure,
}

/// The state, for Raft.
pub struct StateStore {
    handle: StateHandle,
    machine: Arc<dyn Machine>,
    snapshots: Arc<SnapshotFiles>,
}

/// What a store of the state is made of.
pub(crate) struct Parts {
    pub(crate) database: Database,
    pub(crate) placed: Placed,
    pub(crate) machine: Arc<dyn Machine>,
    pub(crate) snapshots: Arc<SnapshotFiles>,
    pub(crate) failure: Failure,
    pub(crate) strict: bool,
    /// The directory's lock, held until the file is closed.
    pub(crate) lock: Option<Arc<std::fs::File>>,
}

/// Starts the thread of the state's file.
pub(crate) fn start(parts: Parts) -> std::io::Result<(StateStore, Arc<StateCounters>)> {
    let Parts { database, placed, machine, snapshots, failure, strict, lock } = parts;
    let database = Arc::new(database);
    let applied = Applied::of(&placed.standing);
    let mut checkpoints = Checkpoints::default();
    if placed.standing.last_applied.is_some() {
        checkpoints.note(applied.into());
    }
    let shared = Arc::new(Shared {
        database: Arc::downgrade(&database),
        applied: watch::Sender::new(applied),
        checkpoints: Mutex::new(checkpoints),
        synced_next: AtomicU64::new(placed.next()),
        failure,
    });
    let (queue, jobs) = mpsc::channel(caps::RAFT_STORE_QUEUE_MAX);
    let counters = Arc::new(StateCounters::default());
    let time = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let writer = Writer {
        database,
        placed,
        strict,
        machine: Arc::clone(&machine),
        shared: Arc::clone(&shared),
        counters: Arc::clone(&counters),
        _lock: lock,
    };
    std::thread::Builder::new().name("aegis-raft-state".to_owned()).spawn(move || writer.run(&time, jobs))?;
    let handle = StateHandle { shared, queue };
    Ok((StateStore { handle, machine, snapshots }, counters))
}

impl StateHandle {
    /// The state as it is now on this node. Reading blocks for the disk now and then: a few records are fine anywhere,
    /// long scans belong on a blocking thread. An old view keeps the file from reusing space: let it go.
    ///
    /// # Errors
    /// The store failed or is closed.
    pub fn view(&self) -> Result<StateView, StoreError> {
        self.shared.check()?;
        let database = self.shared.database.upgrade().ok_or(StoreError::Closed)?;
        Ok(StateView::new(database.begin_read()?))
    }

    /// How far the state has come; changes after each transaction, once a view shows it. Several entries may be one change.
    pub fn applied(&self) -> watch::Receiver<Applied> {
        self.shared.applied.subscribe()
    }

    /// Digests of the state at the last entries and at agreed ones before them, the oldest first: what this node has applied
    /// since it was opened, and where it was then.
    pub fn checkpoints(&self) -> Vec<Checkpoint> {
        self.shared.checkpoints().all()
    }

    /// Whether the disk has the state with entry `index` applied.
    pub(crate) fn covers(&self, index: u64) -> bool {
        self.shared.synced_next.load(Ordering::Acquire) > index
    }

    /// Waits until the disk has all that was applied before.
    ///
    /// # Errors
    /// The store failed or is closed.
    pub async fn sync(&self) -> Result<(), StoreError> {
        self.ask(|reply| Job::Sync { reply }).await
    }

    /// A view that the disk has, and what is beside its tables.
    pub(crate) async fn freeze(&self) -> Result<Frozen, StoreError> {
        self.ask(|reply| Job::Freeze { reply }).await
    }

    pub(crate) async fn set_cluster(&self, cluster: ClusterId) -> Result<(), StoreError> {
        self.ask(|reply| Job::Cluster { cluster, reply }).await
    }

    /// Syncs, closes the file and ends the thread, also after a failure. Reads and writes fail from then on.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        self.send(|reply| Job::Close { reply }).await
    }

    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Job,
    ) -> Result<T, StoreError> {
        self.shared.check()?;
        self.send(job).await
    }

    /// A snapshot cannot be made, kept or read: Raft stops for that, so everybody is told.
    fn fail(&self, error: StoreError) -> StorageError<NodeId> {
        self.shared.failure.declare(&format!("a snapshot: {error}"));
        StorageIOError::write_snapshot(None, AnyError::new(&error)).into()
    }

    async fn send<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Job,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(job(reply)).await.map_err(|_| self.shared.gone())?;
        answer.await.unwrap_or_else(|_| Err(self.shared.gone()))
    }
}

impl Shared {
    fn check(&self) -> Result<(), StoreError> {
        self.failure.get().map_or(Ok(()), |what| Err(StoreError::Failed(what)))
    }

    fn checkpoints(&self) -> MutexGuard<'_, Checkpoints> {
        self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the thread does not answer.
    fn gone(&self) -> StoreError {
        self.failure.get().map_or(StoreError::Closed, StoreError::Failed)
    }
}

/// A state that no longer changes, and that the disk has.
pub(crate) struct Frozen {
    pub(crate) transaction: ReadTransaction,
    pub(crate) standing: Standing,
    pub(crate) membership: StoredMembership<NodeId, Peer>,
}

impl Frozen {
    pub(crate) fn head(&self) -> Head {
        Head::new(&self.standing, self.membership.clone())
    }
}

impl StateStore {
    /// A handle to read it.
    pub fn handle(&self) -> StateHandle {
        self.handle.clone()
    }

    fn builder(&self, frozen: Result<Frozen, StoreError>) -> SnapshotBuilder {
        SnapshotBuilder {
            frozen: Some(frozen),
            handle: self.handle.clone(),
            machine: Arc::clone(&self.machine),
            snapshots: Arc::clone(&self.snapshots),
        }
    }

    /// The current snapshot, if there is one. Should its file be damaged, it is made anew: a receiver would refuse it
    /// again and again.
    async fn current(&self) -> Result<Option<Snapshot<TypeConfig>>, StoreError> {
        let snapshots = Arc::clone(&self.snapshots);
        let checked = blocking(move || Ok(snapshots.check_current())).await?;
        if checked.is_damaged() {
            tracing::error!("the current snapshot is damaged on disk; it is made anew");
            let mut builder = self.builder(self.handle.freeze().await);
            builder.build().await?;
        }
        self.snapshots.open_current()
    }
}

impl RaftStateMachine<TypeConfig> for StateStore {
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId<NodeId>>, StoredMembership<NodeId, Peer>), StorageError<NodeId>> {
        self.handle.ask(|reply| Job::Place { reply }).await.map_err(reading_failed)
    }

    /// Applies each entry once, all of them in one transaction with the note that they were.
    ///
    /// The transaction is visible when this returns, but the disk may have it later: see `docs/internals/raft-store.md`.
    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Vec<Response>>, StorageError<NodeId>>
    where
        I: IntoIterator<Item = Entry<TypeConfig>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = entries.into_iter().collect();
        self.handle.ask(|reply| Job::Apply { entries, reply }).await.map_err(writing_failed)
    }

    /// The builder's snapshot is of the state as it is now.
    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        let frozen = self.handle.freeze().await;
        self.builder(frozen)
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotFile>, StorageError<NodeId>> {
        let snapshots = Arc::clone(&self.snapshots);
        let part = blocking(move || snapshots.new_part()).await.map_err(|error| self.handle.fail(error))?;
        Ok(Box::new(SnapshotFile { file: tokio::fs::File::from_std(part.file), path: part.path }))
    }

    /// Replaces the whole state in one transaction, after which `snapshot` is the current one.
    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<NodeId, Peer>,
        snapshot: Box<SnapshotFile>,
    ) -> Result<(), StorageError<NodeId>> {
        let SnapshotFile { file, path } = *snapshot;
        let file = file.into_std().await;
        let source = file.try_clone();
        let source = source.map_err(|error| self.handle.fail(StoreError::file("copy a handle", error)))?;
        let meta = meta.clone();
        let expected = meta.clone();
        self.handle
            .ask(|reply| Job::Install { expected, source, reply })
            .await
            .map_err(|error| self.handle.fail(error))?;
        let snapshots = Arc::clone(&self.snapshots);
        blocking(move || snapshots.adopt(file, &path, meta)).await.map_err(|error| self.handle.fail(error))
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<TypeConfig>>, StorageError<NodeId>> {
        self.current().await.map_err(|error| self.handle.fail(error))
    }
}

/// Writes one snapshot.
pub struct SnapshotBuilder {
    frozen: Option<Result<Frozen, StoreError>>,
    handle: StateHandle,
    machine: Arc<dyn Machine>,
    snapshots: Arc<SnapshotFiles>,
}

impl SnapshotBuilder {
    async fn build(&mut self) -> Result<Snapshot<TypeConfig>, StoreError> {
        let frozen = match self.frozen.take() {
            Some(frozen) => frozen?,
            None => self.handle.freeze().await?,
        };
        let (machine, snapshots) = (Arc::clone(&self.machine), Arc::clone(&self.snapshots));
        blocking(move || snapshots.write(frozen, machine.tables())).await?;
        let made = self.snapshots.open_current()?;
        made.ok_or_else(|| StoreError::Broken("the snapshot that was just made is gone".to_owned()))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError<NodeId>> {
        self.build().await.map_err(|error| self.handle.fail(error))
    }
}

/// Runs `work`, which waits for the disk, where it holds up nothing else.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(StoreError::Broken("a task of the store panicked".to_owned())))
}

fn writing_failed(error: StoreError) -> StorageError<NodeId> {
    StorageIOError::write_state_machine(AnyError::new(&error)).into()
}

fn reading_failed(error: StoreError) -> StorageError<NodeId> {
    StorageIOError::read_state_machine(AnyError::new(&error)).into()
}
