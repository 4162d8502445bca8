//! `/cluster`.

use aegis_proto::admin::{
    AddMemberRequest, ClusterMember, ClusterStatus, GetClusterRequest, GetObjectStoreRequest,
    GetShardsRequest, NodeRequest, ObjectStoreStatus, RaiseLevelRequest, Shards, TakeSnapshotRequest,
};
use axum::body::Body;
use http::StatusCode;

use super::call::Call;
use super::reply::{self, Answer};
use crate::admin::service::{cluster, object_store, shards as shard_map, snapshot};

/// Show the cluster
///
/// Who leads, who belongs to it, how far this node is. Answered without a leader, too. Any role on `*`.
#[utoipa::path(get, path = "/cluster", tag = "cluster", operation_id = "GetCluster",
    responses((status = 200, description = "The cluster", body = ClusterStatus)))]
pub(super) async fn get(mut call: Call) -> Answer {
    call.plain().await?;
    reply::ok(&cluster::get(&call.caller, GetClusterRequest {}).await?)
}

/// Show how far the object store is
///
/// As the leader says, which keeps it. Any role on `*`.
#[utoipa::path(get, path = "/cluster/object-store", tag = "cluster", operation_id = "GetObjectStore",
    responses((status = 200, description = "How far it is", body = ObjectStoreStatus)))]
pub(super) async fn object_store(mut call: Call) -> Answer {
    call.plain().await?;
    reply::ok(&object_store::get(&call.caller, GetObjectStoreRequest {}).await?)
}

/// Show which data nodes own slots
///
/// A slot is one of 1,024 parts of all agents. Any role on `*`.
#[utoipa::path(get, path = "/cluster/shards", tag = "cluster", operation_id = "GetShards",
    responses((status = 200, description = "The shard map", body = Shards)))]
pub(super) async fn shards(mut call: Call) -> Answer {
    call.plain().await?;
    reply::ok(&shard_map::get(&call.caller, GetShardsRequest {}).await?)
}

/// Let a control node join
///
/// It has to run at that address, with an empty data folder. Role `admin` on `*`.
#[utoipa::path(post, path = "/cluster/members", tag = "cluster", operation_id = "AddMember",
    request_body = AddMemberRequest,
    responses((status = 201, description = "The control node", body = ClusterMember)))]
pub(super) async fn add_member(mut call: Call) -> Answer {
    let request: AddMemberRequest = call.body().await?;
    reply::created(&call.caller, &cluster::add_member(&call.caller, request).await?)
}

/// Make a control node a voter
///
/// Once it has caught up. Role `admin` on `*`.
#[utoipa::path(post, path = "/cluster/members/{id}/promote", tag = "cluster", operation_id = "PromoteMember",
    params(
        ("id" = String, Path, description = "The id"),
    ),
    responses((status = 200, description = "The control node", body = ClusterMember)))]
pub(super) async fn promote_member(mut call: Call) -> Answer {
    call.plain().await?;
    let request = NodeRequest { id: call.path("id") };
    reply::done(&call.caller, &cluster::promote_member(&call.caller, request).await?)
}

/// Remove a control node for good
///
/// Its id never comes back. Role `admin` on `*`.
#[utoipa::path(delete, path = "/cluster/members/{id}", tag = "cluster", operation_id = "RemoveMember",
    params(
        ("id" = String, Path, description = "The id"),
    ),
    responses((status = 200, description = "The control node as it is now", body = ClusterMember)))]
pub(super) async fn remove_member(mut call: Call) -> Answer {
    call.plain().await?;
    let request = NodeRequest { id: call.path("id") };
    reply::done(&call.caller, &cluster::remove_member(&call.caller, request).await?)
}

/// Take a backup
///
/// Of the whole state, as of now. It holds private keys only wrapped. Recorded. Role `admin` on `*`.
#[utoipa::path(post, path = "/cluster/snapshot", tag = "cluster", operation_id = "TakeSnapshot",
    responses((status = 200, description = "The backup", body = String, content_type = "application/octet-stream")))]
pub(super) async fn take_snapshot(mut call: Call) -> Answer {
    call.plain().await?;
    let backup = snapshot::take(&call.caller, TakeSnapshotRequest {}).await?;
    let response =
        reply::with_type(StatusCode::OK, "application/octet-stream", Body::from_stream(backup.pieces()));
    Ok(reply::noted(response, &call.caller))
}

/// Raise the cluster's level
///
/// Once every member understands it; newer commands can be used then. Role `admin` on `*`.
#[utoipa::path(post, path = "/cluster/level", tag = "cluster", operation_id = "RaiseLevel",
    request_body = RaiseLevelRequest,
    responses((status = 200, description = "The cluster", body = ClusterStatus)))]
pub(super) async fn raise_level(mut call: Call) -> Answer {
    let request: RaiseLevelRequest = call.body().await?;
    reply::done(&call.caller, &cluster::raise_level(&call.caller, request).await?)
}
