//! Ed25519 keys: signing, strict verification, and the id that names a key.

use std::fmt;
use std::str::FromStr;

use aegis_model::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::Signer;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, KeypairBytes, PublicKeyBytes,
};
use rand::CryptoRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// A private key that signs tokens or manifests. `Debug` shows its id only; the key is wiped when dropped.
pub struct SigningKey {
    inner: ed25519_dalek::SigningKey,
    public: VerifyingKey,
}

impl SigningKey {
    /// A new key from 32 bytes of `randomness`.
    pub fn generate(randomness: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut seed = [0; 32];
        randomness.fill_bytes(&mut seed);
        let key = Self::from_inner(ed25519_dalek::SigningKey::from_bytes(&seed));
        seed.zeroize();
        key
    }

    /// Reads a PKCS#8 PEM (`BEGIN PRIVATE KEY`), with or without the public key in it.
    ///
    /// # Errors
    /// [`KeyError::PrivateForm`] for anything else, and when the public key does not belong to the private one.
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, KeyError> {
        let inner =
            ed25519_dalek::SigningKey::from_pkcs8_pem(pem).map_err(|_withheld| KeyError::PrivateForm)?;
        Ok(Self::from_inner(inner))
    }

    /// Writes a PKCS#8 PEM of version 1, which every reader understands.
    pub fn to_pkcs8_pem(&self) -> Secret<String> {
        let pair = KeypairBytes { secret_key: self.inner.to_bytes(), public_key: None };
        let pem = pair.to_pkcs8_pem(LineEnding::LF).expect("32 bytes always fit the fixed PKCS#8 form");
        Secret::new(String::clone(&pem))
    }

    /// The key of this seed: the 32 bytes of RFC 8032 that a private key is.
    pub fn from_seed(seed: &Secret<[u8; 32]>) -> Self {
        Self::from_inner(ed25519_dalek::SigningKey::from_bytes(seed.expose()))
    }

    /// Its seed, to be wrapped.
    pub fn to_seed(&self) -> Secret<[u8; 32]> {
        Secret::new(self.inner.to_bytes())
    }

    /// The public half.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    /// The id that tokens carry as `kid`.
    pub fn id(&self) -> KeyId {
        self.public.id()
    }

    /// Signs `message`; the same message always gives the same signature.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.inner.sign(message).to_bytes()
    }

    fn from_inner(inner: ed25519_dalek::SigningKey) -> Self {
        let public = VerifyingKey::with_id(inner.verifying_key());
        Self { inner, public }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.id())
    }
}

/// A public key that verifies strictly: neither it nor a signature's point has small order or a second encoding.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    inner: ed25519_dalek::VerifyingKey,
    id: KeyId,
}

impl VerifyingKey {
    /// Imports the 32 bytes of RFC 8032.
    ///
    /// # Errors
    /// - [`KeyError::NonCanonical`]: the same point has another, shorter encoding
    /// - [`KeyError::NotAPoint`]: no point of the curve
    /// - [`KeyError::SmallOrder`]: a signature under it would prove nothing
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        if !is_canonical(bytes) {
            return Err(KeyError::NonCanonical);
        }
        let inner =
            ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_uninformative| KeyError::NotAPoint)?;
        if inner.is_weak() {
            return Err(KeyError::SmallOrder);
        }
        Ok(Self::with_id(inner))
    }

    /// Reads a `SubjectPublicKeyInfo` PEM (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    /// [`KeyError::PublicForm`], and those of [`VerifyingKey::from_bytes`].
    pub fn from_public_key_pem(pem: &str) -> Result<Self, KeyError> {
        let bytes =
            PublicKeyBytes::from_public_key_pem(pem).map_err(|_uninformative| KeyError::PublicForm)?;
        Self::from_bytes(bytes.as_ref())
    }

    /// Writes a `SubjectPublicKeyInfo` PEM.
    pub fn to_public_key_pem(&self) -> String {
        let bytes = PublicKeyBytes(self.inner.to_bytes());
        bytes.to_public_key_pem(LineEnding::LF).expect("32 bytes always fit the fixed SPKI form")
    }

    /// The 32 bytes of RFC 8032.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.inner.as_bytes()
    }

    /// The id that tokens carry as `kid`.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Whether `signature` is this key's signature of `message`, by the strict rules above.
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.inner.verify_strict(message, &signature).is_ok()
    }

    /// The key as a JSON Web Key (RFC 8037), ready for a key set.
    pub fn to_jwk(&self) -> serde_json::Value {
        serde_json::json!({
            "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(self.as_bytes()),
            "use": "sig", "alg": "EdDSA", "kid": self.id.to_string(),
        })
    }

    /// Reads the text of a JSON Web Key (RFC 8037): `kty` and `crv` as they have to be, `x` in its one spelling, no private part. `kid`,
    /// `alg` and `use`, where they are there, have to agree with it; what else is there says nothing.
    ///
    /// # Errors
    /// [`KeyError::JwkForm`], and those of [`VerifyingKey::from_bytes`].
    pub fn from_jwk(text: &str) -> Result<Self, KeyError> {
        let members = aegis_model::json::read_object(text.as_bytes(), aegis_model::json::Limits::default())
            .map_err(|_withheld| KeyError::JwkForm)?;
        let member = |name: &str| members.get(name).map(|value| value.as_str().unwrap_or_default());
        let agrees = |name: &str, wanted: &str| member(name).is_none_or(|value| value == wanted);
        if member("kty") != Some("OKP") || member("crv") != Some("Ed25519") || members.contains_key("d") {
            return Err(KeyError::JwkForm);
        }
        let x = member("x").and_then(|x| URL_SAFE_NO_PAD.decode(x).ok());
        let x = x.and_then(|x| <[u8; 32]>::try_from(x).ok()).ok_or(KeyError::JwkForm)?;
        let key = Self::from_bytes(&x)?;
        if agrees("kid", &key.id.to_string()) && agrees("alg", "EdDSA") && agrees("use", "sig") {
            Ok(key)
        } else {
            Err(KeyError::JwkForm)
        }
    }

    fn with_id(inner: ed25519_dalek::VerifyingKey) -> Self {
        Self { id: KeyId::of(inner.as_bytes()), inner }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.id)
    }
}

/// The name of a key: its RFC 7638 thumbprint, as text 43 characters of base64url.
///
/// It follows from the key, so that no two keys share one and none can be claimed for another key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 32]);

impl KeyId {
    /// The thumbprint of the public key `x`: SHA-256 over the required JWK members in lexical order (RFC 8037, 2).
    fn of(x: &[u8; 32]) -> Self {
        let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(x));
        Self(Sha256::digest(jwk.as_bytes()).into())
    }

    /// The id with these bytes. Any are an id; whether there is a key of this name is another question.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the thumbprint.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = KeyError;

    /// Reads exactly the 43 characters that `Display` writes.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.len() != 43 {
            return Err(KeyError::Id);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_withheld| KeyError::Id)?;
        bytes.try_into().map(Self).map_err(|_withheld| KeyError::Id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a key cannot be used. No message holds key material.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The private key file has another form.
    #[error("the private key is not an Ed25519 key in PKCS#8 PEM (`BEGIN PRIVATE KEY`)")]
    PrivateForm,
    /// The public key file has another form.
    #[error("the public key is not an Ed25519 key in PEM (`BEGIN PUBLIC KEY`)")]
    PublicForm,
    /// The text is no JSON Web Key of this kind.
    #[error("the text is not the JSON Web Key of an Ed25519 public key, or holds a private part")]
    JwkForm,
    /// The bytes name no point of the curve.
    #[error("the public key is not a point of the curve")]
    NotAPoint,
    /// The same point has a shorter encoding.
    #[error("the public key is not canonically encoded")]
    NonCanonical,
    /// A key of small order: anybody can sign for it.
    #[error("the public key has small order")]
    SmallOrder,
    /// Not a key id.
    #[error("a key id has 43 characters of base64url")]
    Id,
}

/// Whether the y coordinate, little endian without its sign bit, is below the prime 2^255 - 19.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let top_is_full = bytes[31] & 0x7f == 0x7f && bytes[1..31].iter().all(|&byte| byte == 0xff);
    !(top_is_full && bytes[0] >= 0xed)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_key_survives_its_pem() {
        let key = SigningKey::generate(&mut StdRng::seed_from_u64(1));
        let pem = key.to_pkcs8_pem();
        let back = SigningKey::from_pkcs8_pem(pem.expose()).unwrap();
        assert_eq!(key.verifying_key(), back.verifying_key());
        let public = VerifyingKey::from_public_key_pem(&key.verifying_key().to_public_key_pem()).unwrap();
        assert!(public.verifies(b"message", &back.sign(b"message")));
        assert!(!public.verifies(b"massage", &back.sign(b"message")));
    }

    #[test]
    fn a_key_survives_its_seed() {
        let key = SigningKey::generate(&mut StdRng::seed_from_u64(1));
        assert_eq!(SigningKey::from_seed(&key.to_seed()).id(), key.id());
        assert_eq!(format!("{:?}", key.to_seed()), "[secret]");
    }

    #[test]
    fn a_key_id_is_the_thumbprint_of_rfc_8037() {
        let x = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let key = VerifyingKey::from_bytes(&x.try_into().unwrap()).unwrap();
        assert_eq!(key.id().to_string(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(key.id().to_string().parse(), Ok(key.id()));
    }

    #[test]
    fn a_key_id_has_one_spelling() {
        let id = SigningKey::generate(&mut StdRng::seed_from_u64(1)).id().to_string();
        let mut other_last_bits = id.clone();
        let last = other_last_bits.pop().unwrap();
        other_last_bits.push(char::from(last as u8 + 1));
        for text in
            ["", "../../etc/passwd", &id[..42], &format!("{id}="), &format!("{id}A"), &other_last_bits]
        {
            assert_eq!(text.parse::<KeyId>(), Err(KeyError::Id), "{text:?}");
        }
    }

    #[test]
    fn weak_and_doubly_encoded_keys_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(VerifyingKey::from_bytes(&identity), Err(KeyError::SmallOrder));
        assert_eq!(VerifyingKey::from_bytes(&[0; 32]), Err(KeyError::SmallOrder));
        let mut shifted = [0xff; 32];
        (shifted[0], shifted[31]) = (0xed + 3, 0x7f); // y = 3, written as p + 3
        assert_eq!(VerifyingKey::from_bytes(&shifted), Err(KeyError::NonCanonical));
        let mut two = [0; 32];
        two[0] = 2;
        assert_eq!(VerifyingKey::from_bytes(&two), Err(KeyError::NotAPoint));
    }

    #[test]
    fn foreign_pem_is_refused_without_showing_it() {
        let public = SigningKey::generate(&mut StdRng::seed_from_u64(1)).verifying_key().to_public_key_pem();
        assert_eq!(SigningKey::from_pkcs8_pem(&public).unwrap_err(), KeyError::PrivateForm);
        let rsa = "-----BEGIN PRIVATE KEY-----\nMIIBVgIBADANBgkq\n-----END PRIVATE KEY-----\n";
        assert_eq!(SigningKey::from_pkcs8_pem(rsa).unwrap_err(), KeyError::PrivateForm);
        assert_eq!(VerifyingKey::from_public_key_pem(rsa), Err(KeyError::PublicForm));
    }

    #[test]
    fn debug_shows_no_private_key() {
        let key = SigningKey::generate(&mut StdRng::seed_from_u64(1));
        assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.id()));
    }
}
