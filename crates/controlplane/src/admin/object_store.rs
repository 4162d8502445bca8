//! How far the object store is, as the admin API shows it on any node.

use std::time::Duration;

use aegis_model::caps;
use aegis_proto::v1;
use futures_util::future::{BoxFuture, FutureExt};

use crate::raft::node::RaftNode;
use crate::raft::object_store::NotTold;

/// What is known of the object store. The leader's word in a cluster; a fixed one in tests.
pub trait ObjectStore: Send + Sync + 'static {
    /// How far the store is; nothing where none is kept.
    fn status(&self) -> BoxFuture<'_, Result<Option<v1::RaftObjectStore>, NotTold>>;
}

impl ObjectStore for RaftNode {
    fn status(&self) -> BoxFuture<'_, Result<Option<v1::RaftObjectStore>, NotTold>> {
        self.object_store_at_leader(Duration::from_millis(caps::OBJECT_STORE_ASK_MS)).boxed()
    }
}
