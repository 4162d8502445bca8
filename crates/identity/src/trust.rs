//! Whose signatures count: an immutable map from key id to key, each key bound to one issuer.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aegis_model::caps;
use sha2::{Digest, Sha256};

use crate::keys::{KeyId, VerifyingKey};

/// Who mints tokens (`iss`): 1 to [`caps::ISSUER_BYTES_MAX`] printable ASCII characters, most often a URL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Issuer(Arc<str>);

impl Issuer {
    /// The issuer as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Issuer {
    type Err = TrustError;

    fn from_str(text: &str) -> Result<Self, TrustError> {
        let valid = !text.is_empty()
            && text.len() <= caps::ISSUER_BYTES_MAX
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if valid { Ok(Self(text.into())) } else { Err(TrustError::Issuer) }
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// A key together with the only issuer that may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// The one value of `iss` that counts with this key.
    pub issuer: Issuer,
    /// The key.
    pub key: VerifyingKey,
}

/// All keys that a node trusts at one moment. Never changes: a rotation makes a new one.
#[derive(Debug, Clone)]
pub struct Trust {
    keys: BTreeMap<KeyId, TrustedKey>,
    fingerprint: [u8; 32],
}

impl Trust {
    /// Trusts exactly `keys`. No key at all is valid, and then no token is.
    ///
    /// # Errors
    /// - [`TrustError::TwoIssuers`]: a key is bound to more than one issuer
    /// - [`TrustError::TooManyKeys`]: more than [`caps::TRUST_KEYS_MAX`]
    pub fn new(keys: impl IntoIterator<Item = TrustedKey>) -> Result<Self, TrustError> {
        let mut known = BTreeMap::new();
        for trusted in keys {
            match known.entry(trusted.key.id()) {
                Entry::Vacant(free) => drop(free.insert(trusted)),
                Entry::Occupied(same) if *same.get() == trusted => {}
                Entry::Occupied(_) => return Err(TrustError::TwoIssuers(trusted.key.id())),
            }
            if known.len() > caps::TRUST_KEYS_MAX {
                return Err(TrustError::TooManyKeys);
            }
        }
        Ok(Self { fingerprint: fingerprint(&known), keys: known })
    }

    /// Trusts one key.
    pub fn single(issuer: Issuer, key: VerifyingKey) -> Self {
        let keys = BTreeMap::from([(key.id(), TrustedKey { issuer, key })]);
        Self { fingerprint: fingerprint(&keys), keys }
    }

    /// The key with this id, and its issuer.
    pub fn get(&self, id: &KeyId) -> Option<&TrustedKey> {
        self.keys.get(id)
    }

    /// Every key, by id.
    pub fn keys(&self) -> impl Iterator<Item = &TrustedKey> {
        self.keys.values()
    }

    /// A digest of all keys and issuers: equal trust, equal fingerprint. What was verified under one trust
    /// is remembered under its fingerprint, so that a rotation forgets it.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// The public keys as a JSON Web Key Set (RFC 7517), for `/.well-known/jwks.json`.
    pub fn to_jwks(&self) -> serde_json::Value {
        let keys: Vec<_> = self.keys().map(|trusted| trusted.key.to_jwk()).collect();
        serde_json::json!({ "keys": keys })
    }
}

/// Hashes fixed-length ids and length-prefixed issuers, so that no two maps give the same bytes.
fn fingerprint(keys: &BTreeMap<KeyId, TrustedKey>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (id, trusted) in keys {
        let issuer = trusted.issuer.as_str().as_bytes();
        hash.update(id.as_bytes());
        hash.update((issuer.len() as u64).to_be_bytes());
        hash.update(issuer);
    }
    hash.finalize().into()
}

/// Why a set of keys cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The same key for two issuers.
    #[error("the key `{0}` is bound to two issuers")]
    TwoIssuers(KeyId),
    /// More keys than a rotation ever needs.
    #[error("there are more than {} trusted keys", caps::TRUST_KEYS_MAX)]
    TooManyKeys,
    /// Not an issuer's name.
    #[error("an issuer has 1 to {} printable ASCII characters", caps::ISSUER_BYTES_MAX)]
    Issuer,
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::keys::SigningKey;

    fn trusted(seed: u64, issuer: &str) -> TrustedKey {
        let key = SigningKey::generate(&mut StdRng::seed_from_u64(seed)).verifying_key().clone();
        TrustedKey { issuer: issuer.parse().unwrap(), key }
    }

    #[test]
    fn a_key_has_one_issuer() {
        let trust = Trust::new([trusted(1, "a"), trusted(2, "b"), trusted(1, "a")]).unwrap();
        assert_eq!(trust.keys().count(), 2);
        let id = trusted(1, "a").key.id();
        assert_eq!(trust.get(&id).unwrap().issuer.as_str(), "a");
        let twice = Trust::new([trusted(1, "a"), trusted(1, "b")]);
        assert_eq!(twice.unwrap_err(), TrustError::TwoIssuers(id));
    }

    #[test]
    fn the_fingerprint_follows_the_content_only() {
        let one = Trust::new([trusted(1, "a"), trusted(2, "b")]).unwrap();
        let reordered = Trust::new([trusted(2, "b"), trusted(1, "a")]).unwrap();
        assert_eq!(one.fingerprint(), reordered.fingerprint());
        for other in [vec![trusted(1, "a")], vec![trusted(1, "b"), trusted(2, "b")], vec![]] {
            assert_ne!(Trust::new(other).unwrap().fingerprint(), one.fingerprint());
        }
        let single = Trust::single("a".parse().unwrap(), trusted(1, "a").key);
        assert_eq!(single.fingerprint(), Trust::new([trusted(1, "a")]).unwrap().fingerprint());
    }

    #[test]
    fn an_issuer_is_bounded() {
        for text in ["", "a b", "é", "a\n", &"a".repeat(caps::ISSUER_BYTES_MAX + 1)] {
            assert_eq!(text.parse::<Issuer>(), Err(TrustError::Issuer));
        }
        assert!("https://aegis.example/".parse::<Issuer>().is_ok());
    }

    #[test]
    fn the_key_set_holds_public_members_only() {
        let set = Trust::single("a".parse().unwrap(), trusted(1, "a").key).to_jwks();
        let members: Vec<_> = set["keys"][0].as_object().unwrap().keys().cloned().collect();
        assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x"]);
    }
}
