//! The thread of the state's file: applies, syncs now and then, freezes for snapshots, installs them.

use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aegis_model::caps;
use aegis_model::ids::ClusterId;
use openraft::{Entry, LogId, SnapshotMeta, StoredMembership};
use redb::{Database, Durability, ReadableDatabase, WriteTransaction};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

use super::disk::Advanced;
use super::{Applied, Frozen, Placed, Shared, disk};
use crate::checkpoint::Checkpoint;
use crate::codec::payload_bytes;
use crate::identity::{self, Found};
use crate::machine::Machine;
use crate::snapshot::Source;
use crate::tables::StoreError;
use crate::types::{NodeId, Peer, Response, TypeConfig};

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// The last applied entry, and the members as of then.
type Position = (Option<LogId<NodeId>>, StoredMembership<NodeId, Peer>);

/// What the thread is told.
pub(super) enum Job {
    Apply { entries: Vec<Entry<TypeConfig>>, reply: Reply<Vec<Vec<Response>>> },
    Place { reply: Reply<Position> },
    Sync { reply: Reply<()> },
    Freeze { reply: Reply<Frozen> },
    Install { expected: SnapshotMeta<NodeId, Peer>, source: File, reply: Reply<()> },
    Cluster { cluster: ClusterId, reply: Reply<()> },
    Close { reply: Reply<()> },
}

/// How often the state was written; each synced transaction costs two syncs.
#[derive(Debug, Default)]
pub(crate) struct StateCounters {
    pub(crate) transactions: AtomicU64,
    pub(crate) synced: AtomicU64,
}

pub(super) struct Writer {
    pub(super) database: Arc<Database>,
    pub(super) placed: Placed,
    pub(super) strict: bool,
    pub(super) machine: Arc<dyn Machine>,
    pub(super) shared: Arc<Shared>,
    pub(super) counters: Arc<StateCounters>,
    pub(super) _lock: Option<Arc<File>>,
}

/// What was applied since the last sync.
#[derive(Debug, Default)]
struct Unsynced {
    entries: u64,
    bytes: usize,
}

impl Writer {
    /// Works until told to close, or until nobody is left to tell it anything; then closes the file.
    pub(super) fn run(self, time: &Runtime, jobs: mpsc::Receiver<Job>) {
        let shared = Arc::clone(&self.shared);
        let worked = std::panic::catch_unwind(AssertUnwindSafe(|| self.work(time, jobs)));
        if worked.is_err() {
            shared.failure.declare("the state's thread panicked");
        }
    }

    fn work(mut self, time: &Runtime, mut jobs: mpsc::Receiver<Job>) {
        let mut unsynced = Unsynced::default();
        let mut closing = None;
        while closing.is_none() {
            match next_job(time, &mut jobs, unsynced.entries > 0) {
                Next::Job(Job::Close { reply }) => closing = Some(reply),
                Next::Job(job) => self.handle(job, &mut unsynced),
                Next::Idle => drop(self.sync(&mut unsynced)),
                Next::Over => break,
            }
        }
        let closed = self.close(&mut unsynced);
        if let Some(reply) = closing {
            // Nobody may be left to be told.
            let _ = reply.send(closed);
        }
    }

    fn handle(&mut self, job: Job, unsynced: &mut Unsynced) {
        // Who asked may be gone; it is done all the same.
        match job {
            Job::Apply { entries, reply } => {
                drop(reply.send(self.guarded(|it| it.apply(&entries, unsynced))))
            }
            Job::Place { reply } => {
                let Placed { standing, membership } = self.placed.clone();
                drop(reply.send(Ok((standing.last_applied, membership))));
            }
            Job::Sync { reply } => drop(reply.send(self.sync(unsynced))),
            Job::Freeze { reply } => drop(reply.send(self.freeze(unsynced))),
            Job::Install { expected, source, reply } => {
                drop(reply.send(self.guarded(|it| it.install(&expected, source, unsynced))));
            }
            Job::Cluster { cluster, reply } => drop(reply.send(self.guarded(|it| it.set_cluster(cluster)))),
            Job::Close { reply } => drop(reply.send(Err(StoreError::Closed))),
        }
    }

    /// Does `work` unless the store failed; notes if it fails.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.shared.check()?;
        let done = work(self);
        done.inspect_err(|error| {
            self.shared.failure.declare(&format!("the state cannot be written: {error}"))
        })
    }

    /// Applies `entries` in one transaction. It is left to a later sync unless too much would be left: after a crash
    /// redb shows the state of the last sync, whole, and Raft applies what follows from the log once more.
    fn apply(
        &mut self,
        entries: &[Entry<TypeConfig>],
        unsynced: &mut Unsynced,
    ) -> Result<Vec<Vec<Response>>, StoreError> {
        unsynced.entries += entries.len() as u64;
        unsynced.bytes += entries.iter().map(payload_bytes).sum::<usize>();
        let full = unsynced.entries >= caps::RAFT_STATE_UNSYNCED_ENTRIES_MAX
            || unsynced.bytes >= caps::RAFT_STATE_UNSYNCED_BYTES_MAX;
        let transaction = self.database.begin_write()?;
        let advanced = disk::apply(&transaction, &self.placed, &*self.machine, entries, self.strict)?;
        let Advanced { answers, placed, checkpoints } = advanced;
        self.commit(transaction, placed, &checkpoints, full, unsynced)?;
        Ok(answers)
    }

    /// Commits, and shows it.
    fn commit(
        &mut self,
        mut transaction: WriteTransaction,
        placed: Placed,
        checkpoints: &[Checkpoint],
        durable: bool,
        unsynced: &mut Unsynced,
    ) -> Result<(), StoreError> {
        if durable {
            transaction.set_two_phase_commit(true);
        } else {
            let set = transaction.set_durability(Durability::None);
            set.map_err(|error| StoreError::Broken(error.to_string()))?;
        }
        transaction.commit()?;
        self.counters.transactions.fetch_add(1, Ordering::Relaxed);
        self.placed = placed;
        if durable {
            self.counters.synced.fetch_add(1, Ordering::Relaxed);
            *unsynced = Unsynced::default();
            self.shared.synced_next.store(self.placed.next(), Ordering::Release);
        }
        let mut shown = self.shared.checkpoints();
        checkpoints.iter().for_each(|checkpoint| shown.note(*checkpoint));
        drop(shown);
        self.shared.applied.send_replace(Applied::of(&self.placed.standing));
        Ok(())
    }

    /// Brings to disk what is not there yet.
    fn sync(&mut self, unsynced: &mut Unsynced) -> Result<(), StoreError> {
        if unsynced.entries == 0 {
            return self.shared.check();
        }
        self.guarded(|it| {
            let transaction = it.database.begin_write()?;
            let placed = it.placed.clone();
            // An empty transaction that is synced takes those before it along.
            it.commit(transaction, placed, &[], true, unsynced)
        })
    }

    /// A view that the disk has: a snapshot is never ahead of what a crash leaves.
    fn freeze(&mut self, unsynced: &mut Unsynced) -> Result<Frozen, StoreError> {
        self.sync(unsynced)?;
        let transaction = self.database.begin_read()?;
        let Placed { standing, membership } = self.placed.clone();
        Ok(Frozen { transaction, standing, membership })
    }

    /// Replaces the state by the snapshot in `file`, in one transaction: after a crash it is the old or the new one.
    fn install(
        &mut self,
        expected: &SnapshotMeta<NodeId, Peer>,
        file: File,
        unsynced: &mut Unsynced,
    ) -> Result<(), StoreError> {
        let mut source = Source::open(file)?;
        source.head().check_meta(expected)?;
        if source.head().last_log_id < self.placed.standing.last_applied {
            return Err(StoreError::Broken("the snapshot is older than the state".to_owned()));
        }
        let transaction = self.database.begin_write()?;
        let placed = disk::replace(&transaction, &self.placed, &*self.machine, &mut source)?;
        let checkpoint = Applied::of(&placed.standing).into();
        self.commit(transaction, placed, &[checkpoint], true, unsynced)
    }

    /// Notes the cluster in the file's identity.
    fn set_cluster(&mut self, cluster: ClusterId) -> Result<(), StoreError> {
        let Found::Identity(identity) = identity::read(&self.database.begin_read()?)? else {
            return Err(StoreError::Broken("the file lost its identity".to_owned()));
        };
        let mut transaction = self.database.begin_write()?;
        identity::write(&transaction, &identity::Identity { cluster_id: Some(cluster), ..identity })?;
        transaction.set_two_phase_commit(true);
        Ok(transaction.commit()?)
    }

    fn close(mut self, unsynced: &mut Unsynced) -> Result<(), StoreError> {
        self.sync(unsynced)?;
        match Arc::into_inner(self.database) {
            Some(database) => Ok(database.close()?),
            // Somebody reads; the last one closes it.
            None => Ok(()),
        }
    }
}

enum Next {
    Job(Job),
    /// Nothing came for a while.
    Idle,
    /// Nobody is left.
    Over,
}

fn next_job(time: &Runtime, jobs: &mut mpsc::Receiver<Job>, dirty: bool) -> Next {
    if !dirty {
        return jobs.blocking_recv().map_or(Next::Over, Next::Job);
    }
    let idle = Duration::from_millis(caps::RAFT_STATE_IDLE_SYNC_MS);
    match time.block_on(async { tokio::time::timeout(idle, jobs.recv()).await }) {
        Ok(Some(job)) => Next::Job(job),
        Ok(None) => Next::Over,
        Err(_elapsed) => Next::Idle,
    }
}
