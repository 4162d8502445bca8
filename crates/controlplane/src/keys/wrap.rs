//! Wrapping a private key under a cluster key: AES-256-GCM, bound to whose key it is.
//!
//! | bytes | |
//! |---|---|
//! | 1 | version of this form: 1 |
//! | 8 | id of the cluster key |
//! | 12 | nonce, random |
//! | 32 + 16 | the seed of the Ed25519 key (RFC 8032), encrypted, and the tag |
//!
//! Associated data: `aegis/wrapped-key/v`, the version, and then cluster id, key id and kind, each with its length before
//! it. Whatever of this differs, unwrapping fails: a row put under another id, another kind or into another cluster is
//! worth nothing.
//!
//! The secret keys of tenants are wrapped in the same form, with `aegis/wrapped-tenant-key/v`, the version of the form, and then
//! cluster id, tenant and version of the key. Version 2 of the form has 64 bytes: the key, and behind it the private half of the
//! [`SealingKey`] of that version. Random nonces collide only after some 2^32 keys wrapped under one cluster key.

use aegis_identity::keys::{KeyId, SigningKey};
use aegis_identity::sealing::{SEALING_KEY_BYTES, SealingKey};
use aegis_model::ids::{ClusterId, TenantId};
use aegis_model::secret::Secret;
use aegis_model::tenant_key::{TENANT_KEY_BYTES, TenantKey};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use rand::CryptoRng;
use zeroize::Zeroizing;

use super::KeyKind;
use super::cluster_key::{ClusterKey, ClusterKeyId, ClusterKeys};

const VERSION: u8 = 1;
/// The form of a tenant's key that has a sealing key behind it.
const WITH_SEALING: u8 = 2;
const SEED_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
const CLUSTER_KEY_ID_BYTES: usize = 8;
const HEAD_BYTES: usize = 1 + CLUSTER_KEY_ID_BYTES + NONCE_LEN;

/// The length of a wrapped key.
pub const WRAPPED_BYTES: usize = HEAD_BYTES + SEED_BYTES + TAG_BYTES;

/// A version of a tenant's secret key, as the control plane has it.
#[derive(Debug, Clone)]
pub struct TenantSecret {
    /// The key, which data nodes get.
    pub key: TenantKey,
    /// What opens values that data nodes sealed: it stays here. Nothing in versions of before there was sealing.
    pub sealing: Option<SealingKey>,
}

/// Whose key it is: what a wrapped key is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The cluster.
    pub cluster: ClusterId,
    /// The id of the key that is wrapped.
    pub key_id: KeyId,
    /// What it signs.
    pub kind: KeyKind,
}

impl ClusterKeys {
    /// Wraps `key` under the active cluster key, for the state of `cluster`.
    pub fn wrap(
        &self,
        cluster: &ClusterId,
        kind: KeyKind,
        key: &SigningKey,
        randomness: &mut (impl CryptoRng + ?Sized),
    ) -> Vec<u8> {
        let owner = Owner { cluster: cluster.clone(), key_id: key.id(), kind };
        let data = associated_data(&owner);
        seal(self.active(), VERSION, &data, key.to_seed().expose(), randomness)
    }

    /// Wraps a version of a tenant's secret key under the active cluster key, for the state of `cluster`.
    pub fn wrap_tenant_key(
        &self,
        cluster: &ClusterId,
        tenant: &TenantId,
        secret: &TenantSecret,
        randomness: &mut (impl CryptoRng + ?Sized),
    ) -> Vec<u8> {
        let TenantSecret { key, sealing } = secret;
        let form = if sealing.is_some() { WITH_SEALING } else { VERSION };
        let mut plain = Zeroizing::new(Vec::with_capacity(TENANT_KEY_BYTES + SEALING_KEY_BYTES));
        plain.extend_from_slice(key.expose());
        plain.extend(sealing.iter().flat_map(|sealing| sealing.expose().expose()));
        let data = tenant_associated_data(form, cluster, tenant, key.version());
        seal(self.active(), form, &data, &plain, randomness)
    }

    /// The version `version` of the secret key of `tenant` within `wrapped`.
    ///
    /// # Errors
    /// [`UnwrapError`]
    pub fn unwrap_tenant_key(
        &self,
        cluster: &ClusterId,
        tenant: &TenantId,
        version: u32,
        wrapped: &[u8],
    ) -> Result<TenantSecret, UnwrapError> {
        let parts = Parts::read(wrapped)?;
        let key = self.get(parts.cluster_key).ok_or(UnwrapError::UnknownClusterKey(parts.cluster_key))?;
        let plain = open(key, &tenant_associated_data(parts.form, cluster, tenant, version), &parts)?;
        let (key, sealing) = plain.split_at_checked(TENANT_KEY_BYTES).ok_or(UnwrapError::Form)?;
        let sealing = (parts.form == WITH_SEALING).then(|| secret(sealing).map(SealingKey::from_bytes));
        Ok(TenantSecret { key: TenantKey::new(version, secret(key)?), sealing: sealing.transpose()? })
    }

    /// The key within `wrapped`, if it is the one that `owner` names.
    ///
    /// # Errors
    /// [`UnwrapError`]
    pub fn unwrap(&self, owner: &Owner, wrapped: &[u8]) -> Result<SigningKey, UnwrapError> {
        let parts = Parts::read(wrapped)?;
        if parts.form != VERSION {
            return Err(UnwrapError::Form);
        }
        let key = self.get(parts.cluster_key).ok_or(UnwrapError::UnknownClusterKey(parts.cluster_key))?;
        let key = SigningKey::from_seed(&secret(&open(key, &associated_data(owner), &parts)?)?);
        // The tag binds the id already; this holds even if whoever wrapped was wrong.
        if key.id() == owner.key_id { Ok(key) } else { Err(UnwrapError::Refused) }
    }

    /// Wraps `wrapped` anew under the active cluster key; `None` if that is what it is wrapped under.
    ///
    /// # Errors
    /// [`UnwrapError`]: it cannot be unwrapped.
    pub fn rewrap(
        &self,
        owner: &Owner,
        wrapped: &[u8],
        randomness: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Option<Vec<u8>>, UnwrapError> {
        let key = self.unwrap(owner, wrapped)?;
        if cluster_key_of(wrapped)? == self.active().id() {
            return Ok(None);
        }
        Ok(Some(self.wrap(&owner.cluster, owner.kind, &key, randomness)))
    }
}

/// The cluster key under which `wrapped` was wrapped.
///
/// # Errors
/// [`UnwrapError::Form`]
pub fn cluster_key_of(wrapped: &[u8]) -> Result<ClusterKeyId, UnwrapError> {
    Parts::read(wrapped).map(|parts| parts.cluster_key)
}

/// Why a wrapped key does not give a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnwrapError {
    /// Another length or another version.
    #[error("the wrapped key has a form that this version does not know")]
    Form,
    /// It was wrapped under a cluster key that this node does not have.
    #[error("the key is wrapped under the cluster key `{0}`, which this node does not have")]
    UnknownClusterKey(ClusterKeyId),
    /// It was changed, or is another cluster's, another key's, or for another purpose.
    #[error("the wrapped key is damaged, or belongs to another cluster, key or purpose")]
    Refused,
}

struct Parts<'w> {
    form: u8,
    cluster_key: ClusterKeyId,
    nonce: [u8; NONCE_LEN],
    sealed: &'w [u8],
}

impl<'w> Parts<'w> {
    fn read(wrapped: &'w [u8]) -> Result<Self, UnwrapError> {
        let length = match wrapped.first() {
            Some(&VERSION) => WRAPPED_BYTES,
            Some(&WITH_SEALING) => WRAPPED_BYTES + SEALING_KEY_BYTES,
            _ => return Err(UnwrapError::Form),
        };
        if wrapped.len() != length {
            return Err(UnwrapError::Form);
        }
        let (head, sealed) = wrapped.split_at(HEAD_BYTES);
        let (id, nonce) = head[1..].split_at(CLUSTER_KEY_ID_BYTES);
        let form = |_other_length| UnwrapError::Form;
        Ok(Self {
            form: head[0],
            cluster_key: ClusterKeyId::from_bytes(id.try_into().map_err(form)?),
            nonce: nonce.try_into().map_err(form)?,
            sealed,
        })
    }
}

fn seal(
    key: &ClusterKey,
    form: u8,
    associated: &[u8],
    secret: &[u8],
    randomness: &mut (impl CryptoRng + ?Sized),
) -> Vec<u8> {
    let mut nonce = [0; NONCE_LEN];
    randomness.fill_bytes(&mut nonce);
    // Reserved beforehand, so that the plain text is encrypted where it lies and never copied by growth.
    let mut sealed = Zeroizing::new(Vec::with_capacity(secret.len() + TAG_BYTES));
    sealed.extend_from_slice(secret);
    cipher(key)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(associated), &mut *sealed)
        .expect("64 bytes are far below the limit of the cipher");
    [&[form], key.id().as_bytes().as_slice(), &nonce, &sealed].concat()
}

fn open(key: &ClusterKey, associated: &[u8], parts: &Parts<'_>) -> Result<Zeroizing<Vec<u8>>, UnwrapError> {
    let mut sealed = Zeroizing::new(parts.sealed.to_vec());
    let nonce = Nonce::assume_unique_for_key(parts.nonce);
    let length = cipher(key)
        .open_in_place(nonce, Aad::from(associated), &mut sealed)
        .map_err(|_uninformative| UnwrapError::Refused)?
        .len();
    sealed.truncate(length);
    Ok(sealed)
}

fn secret<const N: usize>(bytes: &[u8]) -> Result<Secret<[u8; N]>, UnwrapError> {
    let mut copy = Zeroizing::new([0; N]);
    if bytes.len() != N {
        return Err(UnwrapError::Form);
    }
    copy.copy_from_slice(bytes);
    Ok(Secret::new(*copy))
}

fn cipher(key: &ClusterKey) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.expose()).expect("the key has the cipher's length"))
}

fn associated_data(owner: &Owner) -> Vec<u8> {
    let Owner { cluster, key_id, kind } = owner;
    let parts = [cluster.as_str().as_bytes(), key_id.as_bytes(), kind.as_str().as_bytes()];
    labelled(b"aegis/wrapped-key/v", VERSION, parts)
}

fn tenant_associated_data(form: u8, cluster: &ClusterId, tenant: &TenantId, version: u32) -> Vec<u8> {
    let parts = [cluster.as_str().as_bytes(), tenant.as_str().as_bytes(), &version.to_be_bytes()];
    labelled(b"aegis/wrapped-tenant-key/v", form, parts)
}

fn labelled(label: &[u8], form: u8, parts: [&[u8]; 3]) -> Vec<u8> {
    let mut data = label.to_vec();
    data.push(form);
    for part in parts {
        data.extend_from_slice(&(part.len() as u64).to_be_bytes());
        data.extend_from_slice(part);
    }
    data
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn random(seed: u64) -> StdRng {
        StdRng::seed_from_u64(seed)
    }

    fn cluster_key(seed: u64) -> ClusterKey {
        ClusterKey::generate(&mut random(seed))
    }

    fn keys(seeds: &[u64]) -> ClusterKeys {
        ClusterKeys::new(cluster_key(seeds[0]), seeds[1..].iter().map(|&seed| cluster_key(seed)).collect())
    }

    fn signing_key() -> SigningKey {
        SigningKey::generate(&mut random(100))
    }

    fn owner() -> Owner {
        Owner { cluster: "c-1".parse().unwrap(), key_id: signing_key().id(), kind: KeyKind::Manifest }
    }

    fn wrapped() -> Vec<u8> {
        keys(&[1]).wrap(&owner().cluster, owner().kind, &signing_key(), &mut random(2))
    }

    #[test]
    fn a_wrapped_key_comes_back() {
        let back = keys(&[1]).unwrap(&owner(), &wrapped()).unwrap();
        assert_eq!(back.id(), signing_key().id());
        assert_eq!(back.sign(b"x"), signing_key().sign(b"x"));
        assert_eq!(wrapped().len(), WRAPPED_BYTES);
        assert_eq!(cluster_key_of(&wrapped()).unwrap(), cluster_key(1).id());
        let seed = signing_key().to_seed();
        assert!(!wrapped().windows(8).any(|window| seed.expose().windows(8).any(|plain| plain == window)));
    }

    #[test]
    fn other_randomness_gives_another_wrapping() {
        let again = keys(&[1]).wrap(&owner().cluster, owner().kind, &signing_key(), &mut random(3));
        assert_ne!(again, wrapped());
        keys(&[1]).unwrap(&owner(), &again).unwrap();
    }

    #[test]
    fn another_cluster_key_does_not_unwrap() {
        let id = cluster_key(1).id();
        assert_eq!(keys(&[2]).unwrap(&owner(), &wrapped()).unwrap_err(), UnwrapError::UnknownClusterKey(id));
        // Even if it claims to be the one.
        let mut renamed = wrapped();
        renamed[1..9].copy_from_slice(cluster_key(2).id().as_bytes());
        assert_eq!(keys(&[2]).unwrap(&owner(), &renamed).unwrap_err(), UnwrapError::Refused);
    }

    #[test]
    fn every_single_bit_counts() {
        let good = wrapped();
        for bit in 0..good.len() * 8 {
            let mut twin = good.clone();
            twin[bit / 8] ^= 1 << (bit % 8);
            keys(&[1]).unwrap(&owner(), &twin).unwrap_err();
        }
        for length in 0..good.len() {
            assert_eq!(keys(&[1]).unwrap(&owner(), &good[..length]).unwrap_err(), UnwrapError::Form);
        }
        let longer = [&good[..], &[0]].concat();
        assert_eq!(keys(&[1]).unwrap(&owner(), &longer).unwrap_err(), UnwrapError::Form);
    }

    #[test]
    fn it_is_bound_to_cluster_key_and_purpose() {
        let other_key = SigningKey::generate(&mut random(101)).id();
        for other in [
            Owner { cluster: "c-2".parse().unwrap(), ..owner() },
            Owner { cluster: "c-1manifest".parse().unwrap(), ..owner() },
            Owner { key_id: other_key, ..owner() },
            Owner { kind: KeyKind::AgentToken, ..owner() },
            Owner { kind: KeyKind::PersonToken, ..owner() },
        ] {
            assert_eq!(keys(&[1]).unwrap(&other, &wrapped()).unwrap_err(), UnwrapError::Refused, "{other:?}");
        }
    }

    #[test]
    fn a_key_under_the_name_of_another_is_refused() {
        let other = SigningKey::generate(&mut random(101));
        let seed = other.to_seed();
        let lie = seal(&cluster_key(1), VERSION, &associated_data(&owner()), seed.expose(), &mut random(4));
        assert_eq!(keys(&[1]).unwrap(&owner(), &lie).unwrap_err(), UnwrapError::Refused);
    }

    #[test]
    fn a_tenants_key_opens_only_where_it_belongs() {
        let (cluster, tenant): (ClusterId, TenantId) = ("c-1".parse().unwrap(), "acme".parse().unwrap());
        let secret = TenantSecret {
            key: TenantKey::new(3, Secret::new([5; 32])),
            sealing: Some(SealingKey::from_bytes(Secret::new([6; 32]))),
        };
        let wrapped = keys(&[1]).wrap_tenant_key(&cluster, &tenant, &secret, &mut random(4));
        assert_eq!(wrapped.len(), WRAPPED_BYTES + 32);
        assert!(!wrapped.windows(4).any(|window| window == [5; 4] || window == [6; 4]));
        let open = |cluster: &str, tenant: &str, version| {
            let (cluster, tenant) = (cluster.parse().unwrap(), tenant.parse().unwrap());
            keys(&[2, 1]).unwrap_tenant_key(&cluster, &tenant, version, &wrapped)
        };
        let opened = open("c-1", "acme", 3).unwrap();
        assert_eq!((opened.key.version(), opened.key.expose()), (3, &[5; 32]));
        assert_eq!(opened.sealing.unwrap().expose().expose(), &[6; 32]);
        for (cluster, tenant, version) in [("c-2", "acme", 3), ("c-1", "globex", 3), ("c-1", "acme", 2)] {
            assert_eq!(
                open(cluster, tenant, version).unwrap_err(),
                UnwrapError::Refused,
                "{cluster} {tenant}"
            );
        }
        let elsewhere = keys(&[2]).unwrap_tenant_key(&cluster, &tenant, 3, &wrapped).unwrap_err();
        assert_eq!(elsewhere, UnwrapError::UnknownClusterKey(cluster_key(1).id()));
        assert_eq!(keys(&[1]).unwrap(&owner(), &wrapped).unwrap_err(), UnwrapError::Form);
        // A version of before there was sealing; and neither form opens under the name of the other.
        let older = TenantSecret { sealing: None, ..secret };
        let wrapped = keys(&[1]).wrap_tenant_key(&cluster, &tenant, &older, &mut random(4));
        assert_eq!(wrapped.len(), WRAPPED_BYTES);
        let opened = keys(&[1]).unwrap_tenant_key(&cluster, &tenant, 3, &wrapped).unwrap();
        assert!(opened.sealing.is_none() && *opened.key.expose() == [5; 32]);
        assert_eq!(keys(&[1]).unwrap(&owner(), &wrapped).unwrap_err(), UnwrapError::Refused);
        let renamed = [&[WITH_SEALING], &wrapped[1..], &[0; 32]].concat();
        let refused = keys(&[1]).unwrap_tenant_key(&cluster, &tenant, 3, &renamed).unwrap_err();
        assert_eq!(refused, UnwrapError::Refused);
    }

    #[test]
    fn a_cluster_key_is_replaced_by_wrapping_anew() {
        let both = keys(&[2, 1]);
        let new = both.rewrap(&owner(), &wrapped(), &mut random(5)).unwrap().unwrap();
        assert_eq!(cluster_key_of(&new).unwrap(), cluster_key(2).id());
        assert_eq!(keys(&[2]).unwrap(&owner(), &new).unwrap().id(), signing_key().id());
        assert_eq!(
            keys(&[1]).unwrap(&owner(), &new).unwrap_err(),
            UnwrapError::UnknownClusterKey(cluster_key(2).id())
        );
        assert_eq!(both.rewrap(&owner(), &new, &mut random(6)).unwrap(), None);
        assert!(keys(&[2]).rewrap(&owner(), &wrapped(), &mut random(7)).is_err());
    }
}
