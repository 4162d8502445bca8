//! Ed25519 keys of logs and witnesses: signing, strict verification, and their names.
//!
//! A key here has a name: the origin of its log, or the witness's own name. Name, kind and key give the 32-bit id of a
//! signed note (C2SP signed-note). The id finds a key and proves nothing.

use std::fmt;
use std::str::FromStr;

use aegis_model::caps;
use aegis_model::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer;
use sha2::{Digest, Sha256};

use crate::hash::{from_hex, to_hex};

/// The name of a key: a log's origin or a witness's name. 1 to [`caps::AUDIT_ORIGIN_BYTES_MAX`] printable ASCII characters
/// without space and `+`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyName(String);

/// What a key signs: it is part of the key's id, so that a signature of one kind never counts for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Notes: the checkpoints of a log.
    Note,
    /// Cosignatures with a time, by a witness (C2SP tlog-cosignature, v1).
    Cosignature,
}

impl KeyKind {
    fn byte(self) -> u8 {
        match self {
            Self::Note => 1,
            Self::Cosignature => 4,
        }
    }
}

/// Why a key or its name cannot be used. No message holds key material.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a name.
    #[error(
        "a key's name has 1 to {} printable characters without space and `+`",
        caps::AUDIT_ORIGIN_BYTES_MAX
    )]
    Name,
    /// Not the text of a public key.
    #[error("a verifier key is `NAME+ID+KEY`, the id 8 hexadecimal digits, the key base64")]
    Form,
    /// The id is not that of the key.
    #[error("the verifier key's id does not belong to its name and key")]
    Id,
    /// The key is of another kind than is wanted here.
    #[error("the verifier key is of another kind")]
    Kind,
    /// No strict public key: not a point, not canonical, or of small order.
    #[error("the public key is not a point of the curve in its one encoding, or has small order")]
    Point,
}

impl KeyError {
    /// A stable word for metrics and reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::Name => "key_name",
            Self::Form => "key_form",
            Self::Id => "key_id",
            Self::Kind => "key_kind",
            Self::Point => "key_point",
        }
    }

    /// Never: the same key is refused again.
    pub fn retryable(self) -> bool {
        false
    }
}

impl KeyName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let fits = (1..=caps::AUDIT_ORIGIN_BYTES_MAX).contains(&text.len());
        let valid = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'+');
        if fits && valid { Ok(Self(text.to_owned())) } else { Err(KeyError::Name) }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// A private key. `Debug` shows its public half only; it is wiped when dropped.
#[derive(Clone)]
pub struct SigningKey {
    inner: ed25519_dalek::SigningKey,
    public: VerifyingKey,
}

impl SigningKey {
    /// The key of this seed: the 32 bytes of RFC 8032 that a private key is.
    pub fn from_seed(name: KeyName, kind: KeyKind, seed: &Secret<[u8; 32]>) -> Self {
        let inner = ed25519_dalek::SigningKey::from_bytes(seed.expose());
        let public = VerifyingKey::named(name, kind, inner.verifying_key());
        Self { inner, public }
    }

    /// A new key from 32 bytes of `randomness`.
    pub fn generate(name: KeyName, kind: KeyKind, randomness: &mut (impl rand::CryptoRng + ?Sized)) -> Self {
        let mut seed = [0; 32];
        randomness.fill_bytes(&mut seed);
        Self::from_seed(name, kind, &Secret::new(seed))
    }

    /// Its seed, to be kept.
    pub fn to_seed(&self) -> Secret<[u8; 32]> {
        Secret::new(self.inner.to_bytes())
    }

    /// The public half.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    /// Signs `message`; the same message always gives the same signature.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.inner.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public)
    }
}

/// A public key that verifies strictly: neither it nor a signature's point has small order or a second encoding. As text
/// the *verifier key* of signed notes, `NAME+ID+KEY`.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    name: KeyName,
    kind: KeyKind,
    id: [u8; 4],
    inner: ed25519_dalek::VerifyingKey,
}

impl VerifyingKey {
    /// Imports the 32 bytes of RFC 8032.
    ///
    /// # Errors
    /// [`KeyError::Point`]
    pub fn from_bytes(name: KeyName, kind: KeyKind, bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let inner =
            ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_uninformative| KeyError::Point)?;
        // The library takes y and y + p for the same point; only the shorter one is read here.
        if !is_canonical(bytes) || inner.is_weak() {
            return Err(KeyError::Point);
        }
        Ok(Self::named(name, kind, inner))
    }

    fn named(name: KeyName, kind: KeyKind, inner: ed25519_dalek::VerifyingKey) -> Self {
        let hash = Sha256::new_with_prefix(name.as_str()).chain_update([b'\n', kind.byte()]);
        let hash = hash.chain_update(inner.as_bytes()).finalize();
        Self { name, kind, id: [hash[0], hash[1], hash[2], hash[3]], inner }
    }

    /// Whose key it is.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// What it signs.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The id by which notes find it.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// The 32 bytes of RFC 8032.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.inner.as_bytes()
    }

    /// Whether `signature` is this key's signature of `message`, by the strict rules above.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.inner.verify_strict(message, &signature).is_ok()
    }
}

impl FromStr for VerifyingKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Form);
        };
        let id: [u8; 4] = from_hex(id).ok_or(KeyError::Form)?;
        let bytes = STANDARD.decode(key).map_err(|_withheld| KeyError::Form)?;
        let (&kind, bytes) = bytes.split_first().ok_or(KeyError::Form)?;
        let kind = [KeyKind::Note, KeyKind::Cosignature].into_iter().find(|known| known.byte() == kind);
        let bytes = bytes.try_into().map_err(|_uninformative| KeyError::Form)?;
        let key = Self::from_bytes(name.parse()?, kind.ok_or(KeyError::Kind)?, bytes)?;
        if key.id == id { Ok(key) } else { Err(KeyError::Id) }
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.kind.byte()], &self.as_bytes()[..]].concat();
        write!(f, "{}+{}+{}", self.name, to_hex(&self.id), STANDARD.encode(key))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({self})")
    }
}

/// Whether the y coordinate, little endian without its sign bit, is below the prime 2^255 - 19.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let top_is_full = bytes[31] & 0x7f == 0x7f && bytes[1..31].iter().all(|&byte| byte == 0xff);
    !(top_is_full && bytes[0] >= 0xed)
}
