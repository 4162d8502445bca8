//! From the state's rows to keys that sign and verify.
//!
//! Nothing is kept: a key is unwrapped when it signs, and wiped after. What a key signed before it was retired stays good;
//! what a revoked one signed does not ([`crate::state::keys`]).

use aegis_identity::keys::{SigningKey, VerifyingKey};
use aegis_identity::manifest::{ManifestRefusal, ManifestTrust};
use aegis_identity::mint::Minter;
use aegis_identity::trust::{Issuer, Trust, TrustError, TrustedKey};
use aegis_model::ids::ClusterId;
use aegis_proto::control::{AddKey, Key, RewrapKey, RewrapKeys, RotateKey};
use aegis_raft_store::tables::{StateRead, StoreError};
use rand::CryptoRng;
use sha2::{Digest, Sha256};

use super::{ClusterKeys, KeyKind, Owner, UnwrapError};
use crate::state::page::PageQuery;
use crate::state::{keys, meta};

/// Why the cluster's keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The cluster was not made yet.
    #[error("the cluster was not made yet")]
    NoCluster,
    /// No key of this kind may sign.
    #[error("the cluster has no {0} key that may sign")]
    NoKey(KeyKind),
    /// The key that would sign cannot be unwrapped here.
    #[error("the {kind} key `{id}` cannot be used: {error}")]
    Unwrap {
        /// What it signs.
        kind: KeyKind,
        /// Its id.
        id: String,
        /// Why.
        error: UnwrapError,
    },
    /// A secret key of a tenant cannot be unwrapped here.
    #[error("version {version} of the secret key of tenant `{tenant}` cannot be used: {error}")]
    UnwrapTenant {
        /// Whose it is.
        tenant: String,
        /// Its version.
        version: u32,
        /// Why.
        error: UnwrapError,
    },
    /// A row holds no key, or the cluster's id no id.
    #[error("the state holds `{0}`, which is no key of this cluster")]
    Row(String),
    /// There are too many manifest keys.
    #[error(transparent)]
    Manifest(#[from] ManifestRefusal),
    /// There are too many token keys.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The cluster's id.
///
/// # Errors
/// [`KeysError::NoCluster`], or the storage failed.
pub fn cluster_id(state: &impl StateRead) -> Result<ClusterId, KeysError> {
    let cluster = meta::cluster(state)?.ok_or(KeysError::NoCluster)?;
    cluster.id.parse().map_err(|_withheld| KeysError::Row(cluster.id.clone()))
}

/// The key that signs things of this kind now, unwrapped.
///
/// # Errors
/// [`KeysError`]
pub fn signing_key(
    state: &impl StateRead,
    cluster_keys: &ClusterKeys,
    kind: KeyKind,
) -> Result<SigningKey, KeysError> {
    let row = keys::signing(state, kind.into())?.ok_or(KeysError::NoKey(kind))?;
    let owner = owner(state, &row, kind)?;
    cluster_keys.unwrap(&owner, &row.wrapped_private_key).map_err(|error| KeysError::Unwrap {
        kind,
        id: row.id.clone(),
        error,
    })
}

/// The key that signs checkpoints of the control log of `history`, unwrapped.
///
/// # Errors
/// [`KeysError`]
pub fn control_log_key(
    state: &impl StateRead,
    cluster_keys: &ClusterKeys,
    history: u64,
) -> Result<aegis_audit::keys::SigningKey, KeysError> {
    let key = signing_key(state, cluster_keys, KeyKind::ControlLog)?;
    let name = aegis_audit::control::origin(&cluster_id(state)?, history);
    Ok(aegis_audit::keys::SigningKey::from_seed(name, aegis_audit::keys::KeyKind::Note, &key.to_seed()))
}

/// The public keys whose signatures of the control log of `history` count, as verifier keys: one that was rotated away still does.
///
/// # Errors
/// [`KeysError`]
pub fn control_log_verifiers(
    state: &impl StateRead,
    history: u64,
) -> Result<Vec<aegis_audit::keys::VerifyingKey>, KeysError> {
    let name = aegis_audit::control::origin(&cluster_id(state)?, history);
    let all = verifying_keys(state, KeyKind::ControlLog)?;
    let named = all.iter().map(|key| {
        let kind = aegis_audit::keys::KeyKind::Note;
        let read = aegis_audit::keys::VerifyingKey::from_bytes(name.clone(), kind, key.as_bytes());
        read.map_err(|_withheld| KeysError::Row(key.id().to_string()))
    });
    named.collect()
}

/// Mints tokens of this kind as the cluster.
///
/// # Errors
/// [`KeysError`]
pub fn minter(
    state: &impl StateRead,
    cluster_keys: &ClusterKeys,
    kind: KeyKind,
) -> Result<Minter, KeysError> {
    Ok(Minter::new(signing_key(state, cluster_keys, kind)?, issuer(state)?))
}

/// Whose manifests count: those of every key that was not revoked.
///
/// # Errors
/// [`KeysError`]
pub fn manifest_trust(state: &impl StateRead) -> Result<ManifestTrust, KeysError> {
    Ok(ManifestTrust::new(cluster_id(state)?, verifying_keys(state, KeyKind::Manifest)?)?)
}

/// Whose tokens of this kind count, issued by the cluster. Only keys of this kind are in it: a token of one kind never
/// opens the door of another, whatever it says.
///
/// # Errors
/// [`KeysError`]
pub fn token_trust(state: &impl StateRead, kind: KeyKind) -> Result<Trust, KeysError> {
    let issuer = issuer(state)?;
    let keys = verifying_keys(state, kind)?;
    Ok(Trust::new(keys.into_iter().map(|key| TrustedKey { issuer: issuer.clone(), key }))?)
}

/// Every key of this kind whose signatures count.
///
/// # Errors
/// [`KeysError`]
pub fn verifying_keys(state: &impl StateRead, kind: KeyKind) -> Result<Vec<VerifyingKey>, KeysError> {
    let rows = keys::keys(state, &PageQuery::first())?.rows;
    let wanted = rows.iter().filter(|row| row.kind() == kind.into() && keys::may_verify(row));
    wanted.map(verifying_key).collect()
}

/// The commands that add one new key of each kind: what a cluster begins with (`InitCluster::keys`).
pub fn first_keys(
    cluster_keys: &ClusterKeys,
    cluster: &ClusterId,
    randomness: &mut (impl CryptoRng + ?Sized),
) -> Vec<AddKey> {
    let mut add = |kind| {
        let key = SigningKey::generate(randomness);
        add_key(cluster_keys, cluster, kind, &key, randomness)
    };
    KeyKind::ALL.into_iter().map(&mut add).collect()
}

/// The command that adds `key`: how a cluster gets its first keys, and a new one in a [`rotation`].
pub fn add_key(
    cluster_keys: &ClusterKeys,
    cluster: &ClusterId,
    kind: KeyKind,
    key: &SigningKey,
    randomness: &mut (impl CryptoRng + ?Sized),
) -> AddKey {
    AddKey {
        kind: aegis_proto::control::KeyKind::from(kind).into(),
        public_key: key.verifying_key().as_bytes().to_vec(),
        wrapped_private_key: cluster_keys.wrap(cluster, kind, key, randomness),
    }
}

/// The command that rotates: a new key, which signs from then on, in the place of those before. What they signed stays
/// good.
///
/// # Errors
/// [`KeysError`]
pub fn rotation(
    state: &impl StateRead,
    cluster_keys: &ClusterKeys,
    kind: KeyKind,
    randomness: &mut (impl CryptoRng + ?Sized),
) -> Result<RotateKey, KeysError> {
    let new = SigningKey::generate(randomness);
    Ok(RotateKey { key: Some(add_key(cluster_keys, &cluster_id(state)?, kind, &new, randomness)) })
}

/// The command after which every private key is wrapped under the active cluster key; without keys if all are. After it, an older cluster key is of no more use to this state, but still opens older backups.
///
/// # Errors
/// [`KeysError`]
pub fn rewrapping(
    state: &impl StateRead,
    cluster_keys: &ClusterKeys,
    randomness: &mut (impl CryptoRng + ?Sized),
) -> Result<RewrapKeys, KeysError> {
    let mut commands = Vec::new();
    for row in keys::keys(state, &PageQuery::first())?.rows.into_iter().filter(keys::may_sign) {
        let kind = KeyKind::try_from(row.kind()).map_err(|()| KeysError::Row(row.id.clone()))?;
        let owner = owner(state, &row, kind)?;
        let new = cluster_keys
            .rewrap(&owner, &row.wrapped_private_key, randomness)
            .map_err(|error| KeysError::Unwrap { kind, id: row.id.clone(), error })?;
        if let Some(wrapped_private_key) = new {
            let replaces = Sha256::digest(&row.wrapped_private_key).to_vec();
            commands.push(RewrapKey { id: row.id, replaces, wrapped_private_key });
        }
    }
    Ok(RewrapKeys { keys: commands })
}

fn issuer(state: &impl StateRead) -> Result<Issuer, KeysError> {
    let cluster = cluster_id(state)?;
    cluster.as_str().parse().map_err(KeysError::Trust)
}

fn owner(state: &impl StateRead, row: &Key, kind: KeyKind) -> Result<Owner, KeysError> {
    let key_id = row.id.parse().map_err(|_withheld| KeysError::Row(row.id.clone()))?;
    Ok(Owner { cluster: cluster_id(state)?, key_id, kind })
}

fn verifying_key(row: &Key) -> Result<VerifyingKey, KeysError> {
    let no_key = || KeysError::Row(row.id.clone());
    let bytes = row.public_key.as_slice().try_into().map_err(|_length| no_key())?;
    let key = VerifyingKey::from_bytes(bytes).map_err(|_withheld| no_key())?;
    if key.id().to_string() == row.id { Ok(key) } else { Err(no_key()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aegis_identity::manifest::Manifest;
    use aegis_identity::person::verify_person;
    use aegis_identity::refusal::TokenRefusal;
    use aegis_model::clock::UnixNanos;
    use aegis_proto::control::RetireKey;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::control::Replicate;
    use crate::keys::{ClusterKey, wrap};
    use crate::testing::World;

    fn random(seed: u64) -> StdRng {
        StdRng::seed_from_u64(seed)
    }

    fn signed(world: &World, cluster_keys: &ClusterKeys) -> aegis_identity::manifest::Signed {
        let view = world.direct.view().unwrap();
        let key = signing_key(&view, cluster_keys, KeyKind::Manifest).unwrap();
        let cluster = cluster_id(&view).unwrap();
        Manifest::describe(cluster, "acme".parse().unwrap(), 1, b"bundle", 1, &key).unwrap().sign(&key)
    }

    #[test]
    fn after_a_rotation_the_new_key_signs_and_the_old_signatures_stay_good() {
        let world = World::new();
        let cluster_keys = World::cluster_keys();
        let old = signed(&world, &cluster_keys);
        let view = world.direct.view().unwrap();
        let rotate = rotation(&view, &cluster_keys, KeyKind::Manifest, &mut random(1)).unwrap();
        world.apply(rotate, &World::root()).unwrap();
        let new = signed(&world, &cluster_keys);
        let id = |signed: &aegis_identity::manifest::Signed| {
            Manifest::read_unverified(&signed.bytes).unwrap().key_id
        };
        assert_ne!(id(&new), id(&old));
        let view = world.direct.view().unwrap();
        let trust = manifest_trust(&view).unwrap();
        for signed in [&old, &new] {
            trust.verify(signed, &"acme".parse().unwrap()).unwrap();
        }
        // A revoked one counts no more.
        world.apply(RetireKey { id: id(&old).to_string(), revoke: true }, &World::root()).unwrap();
        let trust = manifest_trust(&world.direct.view().unwrap()).unwrap();
        assert_eq!(trust.verify(&old, &"acme".parse().unwrap()), Err(ManifestRefusal::UnknownKey(id(&old))));
        trust.verify(&new, &"acme".parse().unwrap()).unwrap();
    }

    #[test]
    fn each_kind_of_token_has_keys_of_its_own() {
        let world = World::new();
        let view = world.direct.view().unwrap();
        let now = UnixNanos::from_seconds(1_800_000_000);
        let minter = minter(&view, &World::cluster_keys(), KeyKind::PersonToken).unwrap();
        let minted = minter
            .mint_person(&"root".parse().unwrap(), Duration::from_secs(60), now, &mut random(1))
            .unwrap();
        let trust = |kind| token_trust(&view, kind).unwrap();
        let verify = |kind| verify_person(minted.token.expose(), &trust(kind), now);
        assert_eq!(verify(KeyKind::PersonToken).unwrap().person.as_str(), "root");
        assert_eq!(verify(KeyKind::AgentToken).unwrap_err(), TokenRefusal::UnknownKey);
        assert_eq!(verify(KeyKind::Manifest).unwrap_err(), TokenRefusal::UnknownKey);
    }

    #[test]
    fn a_cluster_key_is_replaced() {
        let world = World::new();
        let seed = Sha256::digest("cluster key").into();
        let old = ClusterKey::generate(&mut StdRng::from_seed(seed));
        assert_eq!(old.id(), World::cluster_keys().active().id());
        let both = ClusterKeys::new(ClusterKey::generate(&mut random(9)), vec![old]);
        let commands = rewrapping(&world.direct.view().unwrap(), &both, &mut random(1)).unwrap();
        assert_eq!(commands.keys.len(), KeyKind::ALL.len());
        world.apply(commands, &World::root()).unwrap();
        let view = world.direct.view().unwrap();
        assert_eq!(rewrapping(&view, &both, &mut random(1)).unwrap().keys, []);
        let new = ClusterKeys::new(ClusterKey::generate(&mut random(9)), Vec::new());
        for kind in KeyKind::ALL {
            signing_key(&view, &new, kind).unwrap();
            let refused = signing_key(&view, &World::cluster_keys(), kind).unwrap_err();
            assert!(matches!(refused, KeysError::Unwrap { .. }), "{refused}");
        }
    }

    #[test]
    fn a_row_that_was_moved_is_refused() {
        let world = World::new();
        let view = world.direct.view().unwrap();
        let manifest = keys::signing(&view, KeyKind::Manifest.into()).unwrap().unwrap();
        // Somebody with the state's file, but without the cluster key, makes the manifest key an agent token key.
        let moved = Key { kind: aegis_proto::control::KeyKind::AgentToken.into(), ..manifest };
        let owner = owner(&view, &moved, KeyKind::AgentToken).unwrap();
        let refused = World::cluster_keys().unwrap(&owner, &moved.wrapped_private_key).unwrap_err();
        assert_eq!(refused, UnwrapError::Refused);
        assert_eq!(wrap::WRAPPED_BYTES, moved.wrapped_private_key.len());
    }

    #[test]
    fn a_cluster_begins_with_a_key_of_each_kind() {
        let world = World::empty();
        let cluster: ClusterId = "c-1".parse().unwrap();
        let keys = first_keys(&World::cluster_keys(), &cluster, &mut random(1));
        let init = aegis_proto::control::InitCluster {
            cluster_id: cluster.to_string(),
            level: crate::command::LEVEL,
            keys,
            admin: "root".to_owned(),
            token_id: "first".to_owned(),
            token_expires_ms: world.now_ms() + 60_000,
        };
        world.done(init, &World::node());
        let ids =
            KeyKind::ALL.map(|kind| signing_key(&world.view(), &World::cluster_keys(), kind).unwrap().id());
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
    }

    #[test]
    fn before_the_cluster_there_are_no_keys() {
        let world = World::empty();
        let view = world.direct.view().unwrap();
        assert!(matches!(manifest_trust(&view), Err(KeysError::NoCluster)));
        let refused = signing_key(&view, &World::cluster_keys(), KeyKind::Manifest).unwrap_err();
        assert!(matches!(refused, KeysError::NoKey(KeyKind::Manifest)));
    }
}
