//! `/state` of a control node: how far its state has come, and the digest of the state there. Nodes of the same history
//! at the same index have the same digest (RAFT-2); whoever reads the page of every node can see that they have.

use aegis_raft_store::checkpoint::Checkpoint;
use aegis_raft_store::store::StoreHandle;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;

use super::Parts;
use crate::admin::form;

/// What the page shows.
#[derive(Debug, Serialize, PartialEq, Eq)]
struct StatePage {
    /// The node's id, as in the list of members.
    node: String,
    /// Its name.
    name: String,
    /// The history of the cluster; 0 before it was made.
    history: u64,
    /// The index of the newest entry that the node has applied.
    applied_index: u64,
    /// The log time at that entry, in milliseconds since 1970.
    log_time_ms: u64,
    /// The digest of the state with exactly that entry: 64 hexadecimal digits.
    state_digest: String,
    /// The same at the last entries and at agreed ones before them, the oldest first: some of them are other nodes', too.
    checkpoints: Vec<Point>,
}

/// The digest of the state after one entry.
#[derive(Debug, Serialize, PartialEq, Eq)]
struct Point {
    history: u64,
    index: u64,
    digest: String,
}

impl From<Checkpoint> for Point {
    fn from(checkpoint: Checkpoint) -> Self {
        let Checkpoint { history, index, digest } = checkpoint;
        Self { history, index, digest: digest.to_string() }
    }
}

/// `GET /state`.
pub(super) fn answer(parts: &Parts, store: &StoreHandle) -> Response {
    // One look, so that index and digest belong together.
    let applied = *parts.control.applied().borrow();
    let page = StatePage {
        node: form::node_id(parts.raft.status().node),
        name: parts.me.name.clone(),
        history: applied.history,
        applied_index: applied.index,
        log_time_ms: applied.log_time_ms,
        state_digest: applied.digest.to_string(),
        checkpoints: store.checkpoints().into_iter().map(Point::from).collect(),
    };
    let body = serde_json::to_vec(&page).expect("texts and numbers are JSON");
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], Body::from(body)).into_response()
}
