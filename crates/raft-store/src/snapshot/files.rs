//! The folder of snapshots: one that is current, and those that are being written or received.

use std::fs::File;
use std::io::Seek;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use openraft::{LogId, Snapshot, SnapshotMeta};

use super::{check, format};
use crate::state::Frozen;
use crate::tables::{StateView, StoreError, Table};
use crate::types::{NodeId, Peer, SnapshotFile, TypeConfig};

const DONE: &str = "snapshot";
const PART: &str = "part";

/// How many files may be half-way at once: one that is written, one that is received, and those whose sender gave up.
/// Beyond: the oldest is removed.
const PARTS_MAX: usize = 4;

#[derive(Debug)]
pub(crate) struct SnapshotFiles {
    folder: PathBuf,
    /// Makes names that no file of the folder has.
    names: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    current: Option<Current>,
    parts: Vec<PathBuf>,
}

#[derive(Debug, Clone)]
struct Current {
    meta: SnapshotMeta<NodeId, Peer>,
    path: PathBuf,
}

/// A file that is being filled.
pub(crate) struct Part {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
}

/// What looking at the current snapshot said.
pub(crate) enum Looked {
    /// There is none.
    Nothing,
    Good,
    Damaged,
}

impl Looked {
    pub(crate) fn is_damaged(&self) -> bool {
        matches!(self, Self::Damaged)
    }
}

impl SnapshotFiles {
    /// Opens the folder, and cleans it: what was half-way is removed, and what is damaged, old, or ahead of the state,
    /// which stands at `applied`.
    pub(crate) fn open(folder: PathBuf, applied: Option<LogId<NodeId>>) -> Result<Self, StoreError> {
        std::fs::create_dir_all(&folder)
            .map_err(|error| StoreError::file("make the folder of snapshots", error))?;
        let mut found = Vec::new();
        let paths = list(&folder)?;
        let used = paths.iter().filter_map(|path| number(path)).max();
        for path in paths {
            let done = path.extension().is_some_and(|extension| extension == DONE);
            let whole = done.then(|| open_read(&path).and_then(check));
            match whole {
                Some(Ok(head)) if head.last_log_id <= applied => {
                    found.push(Current { meta: head.meta(), path })
                }
                Some(Err(error)) => {
                    tracing::warn!(path = %path.display(), %error, "a snapshot is damaged; it is removed");
                    remove(&path);
                }
                Some(Ok(_)) | None => remove(&path),
            }
        }
        found.sort_by_key(|snapshot| snapshot.meta.last_log_id);
        let current = found.pop();
        found.iter().for_each(|old| remove(&old.path));
        let inner = Mutex::new(Inner { current, parts: Vec::new() });
        Ok(Self { folder, names: AtomicU64::new(used.map_or(0, |used| used + 1)), inner })
    }

    /// A new, empty file.
    pub(crate) fn new_part(&self) -> Result<Part, StoreError> {
        let path = self.folder.join(format!("{}.{PART}", self.names.fetch_add(1, Ordering::Relaxed)));
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.map_err(|error| StoreError::file("make a snapshot", error))?;
        let mut inner = self.inner();
        inner.parts.push(path.clone());
        if inner.parts.len() > PARTS_MAX {
            remove(&inner.parts.remove(0));
        }
        Ok(Part { file, path })
    }

    /// Writes the state that `frozen` shows, and makes it the current snapshot.
    pub(crate) fn write(&self, frozen: Frozen, tables: &[Table]) -> Result<(), StoreError> {
        let Part { mut file, path } = self.new_part()?;
        let head = frozen.head();
        format::write(&mut file, &head, &StateView::new(frozen.transaction), tables)?;
        self.adopt(file, &path, head.meta())
    }

    /// Makes `file`, which is at `path` or was, the current snapshot; removes the one before. Durable once it returns.
    pub(crate) fn adopt(
        &self,
        mut file: File,
        path: &Path,
        meta: SnapshotMeta<NodeId, Peer>,
    ) -> Result<(), StoreError> {
        let ours = {
            let mut inner = self.inner();
            let place = inner.parts.iter().position(|part| part == path);
            place.map(|place| inner.parts.remove(place)).is_some()
        };
        if !ours {
            // It lies elsewhere, or it was removed meanwhile: the open file still has it.
            let Part { file: mut copy, path: copied } = self.new_part()?;
            file.rewind()
                .and_then(|()| std::io::copy(&mut file, &mut copy))
                .map_err(|error| StoreError::file("copy a snapshot", error))?;
            return self.adopt(copy, &copied, meta);
        }
        let index = meta.last_log_id.map_or(0, |log_id| log_id.index);
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        let done = self.folder.join(format!("{index:020}-{number}.{DONE}"));
        file.sync_all()
            .and_then(|()| std::fs::rename(path, &done))
            .map_err(|error| StoreError::file("keep a snapshot", error))?;
        sync_directory(&self.folder)?;
        self.show(Current { meta, path: done });
        Ok(())
    }

    /// Makes `new` the current one unless there is a newer one, and removes the other.
    fn show(&self, new: Current) {
        let mut inner = self.inner();
        let newer = inner.current.as_ref().is_some_and(|old| old.meta.last_log_id > new.meta.last_log_id);
        let gone = if newer { Some(new) } else { inner.current.replace(new) };
        if let Some(gone) = gone {
            remove(&gone.path);
        }
    }

    /// Reads the whole current snapshot.
    pub(crate) fn check_current(&self) -> Looked {
        let Some(current) = self.current() else { return Looked::Nothing };
        match open_read(&current.path).and_then(check) {
            Ok(_) => Looked::Good,
            Err(_) => Looked::Damaged,
        }
    }

    /// The current snapshot, opened.
    pub(crate) fn open_current(&self) -> Result<Option<Snapshot<TypeConfig>>, StoreError> {
        let inner = self.inner();
        let Some(Current { meta, path }) = inner.current.clone() else { return Ok(None) };
        // Opened under the lock, so that it is not removed in between.
        let file = tokio::fs::File::from_std(open_read(&path)?);
        Ok(Some(Snapshot { meta, snapshot: Box::new(SnapshotFile { file, path }) }))
    }

    fn current(&self) -> Option<Current> {
        self.inner().current.clone()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = std::fs::read_dir(folder).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let entries = entries.map_err(|error| StoreError::file("list the snapshots", error))?;
    Ok(entries.into_iter().map(|entry| entry.path()).collect())
}

/// The number in the name of a snapshot, `INDEX-NUMBER.snapshot`.
fn number(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.rsplit('-').next()?.parse().ok()
}

fn open_read(path: &Path) -> Result<File, StoreError> {
    File::open(path).map_err(|error| StoreError::file("open a snapshot", error))
}

/// Makes the names in `folder` durable.
pub(crate) fn sync_directory(folder: &Path) -> Result<(), StoreError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| StoreError::file("sync a folder", error))
}

/// Removes a file that nobody needs; the next open tries again.
fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::debug!(path = %path.display(), %error, "a snapshot's file was not removed");
    }
}
