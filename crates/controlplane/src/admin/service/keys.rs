//! The cluster's keys: list, rotate, wrap anew, retire.

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::admin::{
    Key, KeyList, ListRequest, RetireKeyRequest, RewrapKeysRequest, RewrappedKeys, RotateKeyRequest,
    RotatedKey,
};
use aegis_proto::control as rows;

use super::row;
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::{Problem, form};
use crate::command::Code;
use crate::keys::{self, KeyKind, keyring, wrap};
use crate::state::page::PageQuery;
use crate::state::{keys as key_rows, tenants};

/// The keys, by id, without their private parts.
pub(crate) async fn list(caller: &Caller, request: ListRequest) -> Result<KeyList, Problem> {
    let query = form::page(request.limit, &request.cursor)?;
    let state = caller.reads(Read::Cluster).await?;
    let (items, next) = form::listed(key_rows::keys(&state, &query)?, |row| {
        let cluster_key = wrap::cluster_key_of(&row.wrapped_private_key).ok().map(|id| id.to_string());
        Key { cluster_key, ..shown(row) }
    });
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

/// Wraps every private key under the cluster key that this node wraps with.
pub(crate) async fn rewrap(caller: &Caller, request: RewrapKeysRequest) -> Result<RewrappedKeys, Problem> {
    let admin = caller.admin();
    let mut attempts = 1..=caps::REWRAP_ATTEMPTS_MAX;
    loop {
        attempts.next();
        // The newest state: a key that another node has added a moment ago has to be among them.
        let state = admin.control().read().await?;
        let command = keyring::rewrapping(&state, admin.cluster_keys(), &mut admin.randomness())?;
        match caller.write("RewrapKeys", &request, command).await {
            // Keys were rotated or retired in between.
            Err(problem) if is_overtaken(&problem) && !attempts.is_empty() => {}
            written => {
                let rows = row!(written?, Keys)?.rows;
                let cluster_key = admin.cluster_keys().active().id().to_string();
                let mut rewrapped: Vec<String> = rows.into_iter().map(|key| key.id).collect();
                rewrapped.extend(rewrap_tenants(caller).await?);
                return Ok(RewrappedKeys { cluster_key, rewrapped });
            }
        }
    }
}

/// Wraps the secret keys of every tenant anew, one tenant after the other: what was wrapped anew. What a crash leaves under an older
/// cluster key is found by the next call.
async fn rewrap_tenants(caller: &Caller) -> Result<Vec<String>, Problem> {
    let admin = caller.admin();
    let mut rewrapped = Vec::new();
    let mut query = PageQuery::first();
    loop {
        let page = tenants::tenants(&admin.control().view()?, &query)?;
        for row in &page.rows {
            rewrapped.extend(rewrap_tenant(caller, &form::tenant(&row.name)?).await?);
        }
        match page.next {
            Some(next) => query = query.after(next),
            None => return Ok(rewrapped),
        }
    }
}

async fn rewrap_tenant(caller: &Caller, tenant: &TenantId) -> Result<Vec<String>, Problem> {
    let admin = caller.admin();
    let mut attempts = 1..=caps::REWRAP_ATTEMPTS_MAX;
    loop {
        attempts.next();
        let wanted = {
            let state = admin.control().read().await?;
            let mut randomness = admin.randomness();
            keys::tenant_keys_rewrapping(&state, admin.cluster_keys(), tenant, &mut randomness)?
        };
        let Some((command, versions)) = wanted else { return Ok(Vec::new()) };
        // Without the caller's idempotency key, which stands for the whole: done again, there is nothing left to do.
        match admin.control().propose(command, caller.actor()).await.map_err(Problem::from) {
            Err(problem) if is_overtaken(&problem) && !attempts.is_empty() => {}
            Err(problem) => return Err(problem),
            Ok(_done) => return Ok(versions.iter().map(|version| format!("{tenant}/{version}")).collect()),
        }
    }
}

fn is_overtaken(problem: &Problem) -> bool {
    [Code::PreconditionFailed, Code::KeyRetired].iter().any(|code| problem.code == (*code).into())
}

/// Retires a key, and if wanted revokes what it signed.
pub(crate) async fn retire(caller: &Caller, request: RetireKeyRequest) -> Result<Key, Problem> {
    let command = rows::RetireKey { id: request.id.clone(), revoke: request.revoke };
    row!(caller.write("RetireKey", &request, command).await?, Key).map(shown)
}

fn read_kind(text: &str) -> Result<KeyKind, Problem> {
    let kind = KeyKind::ALL.into_iter().find(|kind| kind.as_str() == text);
    kind.ok_or_else(|| Problem::invalid("kind", "`manifest`, `agent-token`, `person-token` or `control-log`"))
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
        signs_from: form::maybe_time(row.signs_from_ms),
        cluster_key: None,
    }
}
