//! The cluster's keys: list, rotate, retire.

use aegis_proto::admin::{Key, KeyList, ListRequest, RetireKeyRequest, RotateKeyRequest, RotatedKey};
use aegis_proto::control as rows;

use super::row;
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::{Problem, form};
use crate::keys::{KeyKind, keyring};
use crate::state::keys;

/// The keys, by id, without their private parts.
pub(crate) async fn list(caller: &Caller, request: ListRequest) -> Result<KeyList, Problem> {
    let query = form::page(request.limit, &request.cursor)?;
    let state = caller.reads(Read::Cluster).await?;
    let (items, next) = form::listed(keys::keys(&state, &query)?, shown);
    Ok(KeyList { items, next })
}

/// Puts a new key, which signs from then on, in the place of those before. What they signed stays good.
pub(crate) async fn rotate(caller: &Caller, request: RotateKeyRequest) -> Result<RotatedKey, Problem> {
    let admin = caller.admin();
    let kind = read_kind(&request.kind)?;
    let command = {
        let mut randomness = admin.randomness();
        keyring::rotation(&admin.control().view()?, admin.cluster_keys(), kind, &mut randomness)?
    };
    let mut rows = row!(caller.write("RotateKey", &request, command).await?, Keys)?.rows.into_iter();
    let new = rows.next().map(shown);
    Ok(RotatedKey { key: new, retired: rows.map(|key| key.id).collect() })
}

/// Retires a key, and if wanted revokes what it signed.
pub(crate) async fn retire(caller: &Caller, request: RetireKeyRequest) -> Result<Key, Problem> {
    let command = rows::RetireKey { id: request.id.clone(), revoke: request.revoke };
    row!(caller.write("RetireKey", &request, command).await?, Key).map(shown)
}

fn read_kind(text: &str) -> Result<KeyKind, Problem> {
    let kind = KeyKind::ALL.into_iter().find(|kind| kind.as_str() == text);
    kind.ok_or_else(|| Problem::invalid("kind", "`manifest`, `agent-token` or `person-token`"))
}

fn shown(row: rows::Key) -> Key {
    let kind = KeyKind::try_from(row.kind()).map_or("", KeyKind::as_str);
    Key {
        id: row.id,
        kind: kind.to_owned(),
        public_key: form::public_key(&row.public_key),
        created_at: form::time(row.created_ms),
        retired_at: form::maybe_time(row.retired_ms),
        revoked_at: form::maybe_time(row.revoked_ms),
    }
}
