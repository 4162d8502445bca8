//! Signs assertions with the agent's key.

use std::fmt;

use aegis_model::clock::Clock;
use aegis_model::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::Signer as _;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use rand::Rng as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::error::SdkError;

/// For how long an assertion counts, in seconds: the time until it arrives, and clocks that differ.
const LIFE_SECONDS: u64 = 60;

/// Who signs for what.
pub(super) struct Signer {
    key: SigningKey,
    key_id: String,
    cluster: String,
    tenant: String,
    agent: String,
}

impl Signer {
    pub(super) fn new(
        private_key: &Secret<String>,
        cluster: String,
        tenant: String,
        agent: String,
    ) -> Result<Self, SdkError> {
        let key = SigningKey::from_pkcs8_pem(private_key.expose())
            .map_err(|_withheld| SdkError::AgentKey("it is not an Ed25519 key in PKCS#8 PEM"))?;
        let key_id = thumbprint(key.verifying_key().as_bytes());
        Ok(Self { key, key_id, cluster, tenant, agent })
    }

    /// An assertion that counts from now on, once.
    pub(super) fn sign(&self) -> Secret<String> {
        let now = Clock::System.now().seconds();
        let mut id = [0; 16];
        rand::rng().fill_bytes(&mut id);
        let header = json!({"alg": "EdDSA", "kid": self.key_id, "typ": "aegis-assertion+jwt"}).to_string();
        let claims = json!({
            "iss": self.agent, "sub": self.agent, "aud": self.cluster, "tenant": self.tenant,
            "iat": now, "exp": now + LIFE_SECONDS, "jti": URL_SAFE_NO_PAD.encode(id),
        });
        let mut text = URL_SAFE_NO_PAD.encode(header);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut text);
        let signature = self.key.sign(text.as_bytes()).to_bytes();
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        Secret::new(text)
    }
}

/// The RFC 7638 thumbprint of a public key: its id.
fn thumbprint(x: &[u8; 32]) -> String {
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(x));
    URL_SAFE_NO_PAD.encode(Sha256::digest(jwk.as_bytes()))
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("cluster", &self.cluster)
            .field("tenant", &self.tenant)
            .field("agent", &self.agent)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}
