//! `/keys`.

use aegis_proto::admin::{
    Key, KeyList, RetireKeyRequest, RewrapKeysRequest, RewrappedKeys, RotateKeyRequest, RotatedKey,
};

use super::call::Call;
use super::reply::{self, Answer};
use crate::admin::service::keys;

/// List the cluster's keys
///
/// Without their private parts. Any role on `*`.
#[utoipa::path(get, path = "/keys", tag = "keys", operation_id = "ListKeys",
    params(
        ("limit" = Option<u32>, Query, description = "How many rows at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page of keys", body = KeyList)))]
pub(super) async fn list(mut call: Call) -> Answer {
    let request = call.list().await?;
    reply::ok(&keys::list(&call.caller, request).await?)
}

/// Replace a key that signs
///
/// What the one before has signed stays good. Role `admin` on `*`.
#[utoipa::path(post, path = "/keys/rotate", tag = "keys", operation_id = "RotateKey",
    request_body = RotateKeyRequest,
    responses((status = 200, description = "The new key", body = RotatedKey)))]
pub(super) async fn rotate(mut call: Call) -> Answer {
    let request: RotateKeyRequest = call.body().await?;
    reply::done(&call.caller, &keys::rotate(&call.caller, request).await?)
}

/// Wrap private keys anew
///
/// Under the cluster key that the node wraps with, the first of its `cluster_keys`; afterwards no private key needs an older one.
/// Role `admin` on `*`.
#[utoipa::path(post, path = "/keys/rewrap", tag = "keys", operation_id = "RewrapKeys",
    responses((status = 200, description = "What was wrapped anew", body = RewrappedKeys)))]
pub(super) async fn rewrap(mut call: Call) -> Answer {
    call.plain().await?;
    reply::done(&call.caller, &keys::rewrap(&call.caller, RewrapKeysRequest {}).await?)
}

/// Retire a key
///
/// With `revoke=true` what it signed does not count either. Role `admin` on `*`.
#[utoipa::path(delete, path = "/keys/{id}", tag = "keys", operation_id = "RetireKey",
    params(
        ("id" = String, Path, description = "The id"),
        ("revoke" = Option<bool>, Query, description = "Whether what it signed does not count either"),
    ),
    responses((status = 200, description = "The key as it is now", body = Key)))]
pub(super) async fn retire(mut call: Call) -> Answer {
    let revoke = call.query(&["revoke"])?.flag("revoke")?;
    call.no_body().await?;
    let request = RetireKeyRequest { id: call.path("id"), revoke };
    reply::done(&call.caller, &keys::retire(&call.caller, request).await?)
}
