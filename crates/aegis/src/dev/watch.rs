//! Notices when the policy folder changes.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// An edit is over when nothing happened for so long: editors write in several steps.
const QUIET: Duration = Duration::from_millis(20);

/// A folder that never falls silent is looked at all the same; well below the 200 ms in which an edit has to be live.
const IMPATIENCE: Duration = Duration::from_millis(80);

/// How often it is checked that the folder is still the one that is watched.
const CHECK: Duration = Duration::from_secs(1);

/// Watches a policy folder, or the folder of a single policy file.
#[derive(Debug)]
pub(super) struct Watch {
    watcher: RecommendedWatcher,
    /// The folder by the name that was given; a link in it may lead elsewhere one day.
    named: PathBuf,
    /// The folder that is watched, without links.
    folder: PathBuf,
    mode: RecursiveMode,
    /// Of `folder`; somebody may put another one in its place.
    identity: Option<(u64, u64)>,
    /// At most one word waits: that there was a change, not which.
    changes: mpsc::Receiver<()>,
}

impl Watch {
    /// Watches from now on. What happens below `ignored` does not count.
    ///
    /// # Errors
    /// `place` is not there, or the system cannot watch it.
    pub(super) fn start(place: &Path, ignored: &Path) -> anyhow::Result<Self> {
        let context = || format!("watching `{}`", place.display());
        let absolute = std::path::absolute(place).with_context(context)?;
        let (named, mode) = match absolute.parent() {
            Some(parent) if absolute.is_file() => (parent.to_path_buf(), RecursiveMode::NonRecursive),
            _ => (absolute, RecursiveMode::Recursive),
        };
        let folder = named.canonicalize().with_context(context)?;
        let (tx, changes) = mpsc::channel(1);
        let ignored = ignored.to_path_buf();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let counts = match &event {
                Ok(event) => is_edit(event) && !event.paths.iter().all(|path| path.starts_with(&ignored)),
                // Events were lost: look.
                Err(_) => true,
            };
            if counts {
                // Full: a change is told already.
                let _ = tx.try_send(());
            }
        })
        .with_context(context)?;
        watcher.watch(&folder, mode).with_context(context)?;
        let identity = identity(&folder);
        Ok(Self { watcher, named, folder, mode, identity, changes })
    }

    /// Waits for a change, and until it is over. Whoever drops this before it ends has to look at the folder: the
    /// change may have begun already.
    pub(super) async fn changed(&mut self) {
        loop {
            match timeout_at(Instant::now() + CHECK, self.changes.recv()).await {
                Ok(Some(())) => break,
                // The watcher holds the other end, so it is never closed.
                Ok(None) => std::future::pending().await,
                Err(_nothing_happened) if self.was_replaced() => break,
                Err(_nothing_happened) => {}
            }
        }
        let latest = Instant::now() + IMPATIENCE;
        while let Ok(Some(())) = timeout_at(latest.min(Instant::now() + QUIET), self.changes.recv()).await {}
    }

    /// Whether there is another folder in the place of the one that is watched; watches it then.
    fn was_replaced(&mut self) -> bool {
        let now = identity(&self.named);
        if now.is_none() || now == self.identity {
            return false;
        }
        let Ok(folder) = self.named.canonicalize() else { return false };
        // The old one may be gone, and its watch with it.
        let _ = self.watcher.unwatch(&self.folder);
        let watched = self.watcher.watch(&folder, self.mode);
        self.folder = folder;
        // Otherwise the next check tries again.
        self.identity = if watched.is_ok() { now } else { None };
        true
    }
}

/// Device and inode.
fn identity(folder: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(folder).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Whether files may read otherwise now. Reading them is an event, too, and has to be none here.
fn is_edit(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}
