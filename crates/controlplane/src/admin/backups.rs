//! Backups of the whole state, as the admin API hands them out.

use std::io;

use aegis_model::caps;
use bytes::{Bytes, BytesMut};
use futures_util::future::{BoxFuture, FutureExt, ready};
use futures_util::{Stream, stream};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

/// Takes backups. The storage of a node; a fixed text in tests.
pub trait Backups: Send + Sync + 'static {
    /// A backup of everything that was acknowledged before the call, open for reading. Nothing of it stays behind when it
    /// is dropped.
    fn take(&self) -> BoxFuture<'_, Result<Backup, NoBackup>>;
}

/// A backup that was taken.
#[derive(Debug)]
pub struct Backup {
    /// The open file, at its beginning.
    pub file: File,
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoBackup {
    /// This node cannot tell whether its state is the cluster's.
    #[error("{0}")]
    Stale(String),
    /// It cannot be written; why stands in the log.
    #[error("the backup cannot be written")]
    Failed,
}

impl Backup {
    /// Its bytes, in order.
    pub(crate) fn pieces(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::try_unfold(self.file, |mut file| async move {
            let mut piece = BytesMut::with_capacity(caps::SNAPSHOT_CHUNK_BYTES);
            let read = file.read_buf(&mut piece).await?;
            Ok((read > 0).then(|| (piece.freeze(), file)))
        })
    }
}

/// There is nothing to take a backup of: for a control node whose state is in memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoBackups;

impl Backups for NoBackups {
    fn take(&self) -> BoxFuture<'_, Result<Backup, NoBackup>> {
        ready(Err(NoBackup::Failed)).boxed()
    }
}
