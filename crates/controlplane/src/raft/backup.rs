//! Backups while serving. The file and its restoring are `raft-store`'s matter ([`aegis_raft_store::backup`]).

use std::path::Path;
use std::time::Duration;

use aegis_raft_store::snapshot::Head;
use aegis_raft_store::store::StoreHandle;
use aegis_raft_store::tables::StoreError;

use super::node::RaftNode;
use super::read::ReadError;

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// This node cannot tell whether its state is the cluster's.
    #[error("the state of this node may be old: {0}")]
    Stale(#[from] ReadError),
    /// The file cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes a backup to a new file at `path`: it holds everything that was acknowledged before the call. Any node can make
/// one, and goes on serving meanwhile. Restored, it is a cluster of one node in a new history:
/// [`aegis_raft_store::backup::restore`], and then [`super::replicate`] tells the state.
///
/// # Errors
/// [`BackupError`]; nothing usable is at `path` then.
pub async fn backup(
    node: &RaftNode,
    store: &StoreHandle,
    path: &Path,
    within: Duration,
) -> Result<Head, BackupError> {
    node.linearize(within).await?;
    let head = store.write_backup(path).await?;
    let index = head.last_log_id.map_or(0, |id| id.index);
    tracing::info!(path = %path.display(), index, history = head.history, "a backup was written");
    Ok(head)
}
