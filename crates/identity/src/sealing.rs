//! Sealing values to a tenant's public key, so that only the control plane can open them again.
//!
//! Source: RFC 9180 (HPKE), base mode, single shot: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. What is sealed is the
//! encapsulated key, 32 bytes, and the ciphertext behind it. Each sealing draws an ephemeral key from the system.

use aegis_model::secret::Secret;
use aws_lc_rs::agreement::{PrivateKey, X25519};
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as SUITE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};

/// The length of either half, and of an encapsulated key.
pub const SEALING_KEY_BYTES: usize = 32;

/// What a sealing is longer than what is in it: the encapsulated key and the tag of the cipher.
pub const SEALING_OVERHEAD_BYTES: usize = SEALING_KEY_BYTES + 16;

/// Sets these sealings apart from any other use of the same key.
const INFO: &[u8] = b"aegis/sealed-values/v1";

/// Why something cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealingError {
    /// A key of another length, or one that no secret comes from.
    #[error("the sealing key is damaged")]
    Key,
    /// It was changed, or sealed to another key or for another purpose.
    #[error("what is sealed is damaged, or was sealed to another key, or belongs elsewhere")]
    Refused,
}

/// The public half: whoever has it can seal, and open nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealingPublicKey([u8; SEALING_KEY_BYTES]);

impl SealingPublicKey {
    /// The key of these bytes.
    ///
    /// # Errors
    /// [`SealingError::Key`]: another length, or all zeros.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealingError> {
        let bytes = <[u8; SEALING_KEY_BYTES]>::try_from(bytes).map_err(|_length| SealingError::Key)?;
        if bytes == [0; SEALING_KEY_BYTES] { Err(SealingError::Key) } else { Ok(Self(bytes)) }
    }

    /// Its bytes, as RFC 7748 writes them.
    pub fn as_bytes(&self) -> &[u8; SEALING_KEY_BYTES] {
        &self.0
    }

    /// Seals `plain`. Who opens it has to name the same `about`: what it belongs to.
    ///
    /// # Errors
    /// [`SealingError::Key`]
    pub fn seal(&self, about: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealingError> {
        let key = HpkePublicKey(self.0.to_vec());
        let sealed = SUITE.seal(INFO, about, plain, &key);
        let (EncapsulatedSecret(mut out), cipher) = sealed.map_err(|_error| SealingError::Key)?;
        out.extend_from_slice(&cipher);
        Ok(out)
    }
}

/// The private half. `Debug` shows nothing of it.
#[derive(Debug, Clone)]
pub struct SealingKey(Secret<[u8; SEALING_KEY_BYTES]>);

impl SealingKey {
    /// The key of these bytes: any 32 random ones are a key.
    pub fn from_bytes(bytes: Secret<[u8; SEALING_KEY_BYTES]>) -> Self {
        Self(bytes)
    }

    /// The public half.
    ///
    /// # Errors
    /// [`SealingError::Key`]
    pub fn public(&self) -> Result<SealingPublicKey, SealingError> {
        let private = PrivateKey::from_private_key(&X25519, self.0.expose());
        let private = private.map_err(|_error| SealingError::Key)?;
        let public = private.compute_public_key().map_err(|_error| SealingError::Key)?;
        SealingPublicKey::from_bytes(public.as_ref())
    }

    /// Its bytes, to be wrapped.
    pub fn expose(&self) -> &Secret<[u8; SEALING_KEY_BYTES]> {
        &self.0
    }

    /// What is in `sealed`, which belongs to `about`.
    ///
    /// # Errors
    /// [`SealingError::Refused`]
    pub fn open(&self, about: &[u8], sealed: &[u8]) -> Result<Secret<Vec<u8>>, SealingError> {
        let (encapsulated, cipher) =
            sealed.split_at_checked(SEALING_KEY_BYTES).ok_or(SealingError::Refused)?;
        let key = HpkePrivateKey::from(self.0.expose().to_vec());
        let plain = SUITE.open(&EncapsulatedSecret(encapsulated.to_vec()), INFO, about, cipher, &key);
        plain.map(Secret::new).map_err(|_error| SealingError::Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(byte: u8) -> (SealingPublicKey, SealingKey) {
        let private = SealingKey::from_bytes(Secret::new([byte; SEALING_KEY_BYTES]));
        (private.public().unwrap(), private)
    }

    #[test]
    fn only_the_private_half_opens_and_only_as_what_it_was_sealed() {
        let (public, private) = pair(7);
        let sealed = public.seal(b"acme", b"219-09-9999").unwrap();
        assert_eq!(sealed.len(), 11 + SEALING_OVERHEAD_BYTES);
        assert_ne!(sealed, public.seal(b"acme", b"219-09-9999").unwrap(), "no two sealings are alike");
        assert_eq!(private.open(b"acme", &sealed).unwrap().expose(), b"219-09-9999");
        assert_eq!(private.open(b"globex", &sealed), Err(SealingError::Refused));
        let (_, other) = pair(8);
        assert_eq!(other.open(b"acme", &sealed), Err(SealingError::Refused));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(private.open(b"acme", &changed), Err(SealingError::Refused), "byte {at}");
            assert_eq!(private.open(b"acme", &sealed[..at]), Err(SealingError::Refused), "{at} bytes");
        }
        let again = SealingKey::from_bytes(private.expose().clone());
        assert_eq!(again.open(b"acme", &sealed).unwrap().expose(), b"219-09-9999");
        assert!(!format!("{private:?}").contains(char::is_numeric), "{private:?}");
    }

    #[test]
    fn a_bad_key_is_refused() {
        assert_eq!(SealingPublicKey::from_bytes(&[1; 31]), Err(SealingError::Key));
        assert_eq!(SealingPublicKey::from_bytes(&[0; 32]), Err(SealingError::Key));
        // A point of small order: no secret comes from it (RFC 7748, section 6.1).
        let mut small = [0; 32];
        small[0] = 1;
        let small = SealingPublicKey::from_bytes(&small).unwrap();
        assert_eq!(small.seal(b"acme", b"219-09-9999"), Err(SealingError::Key));
    }
}
