//! The worker that copies a node's sealed segments, one file at a time, for as long as the node runs.
//!
//! It holds nothing that a crash could lose: how far a copy is stands in a note in the log's folder, which is written after the
//! checkpoint arrived. What was put without the note is compared, and not put again.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aegis_audit::journal::Disk;
use aegis_audit::pruned;
use aegis_audit::read::own_key;
use aegis_audit::record::Chain;
use aegis_audit::segment;
use aegis_audit::upload::{self, CHECKPOINT, Plan};
use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_model::metric::Family;
use bytes::Bytes;

use super::{Archive, ArchiveError};
use crate::decider::Decider;

/// What was done and what is left, for operators.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(super) objects: AtomicU64,
    bytes: AtomicU64,
    /// Sealed entries that the store lacks.
    pub(super) pending: AtomicU64,
    /// Looks in a row that failed.
    failures: AtomicU64,
    /// Logs whose place holds something else.
    pub(super) differing: AtomicU64,
}

/// Why a log is not copied yet.
#[derive(Debug, thiserror::Error)]
enum NotCopied {
    #[error(transparent)]
    Store(#[from] ArchiveError),
    #[error("the node's own files cannot be read: {0}")]
    Disk(#[from] io::Error),
}

/// Keeps the copies of one node's logs. Owned by the node, which runs it.
#[derive(Debug)]
pub(crate) struct Keeper {
    decider: Arc<Decider>,
    archive: Archive,
    /// Closed logs whose copies are whole.
    done: BTreeSet<u64>,
    /// How many deletions of retention the store has followed, and whose records might go then; nothing before the first look.
    followed: Option<(u64, Vec<(TenantId, u64)>)>,
    /// What was told last, so that a store that is down is told of once.
    told: Option<String>,
}

impl Keeper {
    pub(crate) fn new(decider: Arc<Decider>, archive: Archive) -> Self {
        Self { decider, archive, done: BTreeSet::new(), followed: None, told: None }
    }

    /// Looks again and again, for as long as it is polled. It never fails: what goes wrong is told, and tried again.
    pub(crate) async fn run(&mut self) {
        let mut failures = 0_u32;
        loop {
            failures = if self.look().await { 0 } else { failures.saturating_add(1) };
            self.counts().failures.store(u64::from(failures), Ordering::Relaxed);
            tokio::time::sleep(pause(failures)).await;
        }
    }

    fn counts(&self) -> &Counts {
        &self.decider.records.copies
    }

    /// Copies what is lacking, the oldest log first. Whether nothing failed.
    pub(crate) async fn look(&mut self) -> bool {
        let decider = Arc::clone(&self.decider);
        let Ok(lives) = blocking(move || Ok(decider.records.lives())).await else { return false };
        let (mut well, mut pending, mut differing) = (true, 0, 0);
        for (life, closed, folder) in lives {
            if self.done.contains(&life) {
                continue;
            }
            let copied = self.copy(&folder).await;
            pending += self.lacking(&folder).await;
            match copied {
                Ok(()) if closed => drop(self.done.insert(life)),
                Ok(()) => {}
                Err(error) => {
                    let differs = matches!(&error, NotCopied::Store(ArchiveError::Differs { .. }));
                    differing += u64::from(differs);
                    well = false;
                    self.tell(&error.to_string());
                    // A store that is down is down for the other logs as well; a place that is spoilt is not.
                    if !differs {
                        pending = pending.max(1);
                        break;
                    }
                }
            }
        }
        if well {
            well = self.follow_retention().await;
        }
        self.counts().pending.store(pending, Ordering::Relaxed);
        self.counts().differing.store(differing, Ordering::Relaxed);
        if well && self.told.take().is_some() {
            tracing::info!(store = self.archive.place(), "audit logs are copied again");
        }
        well
    }

    /// Deletes from the store what retention deleted here. Whether nothing failed.
    async fn follow_retention(&mut self) -> bool {
        let prunings = self.decider.records.deleted.prunings.load(Ordering::Relaxed);
        let state = (prunings, self.decider.retentions());
        // A hold may have been placed that is not known yet, and then everything stays.
        if self.followed.as_ref() == Some(&state) || self.decider.trusted_time().is_none() {
            return true;
        }
        match self.delete_pruned().await {
            Ok(()) => {
                self.followed = Some(state);
                true
            }
            Err(error) => {
                self.tell(&error.to_string());
                false
            }
        }
    }

    async fn delete_pruned(&self) -> Result<(), NotCopied> {
        let decider = Arc::clone(&self.decider);
        let stubs = blocking(move || {
            let (disk, mut stubs) = (decider.records.disk(), Vec::new());
            for (_, _, folder) in decider.records.lives() {
                for chain in decider.retentions().into_iter().map(|(tenant, _)| Chain::Tenant(tenant)) {
                    stubs.extend(pruned::find(&*disk, &folder, &chain)?);
                }
            }
            Ok(stubs)
        });
        for stub in stubs.await? {
            let below = segment::folder(&stub.chain);
            let at = self.archive.at(&stub.origin, &name_of(&below));
            let wanted = Bytes::from(stub.to_bytes());
            let path = self.archive.at(&stub.origin, &name_of(&below.join(pruned::NAME)));
            // First, so that a download always has the evidence for what is missing.
            if self.archive.get(&path, wanted.len() as u64).await?.as_ref() != Some(&wanted) {
                self.archive.replace(&path, wanted).await?;
            }
            for (path, _) in self.archive.list(&at).await? {
                let number = path.filename().and_then(segment::number);
                if number.is_some_and(|number| number <= stub.segment) {
                    self.archive.delete(&path).await?;
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, error: &str) {
        if self.told.as_deref() != Some(error) {
            tracing::warn!(
                store = self.archive.place(),
                error,
                "audit logs are not copied; it is tried again"
            );
            self.told = Some(error.to_owned());
        }
    }

    /// Copies what is lacking of one log.
    async fn copy(&self, folder: &Path) -> Result<(), NotCopied> {
        for _try in 0..caps::ARCHIVE_TRIES {
            match self.round(folder).await {
                // A segment was sealed meanwhile, which takes parts of tiles away.
                Err(NotCopied::Disk(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        // It grows faster than that: the next look goes on.
        Ok(())
    }

    /// Puts what was lacking at one moment. Whether there was anything.
    async fn round(&self, folder: &Path) -> Result<bool, NotCopied> {
        let (disk, place) = (self.disk(), self.archive.id);
        let of = folder.to_owned();
        let planned = blocking(move || {
            let known = upload::progress(&*disk, &of, &place)?;
            let Some(plan) = upload::plan(&*disk, &of, known)? else { return Ok(None) };
            Ok(Some((own_key(&*disk, &of)?.name().to_string(), plan)))
        });
        let Some((origin, Plan { files, checkpoint, then })) = planned.await? else { return Ok(false) };
        for file in files {
            let (disk, path) = (self.disk(), folder.join(&file));
            let content = Bytes::from(blocking(move || disk.read(&path)).await?);
            let bytes = content.len() as u64;
            if self.archive.put_new(&self.archive.at(&origin, &name_of(&file)), content).await? {
                self.counts().objects.fetch_add(1, Ordering::Relaxed);
                self.counts().bytes.fetch_add(bytes, Ordering::Relaxed);
            }
        }
        self.archive.replace(&self.archive.at(&origin, CHECKPOINT), Bytes::from(checkpoint)).await?;
        let (disk, of) = (self.disk(), folder.to_owned());
        blocking(move || upload::note(&*disk, &of, &place, then)).await?;
        Ok(true)
    }

    /// How many sealed entries of a log its copy lacks.
    async fn lacking(&self, folder: &Path) -> u64 {
        let (disk, place, of) = (self.disk(), self.archive.id, folder.to_owned());
        let asked = blocking(move || {
            let sealed = upload::sealed(&*disk, &of)?.map_or(0, |(size, _)| size);
            Ok(sealed.saturating_sub(upload::progress(&*disk, &of, &place)?.size))
        });
        asked.await.unwrap_or(0)
    }

    fn disk(&self) -> Arc<dyn Disk> {
        self.decider.records.disk()
    }
}

/// The path of a file below its log's folder, as every store writes it.
fn name_of(file: &Path) -> String {
    let parts: Vec<_> = file.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
}

/// The pause after so many failures in a row.
fn pause(failures: u32) -> Duration {
    if failures == 0 {
        return Duration::from_secs(caps::ARCHIVE_LOOK_SECONDS);
    }
    let doubled = caps::STORE_PAUSE_MS_FIRST.saturating_mul(1 << failures.min(20).saturating_sub(1));
    Duration::from_millis(doubled.min(caps::STORE_PAUSE_MS_MAX))
}

impl Counts {
    /// As metrics.
    pub(crate) fn families(&self) -> Vec<Family> {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
        let counter = |name, help, count| Family::counter(name, help).with(&[], read(count));
        let gauge = |name, help, count| Family::gauge(name, help).with(&[], read(count));
        vec![
            counter(
                "aegis_journal_store_objects_total",
                "Files of audit logs that were put into the store.",
                &self.objects,
            ),
            counter(
                "aegis_journal_store_bytes_total",
                "Bytes of audit logs that were put into the store.",
                &self.bytes,
            ),
            gauge(
                "aegis_journal_store_pending_entries",
                "Sealed entries of audit logs that the store lacks.",
                &self.pending,
            ),
            gauge(
                "aegis_journal_store_failures",
                "Looks in a row that did not bring audit logs up to date in the store.",
                &self.failures,
            ),
            gauge(
                "aegis_journal_store_differing_logs",
                "Audit logs whose place in the store holds something else.",
                &self.differing,
            ),
        ]
    }
}
