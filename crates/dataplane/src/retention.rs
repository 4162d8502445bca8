//! Deletes audit records whose retention is over, as each tenant asked: whole sealed segments, recorded before they go
//! ([`aegis_audit::prune`] has the steps and what a crash leaves).
//!
//! Nothing is deleted by this node's own clock, nor while it does not know what the control plane says now: a legal hold may
//! have been placed. What a store has to have first, waits until it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aegis_audit::hash::Hash;
use aegis_audit::journal::{Disk, NotKept, Placed};
use aegis_audit::prune::{self, Ages, Due, Evidence};
use aegis_audit::pruned::before;
use aegis_audit::read::{newest, own_key};
use aegis_audit::record::Chain;
use aegis_audit::{segment, upload};
use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::ids::TenantId;
use aegis_model::metric::Family;

use crate::archive::Archive;
use crate::decider::Decider;

/// For how long a tenant's records are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    days: u32,
    held: bool,
}

impl Retention {
    /// For so many days, 0 being for ever; while a legal hold stands, whatever the days.
    pub fn new(days: u32, held: bool) -> Self {
        Self { days, held }
    }

    /// The days after which records are deleted; nothing if none may be now.
    pub fn days(self) -> Option<u64> {
        (self.days > 0 && !self.held).then_some(u64::from(self.days))
    }
}

/// What was deleted, for operators and for the copies in a store.
#[derive(Debug, Default)]
pub(crate) struct Deleted {
    /// How often the files of a chain were deleted.
    pub(crate) prunings: AtomicU64,
    segments: AtomicU64,
    failures: AtomicU64,
}

/// Why nothing was deleted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotPruned {
    #[error("the node's own files: {0}")]
    Disk(#[from] io::Error),
    #[error("its record was not kept: {0}")]
    NotKept(#[from] NotKept),
    #[error("its record cannot be proved")]
    NotProved,
}

/// Deletes for as long as the node runs. Owned by the node.
#[derive(Debug)]
pub(crate) struct Pruner {
    decider: Arc<Decider>,
    /// What has to have a segment before it goes.
    store: Option<Hash>,
}

/// A deletion that is due.
struct Planned {
    folder: PathBuf,
    log: String,
    days: u64,
    due: Due,
}

impl Pruner {
    pub(crate) fn new(decider: Arc<Decider>, archive: Option<&Archive>) -> Self {
        Self { decider, store: archive.map(Archive::id) }
    }

    /// Looks again and again, for as long as it is polled. It never fails: what goes wrong is told, and tried again.
    pub(crate) async fn run(&self) {
        let mut looks = tokio::time::interval(Duration::from_secs(caps::PRUNE_LOOK_SECONDS));
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let Some(now) = self.decider.trusted_time() else { continue };
            let deleted = self.look(now).await;
            let failures = &self.decider.records.deleted.failures;
            match deleted {
                Ok(()) => failures.store(0, Ordering::Relaxed),
                Err(error) => {
                    failures.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%error, "records whose retention is over were not deleted; it is tried again");
                }
            }
        }
    }

    /// Deletes what is due at `now`, a time of the control plane.
    pub(crate) async fn look(&self, now: UnixNanos) -> Result<(), NotPruned> {
        let Some(journal) = self.decider.records.journal() else { return Ok(()) };
        let running = journal.key().name().to_string();
        let (decider, store, wanted) = (Arc::clone(&self.decider), self.store, self.decider.retentions());
        let planned = blocking(move || plan(&decider, store, &wanted, now)).await?;
        if planned.is_empty() {
            return Ok(());
        }
        let mut recorded = Vec::new();
        for planned in planned {
            let what = planned.due.to_record(&planned.log, now, planned.days);
            let records = &self.decider.records;
            let ticket = records.append(self.decider.clock.now(), planned.due.chain.clone(), &what)?;
            recorded.push((records.kept(ticket).await?, planned));
        }
        let decider = Arc::clone(&self.decider);
        tokio::task::spawn_blocking(move || delete(&decider, &running, recorded))
            .await
            .unwrap_or_else(|panic| Err(io::Error::other(panic).into()))
    }
}

/// What is due, the oldest log first.
fn plan(
    decider: &Decider,
    store: Option<Hash>,
    wanted: &[(TenantId, u64)],
    now: UnixNanos,
) -> io::Result<Vec<Planned>> {
    let disk = decider.records.disk();
    let mut planned = Vec::new();
    for (_, _, folder) in decider.records.lives() {
        // Also where nobody wants anything deleted yet: how long a segment has been here counts from its first sight.
        let ages = settled(|| Ages::look(&*disk, &folder, now))?;
        let below = match store {
            Some(place) => upload::progress(&*disk, &folder, &place)?.segments,
            None => u64::MAX,
        };
        let chains: BTreeSet<String> =
            disk.list(&folder.join("segments")).unwrap_or_default().into_iter().collect();
        for (tenant, days) in wanted {
            let chain = Chain::Tenant(tenant.clone());
            let own = segment::folder(&chain);
            let is_there = own.file_name().is_some_and(|name| chains.contains(&*name.to_string_lossy()));
            if !is_there || planned.len() >= caps::PRUNE_BATCH_MAX {
                continue;
            }
            // What an earlier life had begun.
            swept(decider, &*disk, &folder, &chain)?;
            let Some(upto) = ages.older(before(now, *days), below) else { continue };
            if let Some(due) = settled(|| prune::due(&*disk, &folder, &chain, upto))? {
                let log = own_key(&*disk, &folder)?.name().to_string();
                planned.push(Planned { folder: folder.clone(), log, days: *days, due });
            }
        }
    }
    Ok(planned)
}

/// Reads once more where a file went away: a segment was sealed meanwhile, and what it had grown in is gone.
fn settled<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _try in 1..caps::ARCHIVE_TRIES {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => return done,
        }
    }
    read()
}

fn swept(decider: &Decider, disk: &dyn Disk, folder: &std::path::Path, chain: &Chain) -> io::Result<()> {
    let gone = prune::sweep(disk, folder, chain)?;
    if gone > 0 {
        decider.records.deleted.count(gone);
    }
    Ok(())
}

/// Deletes what was recorded, once a checkpoint covers it. A tenant that is held by now, or wants its records for longer, keeps
/// everything.
fn delete(decider: &Decider, running: &str, recorded: Vec<(Placed, Planned)>) -> Result<(), NotPruned> {
    let disk = decider.records.disk();
    let Some(journal) = decider.records.journal() else { return Ok(()) };
    let signed = journal.checkpoint()?;
    let first = recorded.iter().map(|(placed, _)| placed.index).min().unwrap_or(0);
    let own = decider.records.folder_of_running();
    // From the first of them on; what is recorded meanwhile comes on top.
    let least = usize::try_from(signed.checkpoint.size - first).unwrap_or(usize::MAX);
    let bytes: BTreeMap<u64, Vec<u8>> = match own {
        Some(folder) => {
            let most = least.saturating_add(caps::AUDIT_QUEUE_MAX);
            settled(|| newest(&*disk, &folder, most))?.into_iter().collect()
        }
        None => BTreeMap::new(),
    };
    for (placed, planned) in recorded {
        let still = decider.retentions();
        let chain = &planned.due.chain;
        let mut of_chain = still.iter().filter(|(tenant, _)| Chain::Tenant(tenant.clone()) == *chain);
        if !of_chain.any(|(_, days)| *days <= planned.days) {
            tracing::info!(%chain, "records whose retention was over are held or kept for longer, and stay");
            continue;
        }
        let record = bytes.get(&placed.index).filter(|bytes| Hash::of(bytes) == placed.entry);
        let proof = journal.prove(placed.index).ok().flatten();
        let (record, proof) = record.zip(proof).ok_or(NotPruned::NotProved)?;
        let evidence = Evidence {
            record: record.clone(),
            index: placed.index,
            proof: proof.hashes,
            note: proof.signed.note.clone(),
        };
        let Planned { folder, log, days, due } = planned;
        let gone = prune::prune(&*disk, &folder, &log, &due, evidence)?;
        decider.records.deleted.count(gone);
        tracing::info!(chain = %due.chain, log, segment = due.segment, records = due.opening.seq, days, recorded_in = running, index = placed.index, "records whose retention is over were deleted");
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
}

impl Deleted {
    fn count(&self, files: u64) {
        self.prunings.fetch_add(1, Ordering::Relaxed);
        self.segments.fetch_add(files, Ordering::Relaxed);
    }

    /// As metrics.
    pub(crate) fn families(&self) -> Vec<Family> {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
        vec![
            Family::counter(
                "aegis_journal_pruned_files_total",
                "Files of sealed records that were deleted since their retention was over.",
            )
            .with(&[], read(&self.segments)),
            Family::gauge(
                "aegis_journal_pruning_failures",
                "Looks in a row that could not delete what is due.",
            )
            .with(&[], read(&self.failures)),
        ]
    }
}

#[cfg(test)]
pub(crate) mod tests;
