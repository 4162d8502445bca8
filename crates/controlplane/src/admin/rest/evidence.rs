//! `/audit`: the control log as evidence.

use aegis_proto::admin::{
    ControlCheckpoint, ControlEntryList, ControlProof, GetControlCheckpointRequest, GetControlEntriesRequest,
    JournalList, ProveControlLogRequest,
};

use super::call::Call;
use super::reply::{self, Answer};
use crate::admin::service::evidence;

/// Sign a checkpoint of the control log
///
/// As it is now, by this cluster; and the newest that outside witnesses have cosigned. Role `auditor` or `admin` on `*`.
#[utoipa::path(get, path = "/audit/checkpoint", tag = "records", operation_id = "GetControlCheckpoint",
    params(("history" = Option<u64>, Query, description = "Of which history; otherwise the present one")),
    responses((status = 200, description = "How far the control log is", body = ControlCheckpoint)))]
pub(super) async fn checkpoint(mut call: Call) -> Answer {
    let query = call.query(&["history"])?;
    call.no_body().await?;
    let request = GetControlCheckpointRequest { history: query.number("history")?.unwrap_or_default() };
    reply::ok(&evidence::checkpoint(&call.caller, request).await?)
}

/// Read the control log
///
/// The oldest first, as they were hashed; of one whose text was forgotten, its kind and digest. Role `auditor` or `admin` on `*`.
#[utoipa::path(get, path = "/audit/entries", tag = "records", operation_id = "GetControlEntries",
    params(
        ("first" = Option<u64>, Query, description = "The index of the first one that is wanted; otherwise 0"),
        ("limit" = Option<u32>, Query, description = "How many at most, up to 1000"),
        ("history" = Option<u64>, Query, description = "Of which history; otherwise the present one"),
    ),
    responses((status = 200, description = "Some entries", body = ControlEntryList)))]
pub(super) async fn entries(mut call: Call) -> Answer {
    let query = call.query(&["first", "limit", "history"])?;
    call.no_body().await?;
    let request = GetControlEntriesRequest {
        first: query.number("first")?.unwrap_or_default(),
        limit: query.number("limit")?.unwrap_or_default(),
        history: query.number("history")?.unwrap_or_default(),
    };
    reply::ok(&evidence::entries(&call.caller, request).await?)
}

/// Prove something of the control log
///
/// With `index` that this entry is in it, with `old` that it grew from that size. Role `auditor` or `admin` on `*`.
#[utoipa::path(get, path = "/audit/proof", tag = "records", operation_id = "ProveControlLog",
    params(
        ("index" = Option<u64>, Query, description = "The entry that is in the log"),
        ("old" = Option<u64>, Query, description = "The size from which the log grew"),
        ("size" = Option<u64>, Query, description = "The size of the log in the proof; otherwise that of now"),
        ("history" = Option<u64>, Query, description = "Of which history; otherwise the present one"),
    ),
    responses((status = 200, description = "The proof", body = ControlProof)))]
pub(super) async fn prove(mut call: Call) -> Answer {
    let query = call.query(&["index", "old", "size", "history"])?;
    call.no_body().await?;
    let request = ProveControlLogRequest {
        index: query.number("index")?,
        old: query.number("old")?,
        size: query.number("size")?.unwrap_or_default(),
        history: query.number("history")?.unwrap_or_default(),
    };
    reply::ok(&evidence::prove(&call.caller, request).await?)
}

/// List the audit logs of data nodes
///
/// One per life of a data node, with its key and the newest checkpoint that was accepted. Role `auditor` or `admin` on `*`.
#[utoipa::path(get, path = "/audit/journals", tag = "records", operation_id = "ListJournals",
    params(
        ("limit" = Option<u32>, Query, description = "How many rows at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page of logs", body = JournalList)))]
pub(super) async fn journals(mut call: Call) -> Answer {
    let request = call.list().await?;
    reply::ok(&evidence::journals(&call.caller, request).await?)
}
