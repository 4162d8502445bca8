//! The cluster's keys: list, rotate, retire.

use aegis_proto::admin::{Key, KeyList, ListRequest, RetireKeyRequest, RotateKeyRequest, RotatedKey};
use aegis_proto::control as rows;
use aegis_raft_store::tables::StateRead;

use super::row;
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::{Problem, form};
use crate::keys::{KeyKind, SigningKey, keyring};
use crate::state::keys;
use crate::state::page::PageQuery;

/// The keys, by id, without their private parts.
pub(crate) async fn list(caller: &Caller, request: ListRequest) -> Result<KeyList, Problem> {
    let query = form::page(request.limit, &request.cursor)?;
    let state = caller.reads(Read::Cluster).await?;
    let (items, next) = form::listed(keys::keys(&state, &query)?, shown);
    Ok(KeyList { items, next })
}

/// Adds a new key, which signs from then on, and retires those before. What they signed stays good.
///
/// A repetition under the same idempotency key finds the key that was added, and goes on from there.
pub(crate) async fn rotate(caller: &Caller, request: RotateKeyRequest) -> Result<RotatedKey, Problem> {
    let admin = caller.admin();
    let kind = read_kind(&request.kind)?;
    let cluster = keyring::cluster_id(&admin.control().view()?)?;
    let add = {
        let mut randomness = admin.randomness();
        let new = SigningKey::generate(&mut randomness);
        keyring::add_key(admin.cluster_keys(), &cluster, kind, &new, &mut randomness)
    };
    let added = row!(caller.write("RotateKey", &request, add).await?, Key)?;
    let replaced = replaced(&caller.reads(Read::Cluster).await?, &added)?;
    for key in replaced.iter().filter(|key| keys::may_sign(key)) {
        caller.write_also(rows::RetireKey { id: key.id.clone(), revoke: false }).await?;
    }
    let retired = replaced.into_iter().map(|key| key.id).collect();
    Ok(RotatedKey { key: Some(shown(added)), retired })
}

/// Retires a key, and if wanted revokes what it signed.
pub(crate) async fn retire(caller: &Caller, request: RetireKeyRequest) -> Result<Key, Problem> {
    let command = rows::RetireKey { id: request.id.clone(), revoke: request.revoke };
    row!(caller.write("RetireKey", &request, command).await?, Key).map(shown)
}

/// The keys of the same kind that `added` takes the place of, by id: those that may sign, and those that an earlier attempt
/// of the same rotation has retired.
fn replaced(state: &impl StateRead, added: &rows::Key) -> Result<Vec<rows::Key>, Problem> {
    let all = keys::keys(state, &PageQuery::first())?.rows.into_iter();
    let older = all.filter(|key| key.kind == added.kind && key.id != added.id);
    let older = older.filter(|key| key.created_ms <= added.created_ms);
    Ok(older.filter(|key| keys::may_sign(key) || key.retired_ms >= added.created_ms).collect())
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
