//! A tenant's secret key, in versions, and the keys of single uses that are derived from it.
//!
//! The key itself is used for nothing: whoever needs one asks for the key of a *purpose* ([`TenantKey::derive`]), so that what is
//! made for one purpose says nothing about another, and no code can be asked for what belongs to another one.

use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::caps;
use crate::secret::Secret;

/// The length of the key, and of every key derived from it.
pub const TENANT_KEY_BYTES: usize = 32;

/// One version of a tenant's secret key. Wiped when dropped; `Debug` shows the version only.
#[derive(Clone)]
pub struct TenantKey {
    version: u32,
    key: Secret<[u8; TENANT_KEY_BYTES]>,
    sealing: Option<[u8; TENANT_KEY_BYTES]>,
}

impl TenantKey {
    /// The key of this version.
    pub fn new(version: u32, key: Secret<[u8; TENANT_KEY_BYTES]>) -> Self {
        Self { version, key, sealing: None }
    }

    /// With the public half of the sealing key that belongs to this version: X25519, as RFC 7748 writes it.
    #[must_use]
    pub fn with_sealing(self, sealing: Option<[u8; TENANT_KEY_BYTES]>) -> Self {
        Self { sealing, ..self }
    }

    /// The public half of the sealing key: to it values are sealed, which only the control plane can open. Nothing in versions of
    /// before there was sealing.
    pub fn sealing(&self) -> Option<&[u8; TENANT_KEY_BYTES]> {
        self.sealing.as_ref()
    }

    /// Its version, counted from 1.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The key of one purpose: HMAC-SHA-256 (RFC 2104, FIPS 198-1) of a label under this key. The label is `aegis/tenant-key/v1`, a
    /// zero byte and the purpose, which is a constant such as `dlp` that is used at one place.
    pub fn derive(&self, purpose: &'static str) -> Secret<[u8; TENANT_KEY_BYTES]> {
        Secret::new(*hmac(self.key.expose(), &[LABEL, purpose.as_bytes()]))
    }

    /// The key itself, to be wrapped or sent: not for any use of its own.
    pub fn expose(&self) -> &[u8; TENANT_KEY_BYTES] {
        self.key.expose()
    }
}

impl fmt::Debug for TenantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantKey").field("version", &self.version).finish_non_exhaustive()
    }
}

const LABEL: &[u8] = b"aegis/tenant-key/v1\0";

/// Every version of a tenant's key that is kept: at least one.
#[derive(Debug, Clone)]
pub struct TenantKeys {
    /// By version, the newest last; not empty.
    versions: Vec<TenantKey>,
}

impl TenantKeys {
    /// These versions, the newest last. Nothing unless there is one, the versions rise from 1 or more, and there are at most
    /// [`caps::TENANT_KEY_VERSIONS_MAX`].
    pub fn new(versions: Vec<TenantKey>) -> Option<Self> {
        let rising = versions.is_sorted_by(|before, after| before.version < after.version);
        let from_one = versions.first().is_some_and(|first| first.version > 0);
        (rising && from_one && versions.len() <= caps::TENANT_KEY_VERSIONS_MAX).then_some(Self { versions })
    }

    /// The version that counts now.
    pub fn current(&self) -> &TenantKey {
        self.versions.last().expect("there is at least one version")
    }

    /// An older version, to know again what was made with it.
    pub fn get(&self, version: u32) -> Option<&TenantKey> {
        let at = self.versions.binary_search_by_key(&version, TenantKey::version).ok()?;
        self.versions.get(at)
    }

    /// Every version, the newest last.
    pub fn versions(&self) -> &[TenantKey] {
        &self.versions
    }
}

const BLOCK: usize = 64;

fn hmac(key: &[u8; TENANT_KEY_BYTES], message: &[&[u8]]) -> Zeroizing<[u8; TENANT_KEY_BYTES]> {
    let under = |pad: u8, parts: &[&[u8]]| {
        let mut block = Zeroizing::new([pad; BLOCK]);
        for (byte, key) in block.iter_mut().zip(key) {
            *byte ^= key;
        }
        let mut hash = Sha256::new();
        hash.update(block.as_slice());
        parts.iter().for_each(|part| hash.update(part));
        Zeroizing::new(<[u8; TENANT_KEY_BYTES]>::from(hash.finalize()))
    };
    let inner = under(0x36, message);
    under(0x5c, &[inner.as_slice()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(version: u32) -> TenantKey {
        TenantKey::new(version, Secret::new([version as u8; TENANT_KEY_BYTES]))
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// RFC 4231, test case 1 with its key of 20 bytes filled up with zeros, which is the same key.
    #[test]
    fn the_code_is_that_of_the_standard() {
        let mut key = [0; TENANT_KEY_BYTES];
        key[..20].fill(0x0b);
        let code = hmac(&key, &[b"Hi ", b"There"]);
        assert_eq!(hex(code.as_slice()), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    }

    #[test]
    fn each_purpose_and_each_version_has_a_key_of_its_own() {
        let derived = |version, purpose| *key(version).derive(purpose).expose();
        assert_eq!(derived(1, "dlp"), derived(1, "dlp"));
        assert_ne!(derived(1, "dlp"), derived(1, "params-digest"));
        assert_ne!(derived(1, "dlp"), derived(2, "dlp"));
        assert_ne!(derived(1, "dlp"), [1; TENANT_KEY_BYTES]);
    }

    #[test]
    fn versions_rise_and_the_last_one_counts() {
        let keys = TenantKeys::new(vec![key(2), key(5)]).unwrap();
        assert_eq!(keys.current().version(), 5);
        assert_eq!(keys.get(2).map(TenantKey::version), Some(2));
        assert!(keys.get(3).is_none());
        for bad in [vec![], vec![key(0)], vec![key(2), key(1)], vec![key(1), key(1)]] {
            assert!(TenantKeys::new(bad).is_none());
        }
        let many = |count: usize| TenantKeys::new((1..=count as u32).map(key).collect());
        assert!(many(caps::TENANT_KEY_VERSIONS_MAX).is_some());
        assert!(many(caps::TENANT_KEY_VERSIONS_MAX + 1).is_none());
    }

    #[test]
    fn nothing_shows_the_key() {
        let shown = format!("{:?} {:?}", TenantKeys::new(vec![key(7)]), key(7).derive("dlp"));
        assert!(shown.contains("version: 7") && !shown.contains("7, 7"), "{shown}");
    }
}
