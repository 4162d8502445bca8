//! The secret keys of tenants: made, wrapped for the state, and unwrapped for data nodes.

use aegis_identity::sealing::SealingKey;
use aegis_model::ids::{ClusterId, TenantId};
use aegis_model::secret::Secret;
use aegis_model::tenant_key::{TENANT_KEY_BYTES, TenantKey, TenantKeys};
use aegis_proto::control::{self as proto, RewrapTenantKeys, RotateTenantKey, WrappedKey};
use aegis_raft_store::tables::StateRead;
use rand::CryptoRng;
use zeroize::Zeroizing;

use super::keyring::{KeysError, cluster_id};
use super::wrap::TenantSecret;
use super::{ClusterKeys, UnwrapError, wrap};
use crate::command::rewrap_tenant_keys;
use crate::state::tenant_keys;

/// Version 1 of the secret key of a tenant that is made.
///
/// # Errors
/// [`KeysError`]
pub fn first_tenant_key(
    state: &impl StateRead,
    cluster_keys: &ClusterKeys,
    tenant: &TenantId,
    randomness: &mut (impl CryptoRng + ?Sized),
) -> Result<WrappedKey, KeysError> {
    new_key(state, cluster_keys, tenant, 1, randomness)
}

/// The command that adds the next version of a tenant's secret key.
///
/// # Errors
/// [`KeysError`]
pub fn tenant_key_rotation(
    state: &impl StateRead,
    cluster_keys: &ClusterKeys,
    tenant: &TenantId,
    randomness: &mut (impl CryptoRng + ?Sized),
) -> Result<RotateTenantKey, KeysError> {
    let version = tenant_keys::newest(&tenant_keys::tenant_keys(state, tenant)?).saturating_add(1);
    let key = new_key(state, cluster_keys, tenant, version, randomness)?;
    Ok(RotateTenantKey { tenant: tenant.to_string(), version, key: Some(key) })
}

/// The command after which every version of a tenant's secret key is wrapped under the active cluster key, with the versions that
/// are not yet; nothing if all are.
///
/// # Errors
/// [`KeysError`]
pub fn tenant_keys_rewrapping(
    state: &impl StateRead,
    cluster_keys: &ClusterKeys,
    tenant: &TenantId,
    randomness: &mut (impl CryptoRng + ?Sized),
) -> Result<Option<(RewrapTenantKeys, Vec<u32>)>, KeysError> {
    let rows = tenant_keys::tenant_keys(state, tenant)?;
    let cluster = cluster_id(state)?;
    let active = cluster_keys.active().id();
    let older: Vec<u32> = rows
        .keys
        .iter()
        .filter(|row| wrap::cluster_key_of(wrapped(row)).ok() != Some(active))
        .map(|row| row.version)
        .collect();
    if older.is_empty() {
        return Ok(None);
    }
    let mut keys = Vec::with_capacity(rows.keys.len());
    for row in &rows.keys {
        let key = unwrapped(state, cluster_keys, tenant, row)?;
        keys.push(WrappedKey { wrapped: cluster_keys.wrap_tenant_key(&cluster, tenant, &key, randomness) });
    }
    let replaces = rewrap_tenant_keys::digest(&rows).to_vec();
    Ok(Some((RewrapTenantKeys { tenant: tenant.to_string(), replaces, keys }, older)))
}

/// The secret keys of a tenant as data nodes get them, each with the public half of its sealing key; nothing if it has none.
///
/// # Errors
/// [`UnwrapError`]
pub fn unwrapped_tenant_keys(
    cluster: &ClusterId,
    cluster_keys: &ClusterKeys,
    tenant: &TenantId,
    rows: &[proto::TenantKey],
) -> Result<Option<TenantKeys>, UnwrapError> {
    if rows.is_empty() {
        return Ok(None);
    }
    let keys = rows
        .iter()
        .map(|row| {
            let secret = cluster_keys.unwrap_tenant_key(cluster, tenant, row.version, wrapped(row))?;
            let public = secret.sealing.map(|sealing| sealing.public()).transpose();
            let public = public.map_err(|_error| UnwrapError::Refused)?;
            Ok(secret.key.with_sealing(public.map(|public| *public.as_bytes())))
        })
        .collect::<Result<_, UnwrapError>>()?;
    TenantKeys::new(keys).map(Some).ok_or(UnwrapError::Form)
}

/// What opens values that were sealed under this version of a tenant's key.
///
/// # Errors
/// [`KeysError`]; nothing if there is no such version, or none with a sealing key.
pub fn sealing_key(
    state: &impl StateRead,
    cluster_keys: &ClusterKeys,
    tenant: &TenantId,
    version: u32,
) -> Result<Option<SealingKey>, KeysError> {
    let rows = tenant_keys::tenant_keys(state, tenant)?.keys;
    let Some(row) = rows.iter().find(|row| row.version == version) else { return Ok(None) };
    Ok(unwrapped(state, cluster_keys, tenant, row)?.sealing)
}

fn new_key(
    state: &impl StateRead,
    cluster_keys: &ClusterKeys,
    tenant: &TenantId,
    version: u32,
    randomness: &mut (impl CryptoRng + ?Sized),
) -> Result<WrappedKey, KeysError> {
    let mut drawn = || {
        let mut bytes = Zeroizing::new([0; TENANT_KEY_BYTES]);
        randomness.fill_bytes(bytes.as_mut_slice());
        Secret::new(*bytes)
    };
    let key = TenantKey::new(version, drawn());
    let secret = TenantSecret { key, sealing: Some(SealingKey::from_bytes(drawn())) };
    Ok(WrappedKey { wrapped: cluster_keys.wrap_tenant_key(&cluster_id(state)?, tenant, &secret, randomness) })
}

fn unwrapped(
    state: &impl StateRead,
    cluster_keys: &ClusterKeys,
    tenant: &TenantId,
    row: &proto::TenantKey,
) -> Result<TenantSecret, KeysError> {
    cluster_keys
        .unwrap_tenant_key(&cluster_id(state)?, tenant, row.version, wrapped(row))
        .map_err(|error| KeysError::UnwrapTenant { tenant: tenant.to_string(), version: row.version, error })
}

fn wrapped(row: &proto::TenantKey) -> &[u8] {
    row.key.as_ref().map_or(&[], |key| &key.wrapped)
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::CreateTenant;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::keys::ClusterKey;
    use crate::testing::World;

    fn random(seed: u64) -> StdRng {
        StdRng::seed_from_u64(seed)
    }

    fn keys(
        world: &World,
        cluster_keys: &ClusterKeys,
        tenant: &TenantId,
    ) -> Result<Option<TenantKeys>, UnwrapError> {
        let rows = tenant_keys::tenant_keys(&world.view(), tenant).unwrap().keys;
        unwrapped_tenant_keys(&World::cluster_id(), cluster_keys, tenant, &rows)
    }

    #[test]
    fn a_tenants_key_rotates_and_old_versions_stay() {
        let world = World::new();
        let tenant: TenantId = "acme".parse().unwrap();
        let cluster_keys = World::cluster_keys();
        world.done(CreateTenant { name: tenant.to_string(), ..Default::default() }, &World::root());
        assert!(keys(&world, &cluster_keys, &tenant).unwrap().is_none());
        for version in 1..=3 {
            let rotation =
                tenant_key_rotation(&world.view(), &cluster_keys, &tenant, &mut random(version)).unwrap();
            world.done(rotation, &World::root());
        }
        let keys = keys(&world, &cluster_keys, &tenant).unwrap().unwrap();
        let versions: Vec<u32> = keys.versions().iter().map(TenantKey::version).collect();
        assert_eq!(versions, [1, 2, 3]);
        assert_ne!(keys.current().expose(), keys.get(1).unwrap().expose());
        for key in keys.versions() {
            let sealing = sealing_key(&world.view(), &cluster_keys, &tenant, key.version()).unwrap().unwrap();
            assert_eq!(key.sealing(), Some(sealing.public().unwrap().as_bytes()));
        }
        assert!(sealing_key(&world.view(), &cluster_keys, &tenant, 9).unwrap().is_none());
    }

    #[test]
    fn a_cluster_key_is_replaced() {
        let world = World::new();
        let tenant = world.tenant("acme");
        let before = keys(&world, &World::cluster_keys(), &tenant).unwrap().unwrap();
        let old = ClusterKey::generate(&mut StdRng::from_seed(Sha256::digest("cluster key").into()));
        let both = ClusterKeys::new(ClusterKey::generate(&mut random(9)), vec![old]);
        let wanted = tenant_keys_rewrapping(&world.view(), &both, &tenant, &mut random(1)).unwrap();
        let (command, older) = wanted.unwrap();
        assert_eq!(older, [1]);
        world.done(command, &World::root());
        assert!(tenant_keys_rewrapping(&world.view(), &both, &tenant, &mut random(1)).unwrap().is_none());
        let new = ClusterKeys::new(ClusterKey::generate(&mut random(9)), Vec::new());
        let after = keys(&world, &new, &tenant).unwrap().unwrap();
        assert_eq!(after.current().expose(), before.current().expose());
        assert!(keys(&world, &World::cluster_keys(), &tenant).is_err());
    }
}
