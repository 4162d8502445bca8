//! Backups of this node's storage, for the admin API.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aegis_model::caps;
use aegis_raft_store::store::StoreHandle;
use futures_util::future::{BoxFuture, FutureExt};
use tokio::fs;
use tokio::sync::Mutex;

use crate::admin::backups::{Backup, Backups, NoBackup};
use crate::raft::backup::{BackupError, backup};
use crate::raft::node::RaftNode;

/// Backups through files in a folder, which are gone as soon as they are open.
pub(super) fn backups(raft: RaftNode, store: StoreHandle, folder: PathBuf) -> Arc<dyn Backups> {
    Arc::new(OfStore { raft, store, folder, taken: AtomicU64::new(0), one_at_a_time: Mutex::default() })
}

struct OfStore {
    raft: RaftNode,
    store: StoreHandle,
    folder: PathBuf,
    taken: AtomicU64,
    /// Each takes the disk for itself.
    one_at_a_time: Mutex<()>,
}

impl Backups for OfStore {
    fn take(&self) -> BoxFuture<'_, Result<Backup, NoBackup>> {
        async move {
            let _turn = self.one_at_a_time.lock().await;
            let number = self.taken.fetch_add(1, Ordering::Relaxed);
            let path = self.folder.join(format!("backup-{number}.part"));
            let failed = |error: std::io::Error| {
                tracing::error!(%error, path = %path.display(), "a backup cannot be written");
                NoBackup::Failed
            };
            fs::create_dir_all(&self.folder).await.map_err(failed)?;
            // Left by a process that died in the middle.
            let _ = fs::remove_file(&path).await;
            let within = Duration::from_secs(caps::READ_SECONDS);
            let written = backup(&self.raft, &self.store, &path, within).await;
            if let Err(error) = written {
                let _ = fs::remove_file(&path).await;
                return Err(match error {
                    BackupError::Stale(error) => NoBackup::Stale(error.to_string()),
                    BackupError::Store(error) => {
                        tracing::error!(%error, "a backup cannot be written");
                        NoBackup::Failed
                    }
                });
            }
            let file = fs::File::open(&path).await.map_err(failed)?;
            // An open file is read on without a name, and is gone with whoever reads it.
            fs::remove_file(&path).await.map_err(failed)?;
            Ok(Backup { file })
        }
        .boxed()
    }
}
