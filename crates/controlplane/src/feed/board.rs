//! The newest picture of what data nodes have to know, for all followers to compare with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aegis_identity::trust::Issuer;
use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::control::DataNode;
use aegis_proto::v1;
use aegis_raft_store::tables::StoreError;
use tokio::sync::watch;

use super::picture::Picture;
use super::rows::News;
use crate::control::Control;

/// One picture. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Board {
    /// 0: there is no cluster yet.
    pub(super) history: u64,
    pub(super) index: u64,
    /// Applied, so confirmed by a majority.
    pub(super) log_time_ms: u64,
    pub(super) cluster: String,
    /// Grows with everything but index and time.
    pub(super) generation: u64,
    pub(super) trust: Arc<v1::Trust>,
    /// Without an etag: none was ever set.
    pub(super) shards: Arc<v1::ShardMap>,
    pub(super) tenants: Arc<BTreeMap<TenantId, Arc<News>>>,
    pub(super) nodes: Arc<BTreeMap<u64, KnownNode>>,
}

/// What a follower asks of its data node's row.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownNode {
    pub(super) incarnation: u64,
    pub(super) retired: bool,
}

impl From<DataNode> for KnownNode {
    fn from(node: DataNode) -> Self {
        Self { incarnation: node.incarnation, retired: node.retired_ms > 0 }
    }
}

/// Keeps `board` at what is applied. Ends only when the storage fails, or the node does.
pub(super) async fn keep(
    control: &Control,
    board: &watch::Sender<Arc<Board>>,
    issuer: &Issuer,
) -> Result<(), StoreError> {
    let mut applied = control.applied();
    let mut picture = Picture::default();
    loop {
        let at = *applied.borrow_and_update();
        // Reading takes as long as the disk does, the first time through all rows: not on the runtime's threads.
        let (control, issuer) = (control.clone(), issuer.clone());
        let update = move || {
            let updated = control.view().and_then(|view| picture.update(&view, at, &issuer));
            (picture, updated)
        };
        let Ok((kept, updated)) = tokio::task::spawn_blocking(update).await else {
            // Only a panic ends it so, or the runtime; what it was at is begun anew.
            picture = Picture::default();
            continue;
        };
        picture = kept;
        let updated = updated?;
        if updated.history > 0 {
            board.send_replace(Arc::new(updated));
        }
        // Entries that follow each other closely are told together.
        tokio::time::sleep(Duration::from_millis(caps::FEED_PACE_MS)).await;
        if applied.changed().await.is_err() {
            return Ok(());
        }
    }
}
