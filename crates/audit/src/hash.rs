//! SHA-256 hashes, their two texts, and the keyed digest of what must not be guessed.

use std::fmt;
use std::str::FromStr;

use aegis_model::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A SHA-256 hash. In records it is 64 lower-case hexadecimal digits, in notes and proofs base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash(pub [u8; 32]);

/// A text that is no hash in the one spelling that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a hash in its one spelling")]
pub struct BadHash;

impl Hash {
    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The hash of parts, each behind its length, so that no two lists of parts give the same bytes.
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// Standard base64 with padding, as signed notes and proofs have it.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Reads exactly what [`Hash::to_base64`] writes.
    ///
    /// # Errors
    /// [`BadHash`]
    pub fn from_base64(text: &str) -> Result<Self, BadHash> {
        if text.len() != 44 {
            return Err(BadHash);
        }
        let bytes = STANDARD.decode(text).map_err(|_uninformative| BadHash)?;
        bytes.try_into().map(Self).map_err(|_uninformative| BadHash)
    }
}

impl FromStr for Hash {
    type Err = BadHash;
    fn from_str(text: &str) -> Result<Self, BadHash> {
        from_hex(text).map(Self).ok_or(BadHash)
    }
}

impl TryFrom<String> for Hash {
    type Error = BadHash;
    fn try_from(text: String) -> Result<Self, BadHash> {
        text.parse()
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        to_hex(&hash.0)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Reads exactly what [`to_hex`] writes for `N` bytes.
pub(crate) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    fn nibble(digit: u8) -> Option<u8> {
        match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        }
    }
    if text.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

/// A key of HMAC-SHA-256 (RFC 2104), one per tenant: a bare hash of a parameter could be guessed, a keyed one cannot by
/// anybody who has not the key. Where the key comes from, and how long it lives, is the caller's matter.
#[derive(Clone)]
pub struct DigestKey {
    inner: Sha256,
    outer: Sha256,
}

impl DigestKey {
    /// The key with these 32 bytes.
    pub fn new(key: &Secret<[u8; 32]>) -> Self {
        let padded = |pad: u8| {
            let mut block = [pad; 64];
            block.iter_mut().zip(key.expose()).for_each(|(byte, key)| *byte ^= key);
            Sha256::new().chain_update(block)
        };
        Self { inner: padded(0x36), outer: padded(0x5c) }
    }

    /// The digest of `bytes` under this key.
    pub fn digest(&self, bytes: &[u8]) -> KeyedDigest {
        let inner = self.inner.clone().chain_update(bytes).finalize();
        KeyedDigest(self.outer.clone().chain_update(inner).finalize().into())
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey([secret])")
    }
}

/// What [`DigestKey::digest`] makes: as text `hmac-sha256:` and 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyedDigest(pub [u8; 32]);

const KEYED: &str = "hmac-sha256:";

impl TryFrom<String> for KeyedDigest {
    type Error = BadHash;
    fn try_from(text: String) -> Result<Self, BadHash> {
        text.strip_prefix(KEYED).and_then(from_hex).map(Self).ok_or(BadHash)
    }
}

impl From<KeyedDigest> for String {
    fn from(digest: KeyedDigest) -> Self {
        format!("{KEYED}{}", to_hex(&digest.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_gives_the_digests_of_rfc_4231() {
        // Test cases 1 and 2, their keys filled up with zeros to 32 bytes, as HMAC itself would.
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let digest = DigestKey::new(&Secret::new(key)).digest(b"Hi There");
        assert_eq!(
            String::from(digest),
            "hmac-sha256:b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let digest = DigestKey::new(&Secret::new(key)).digest(b"what do ya want for nothing?");
        assert_eq!(
            String::from(digest),
            "hmac-sha256:5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn a_hash_has_one_spelling_in_either_text() {
        let hash = Hash::of(b"x");
        assert_eq!(Hash::from_base64(&hash.to_base64()), Ok(hash));
        assert_eq!(hash.to_string().parse(), Ok(hash));
        let base64 = hash.to_base64();
        for bad in [
            &base64[..43],
            &base64.replace('=', ""),
            &format!("{base64}="),
            &format!("{}\n", &base64[..43]),
            // The bits after the last whole byte are not free.
            &format!("{}B=", &base64[..42].to_owned()),
        ] {
            assert_eq!(Hash::from_base64(bad), Err(BadHash), "{bad:?}");
        }
        assert_eq!(hash.to_string().to_uppercase().parse::<Hash>(), Err(BadHash));
    }
}
