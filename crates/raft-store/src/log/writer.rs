//! The thread of the log's file: takes all that waits, writes it in one transaction, and answers after the sync.

use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aegis_model::caps;
use aegis_model::ids::ClusterId;
use openraft::storage::LogFlushed;
use openraft::{Entry, LogId, Vote};
use redb::{Database, Durability, ReadableDatabase, WriteTransaction};
use tokio::sync::{mpsc, oneshot};

use super::{Shared, disk};
use crate::identity::{self, Found};
use crate::tables::StoreError;
use crate::types::{NodeId, TypeConfig};

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the thread is told.
pub(super) enum Job {
    Append { entries: Vec<Arc<Entry<TypeConfig>>>, callback: LogFlushed<TypeConfig> },
    Vote { vote: Vote<NodeId>, reply: Reply<()> },
    Truncate { from: u64, reply: Reply<Option<LogId<NodeId>>> },
    Purge { upto: LogId<NodeId>, reply: Reply<()> },
    Cluster { cluster: ClusterId, reply: Reply<()> },
    Close { reply: Reply<()> },
}

/// How often the log was written; each of these transactions costs two syncs.
#[derive(Debug, Default)]
pub(crate) struct LogCounters {
    pub(crate) synced: AtomicU64,
    pub(crate) entries: AtomicU64,
}

pub(super) struct Writer {
    database: Arc<Database>,
    shared: Arc<Shared>,
    counters: Arc<LogCounters>,
    committed: Option<LogId<NodeId>>,
    _lock: Option<Arc<File>>,
}

/// What is owed once the transaction is on disk.
enum Owed {
    Appended { next: u64, callback: LogFlushed<TypeConfig> },
    Done(Reply<()>),
    Truncated { last: Option<LogId<NodeId>>, reply: Reply<Option<LogId<NodeId>>> },
}

impl Writer {
    pub(super) fn new(
        database: Arc<Database>,
        shared: Arc<Shared>,
        counters: Arc<LogCounters>,
        lock: Option<Arc<File>>,
    ) -> Self {
        let committed = shared.tail().committed;
        Self { database, shared, counters, committed, _lock: lock }
    }

    /// Works until told to close, or until nobody is left to tell it anything; then closes the file.
    pub(super) fn run(self, jobs: mpsc::Receiver<Job>) {
        let shared = Arc::clone(&self.shared);
        let worked = std::panic::catch_unwind(AssertUnwindSafe(|| self.work(jobs)));
        if worked.is_err() {
            shared.failure.declare("the log's thread panicked");
        }
    }

    fn work(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut batch = Vec::new();
        let mut closing = None;
        while closing.is_none() && jobs.blocking_recv_many(&mut batch, caps::RAFT_STORE_QUEUE_MAX) > 0 {
            closing = take_close(&mut batch);
            self.write(std::mem::take(&mut batch));
        }
        let closed = self.close();
        if let Some(reply) = closing {
            // Nobody may be left to be told.
            let _ = reply.send(closed);
        }
    }

    /// Writes `jobs` in one transaction and answers all of them. After a failure all of them fail, and nothing is
    /// written any more.
    fn write(&mut self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        if let Err(error) = self.shared.check() {
            return jobs.into_iter().for_each(|job| job.refuse(&error));
        }
        let mut jobs = jobs.into_iter();
        let mut owed = Vec::new();
        match self.commit(&mut jobs, &mut owed) {
            Ok(()) => owed.into_iter().for_each(|owed| self.settle(owed)),
            Err(error) => {
                self.shared.failure.declare(&format!("the log cannot be written: {error}"));
                owed.into_iter().for_each(|owed| owed.refuse(&error));
                jobs.for_each(|job| job.refuse(&error));
            }
        }
    }

    fn commit(
        &mut self,
        jobs: &mut impl Iterator<Item = Job>,
        owed: &mut Vec<Owed>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.database.begin_write()?;
        let mut durable = false;
        for job in jobs {
            // Purged entries may come back after a crash: they are before what the state has.
            durable |= !matches!(job, Job::Purge { .. });
            self.stage(&transaction, job, owed)?;
        }
        let committed = self.shared.tail().committed;
        if let Some(log_id) = committed.filter(|_| committed != self.committed) {
            disk::set_committed(&transaction, log_id)?;
        }
        if durable {
            // In two phases, so that a crash within a sync never leaves a commit that is half there (RAFT-1).
            transaction.set_two_phase_commit(true);
        } else {
            transaction
                .set_durability(Durability::None)
                .map_err(|error| StoreError::Broken(error.to_string()))?;
        }
        transaction.commit()?;
        self.committed = committed;
        if durable {
            self.counters.synced.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Puts `job` into the transaction, and down what is owed for it.
    fn stage(
        &self,
        transaction: &WriteTransaction,
        job: Job,
        owed: &mut Vec<Owed>,
    ) -> Result<(), StoreError> {
        match job {
            Job::Append { entries, callback } => {
                let next = entries.last().map_or(0, |entry| entry.log_id.index + 1);
                owed.push(Owed::Appended { next, callback });
                self.counters.entries.fetch_add(entries.len() as u64, Ordering::Relaxed);
                disk::append(transaction, &entries)
            }
            Job::Vote { vote, reply } => {
                owed.push(Owed::Done(reply));
                disk::set_vote(transaction, &vote)
            }
            Job::Truncate { from, reply } => {
                let last = disk::truncate(transaction, from);
                owed.push(Owed::Truncated { last: *last.as_ref().unwrap_or(&None), reply });
                last.map(drop)
            }
            Job::Purge { upto, reply } => {
                owed.push(Owed::Done(reply));
                disk::purge(transaction, upto)
            }
            Job::Cluster { cluster, reply } => {
                owed.push(Owed::Done(reply));
                set_cluster(&self.database, transaction, cluster)
            }
            Job::Close { reply } => {
                owed.push(Owed::Done(reply));
                Ok(())
            }
        }
    }

    /// The disk has it: says so.
    fn settle(&self, owed: Owed) {
        // Who asked may be gone; the disk has it all the same.
        match owed {
            Owed::Appended { next, callback } => {
                self.shared.tail().synced(next);
                callback.log_io_completed(Ok(()));
            }
            Owed::Done(reply) => drop(reply.send(Ok(()))),
            Owed::Truncated { last, reply } => drop(reply.send(Ok(last))),
        }
    }

    /// Writes what was only noted, and closes the file.
    fn close(self) -> Result<(), StoreError> {
        self.shared.check()?;
        let committed = self.shared.tail().committed;
        if let Some(log_id) = committed.filter(|_| committed != self.committed) {
            let mut transaction = self.database.begin_write()?;
            disk::set_committed(&transaction, log_id)?;
            transaction.set_two_phase_commit(true);
            transaction.commit()?;
        }
        match Arc::into_inner(self.database) {
            Some(database) => Ok(database.close()?),
            // Somebody reads; the last one closes it.
            None => Ok(()),
        }
    }
}

/// Notes the cluster in the file's identity.
fn set_cluster(
    database: &Database,
    transaction: &WriteTransaction,
    cluster: ClusterId,
) -> Result<(), StoreError> {
    match identity::read(&database.begin_read()?)? {
        Found::Identity(identity) => {
            let cluster_id = Some(cluster);
            identity::write(transaction, &identity::Identity { cluster_id, ..identity })
        }
        Found::Nothing | Found::Newer(_) => Err(StoreError::Broken("the file lost its identity".to_owned())),
    }
}

/// Takes the order to close out of `batch`, and what comes after it.
fn take_close(batch: &mut Vec<Job>) -> Option<Reply<()>> {
    let place = batch.iter().position(|job| matches!(job, Job::Close { .. }))?;
    batch.drain(place..).find_map(|job| match job {
        Job::Close { reply } => Some(reply),
        _ => None,
    })
}

impl Job {
    fn refuse(self, error: &StoreError) {
        match self {
            Self::Append { callback, .. } => {
                callback.log_io_completed(Err(std::io::Error::other(error.to_string())))
            }
            Self::Truncate { reply, .. } => drop(reply.send(Err(again(error)))),
            Self::Vote { reply, .. }
            | Self::Purge { reply, .. }
            | Self::Cluster { reply, .. }
            | Self::Close { reply } => drop(reply.send(Err(again(error)))),
        }
    }
}

impl Owed {
    fn refuse(self, error: &StoreError) {
        match self {
            Self::Appended { callback, .. } => {
                callback.log_io_completed(Err(std::io::Error::other(error.to_string())));
            }
            Self::Done(reply) => drop(reply.send(Err(again(error)))),
            Self::Truncated { reply, .. } => drop(reply.send(Err(again(error)))),
        }
    }
}

/// The error once more, for another who asked.
fn again(error: &StoreError) -> StoreError {
    StoreError::Failed(error.to_string().into())
}
