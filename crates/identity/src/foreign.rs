//! Tokens of issuers outside (OIDC): one issuer, one audience, one algorithm, and the keys that are pinned for it.
//!
//! Nothing in such a token says how it is to be verified. Its `alg` has to be the pinned one, its key one of the pinned set, and whatever
//! in its header points to other keys refuses it. What it claims beyond issuer, audience and time is one text: who it is about.

use std::str::FromStr;

use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::json::{JsonObject, Limits, read_object};
use aws_lc_rs::signature::{self, ParsedPublicKey, RsaPublicKeyComponents, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::keys::VerifyingKey;
use crate::refusal::{ClaimProblem, TokenPart, TokenRefusal};
use crate::token;

/// The algorithms that may be pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA with PKCS#1 v1.5 and SHA-256.
    Rs256,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Its name in a header, compared byte for byte.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl FromStr for Algorithm {
    type Err = KeySetError;

    fn from_str(text: &str) -> Result<Self, KeySetError> {
        let all = [Self::Rs256, Self::Es256, Self::EdDsa];
        all.into_iter().find(|algorithm| algorithm.as_str() == text).ok_or(KeySetError::Algorithm)
    }
}

/// Why a key set cannot be pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Another algorithm.
    #[error("the algorithm is `RS256`, `ES256` or `EdDSA`")]
    Algorithm,
    /// Not a JSON Web Key Set.
    #[error("this is not a JSON Web Key Set")]
    Form,
    /// A private or symmetric key is in it.
    #[error("the key set holds a private or symmetric key, which has to be considered lost")]
    Private,
    /// Two keys of one name.
    #[error("two keys of the set have the same `kid`")]
    Twice,
    /// More than [`caps::ISSUER_KEYS_MAX`].
    #[error("the key set holds more than {} keys", caps::ISSUER_KEYS_MAX)]
    TooMany,
    /// A key of the kind is too weak or malformed.
    #[error("a key of the set is malformed or too weak")]
    Key,
    /// No key of the pinned algorithm.
    #[error("the key set holds no key of the pinned algorithm")]
    Empty,
}

/// The public keys of an issuer, all of one algorithm.
#[derive(Debug, Clone)]
pub struct KeySet {
    algorithm: Algorithm,
    keys: Vec<(Option<String>, Key)>,
}

#[derive(Debug, Clone)]
enum Key {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(VerifyingKey),
}

impl KeySet {
    /// Reads a JSON Web Key Set (RFC 7517). Keys for other algorithms or other uses are left out.
    ///
    /// # Errors
    /// [`KeySetError`]; a single bad key of the pinned kind spoils the set, since nobody can say which one will sign.
    pub fn read(text: &[u8], algorithm: Algorithm) -> Result<Self, KeySetError> {
        if text.len() > caps::JWKS_BYTES_MAX {
            return Err(KeySetError::Form);
        }
        let set = read_object(text, Limits::default()).map_err(|_withheld| KeySetError::Form)?;
        let listed = set.get("keys").and_then(Value::as_array).ok_or(KeySetError::Form)?;
        if listed.len() > caps::ISSUER_KEYS_MAX {
            return Err(KeySetError::TooMany);
        }
        let mut keys: Vec<(Option<String>, Key)> = Vec::new();
        for jwk in listed {
            let jwk = jwk.as_object().ok_or(KeySetError::Form)?;
            if ["d", "p", "q", "dp", "dq", "qi", "k"].iter().any(|member| jwk.contains_key(*member)) {
                return Err(KeySetError::Private);
            }
            if !is_for(jwk, algorithm) {
                continue;
            }
            let id = match jwk.get("kid") {
                None => None,
                // It is shown to people.
                Some(Value::String(id))
                    if id.len() <= caps::TOKEN_ID_BYTES_MAX && !id.contains(char::is_control) =>
                {
                    Some(id.clone())
                }
                Some(_) => return Err(KeySetError::Form),
            };
            if id.is_some() && keys.iter().any(|(known, _)| *known == id) {
                return Err(KeySetError::Twice);
            }
            keys.push((id, Key::read(jwk, algorithm)?));
        }
        if keys.is_empty() { Err(KeySetError::Empty) } else { Ok(Self { algorithm, keys }) }
    }

    /// The set with nothing in it but what verifies signatures, as a JSON Web Key Set.
    pub fn to_jwks(&self) -> Value {
        let keys = self.keys.iter().map(|(id, key)| {
            let mut jwk = key.to_jwk();
            if let (Some(id), Some(members)) = (id, jwk.as_object_mut()) {
                members.insert("kid".to_owned(), Value::from(id.as_str()));
            }
            jwk
        });
        json!({ "keys": keys.collect::<Vec<_>>() })
    }

    /// How the keys are named; a key without a name has an empty one.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(id, _)| id.as_deref().unwrap_or_default())
    }

    /// The key that a token names; without a name, the only one there is.
    fn find(&self, key_id: Option<&str>) -> Option<&Key> {
        match (key_id, self.keys.as_slice()) {
            (None, [(_, only)]) => Some(only),
            (None, _) => None,
            (Some(wanted), keys) => {
                keys.iter().find(|(known, _)| known.as_deref() == Some(wanted)).map(|(_, key)| key)
            }
        }
    }
}

/// Whether a key is of the kind, and not said to be for something else.
fn is_for(jwk: &JsonObject, algorithm: Algorithm) -> bool {
    let says = |member: &str| jwk.get(member).map(|value| value.as_str().unwrap_or_default());
    let kind = match algorithm {
        Algorithm::Rs256 => says("kty") == Some("RSA"),
        Algorithm::Es256 => says("kty") == Some("EC") && says("crv") == Some("P-256"),
        Algorithm::EdDsa => says("kty") == Some("OKP") && says("crv") == Some("Ed25519"),
    };
    let operations = jwk.get("key_ops").map(|operations| operations.as_array().cloned().unwrap_or_default());
    kind && says("use").is_none_or(|usage| usage == "sig")
        && says("alg").is_none_or(|named| named == algorithm.as_str())
        && operations.is_none_or(|operations| operations.iter().any(|it| it == "verify"))
}

/// 65537, the one exponent that issuers use.
const EXPONENT: [u8; 3] = [1, 0, 1];

impl Key {
    fn read(jwk: &JsonObject, algorithm: Algorithm) -> Result<Self, KeySetError> {
        let bytes = |member: &str| {
            let text = jwk.get(member).and_then(Value::as_str).ok_or(KeySetError::Key)?;
            URL_SAFE_NO_PAD.decode(text).map_err(|_withheld| KeySetError::Key)
        };
        match algorithm {
            Algorithm::Rs256 => {
                let (n, e) = (bytes("n")?, bytes("e")?);
                // 2,048 to 4,096 bits: the leading byte counts, so it is not zero.
                let sound = (256..=512).contains(&n.len()) && n.first().is_some_and(|first| *first >= 0x80);
                if sound && e == EXPONENT { Ok(Self::Rsa { n, e }) } else { Err(KeySetError::Key) }
            }
            Algorithm::Es256 => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                if x.len() != 32 || y.len() != 32 {
                    return Err(KeySetError::Key);
                }
                let point = [&[4_u8], x.as_slice(), &y].concat();
                // Whether it is a point of the curve: another one verifies nothing, and would seem to be pinned.
                ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, &point)
                    .map_err(|_withheld| KeySetError::Key)?;
                Ok(Self::P256(point))
            }
            Algorithm::EdDsa => {
                let x: [u8; 32] = bytes("x")?.try_into().map_err(|_length| KeySetError::Key)?;
                VerifyingKey::from_bytes(&x).map(Self::Ed25519).map_err(|_withheld| KeySetError::Key)
            }
        }
    }

    fn to_jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa { n, e } => json!({"kty": "RSA", "n": text(n), "e": text(e)}),
            Self::P256(point) => {
                let (x, y) = point.get(1..).unwrap_or_default().split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)})
            }
            Self::Ed25519(key) => json!({"kty": "OKP", "crv": "Ed25519", "x": text(key.as_bytes())}),
        }
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa { n, e } => RsaPublicKeyComponents { n, e }
                .verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
            Self::P256(point) => UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                .verify(message, signature)
                .is_ok(),
            Self::Ed25519(key) => {
                signature.try_into().is_ok_and(|signature| key.verifies(message, signature))
            }
        }
    }
}

/// What is pinned for an issuer.
#[derive(Debug, Clone, Copy)]
pub struct Pinned<'p> {
    /// The one `iss`.
    pub issuer: &'p str,
    /// The one `aud`.
    pub audience: &'p str,
    /// The claim that names the agent.
    pub claim: &'p str,
    /// Its keys, and with them the algorithm.
    pub keys: &'p KeySet,
}

/// What a token of an issuer proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// The value of the claim that names the agent.
    pub subject: String,
    /// When it was made.
    pub issued_at: UnixNanos,
    /// When it ends.
    pub expires_at: UnixNanos,
}

/// Verifies a token of a pinned issuer that counts at `now`.
///
/// # Errors
/// [`TokenRefusal`], with no part of the token in it.
pub fn verify(text: &str, pinned: Pinned<'_>, now: UnixNanos) -> Result<Foreign, TokenRefusal> {
    let payload = verify_signature(text, pinned.keys)?;
    let claims = read_object(&payload, Limits::default())
        .map_err(|_withheld| TokenRefusal::Json(TokenPart::Payload))?;
    let says = |claim: &str| claims.get(claim).and_then(Value::as_str);
    if says("iss") != Some(pinned.issuer) {
        return Err(TokenRefusal::Issuer);
    }
    check_audience(&claims, pinned.audience)?;
    let (issued_at, expires_at) = check_time(&claims, now)?;
    if claims.contains_key("cnf") {
        return Err(TokenRefusal::Bound);
    }
    let subject = says(pinned.claim).filter(|subject| {
        !subject.is_empty() && subject.len() <= caps::ISSUER_BYTES_MAX && !subject.contains(char::is_control)
    });
    let subject = subject.ok_or(TokenRefusal::ForeignSubject)?.to_owned();
    Ok(Foreign { subject, issued_at, expires_at })
}

/// The payload of a token, if one of `keys` has signed it as it has to be.
fn verify_signature(text: &str, keys: &KeySet) -> Result<Vec<u8>, TokenRefusal> {
    let parts = token::split(text)?;
    let header = token::read_part(parts.header, TokenPart::Header)?;
    // Whatever says that the token means something else than it looks, or where keys are.
    const REFUSED: [&str; 9] = ["crit", "jwk", "jku", "x5u", "x5c", "b64", "zip", "enc", "cty"];
    if REFUSED.iter().any(|member| header.contains_key(*member)) {
        return Err(TokenRefusal::HeaderMember);
    }
    if header.get("alg").and_then(Value::as_str) != Some(keys.algorithm.as_str()) {
        return Err(TokenRefusal::ForeignAlgorithm);
    }
    match header.get("typ").map(|typ| typ.as_str().unwrap_or_default().to_ascii_lowercase()).as_deref() {
        None | Some("jwt" | "at+jwt" | "application/at+jwt") => {}
        Some(_) => return Err(TokenRefusal::Kind),
    }
    let key_id = match header.get("kid") {
        None => None,
        Some(Value::String(id)) => Some(id.as_str()),
        Some(_) => return Err(TokenRefusal::KeyId),
    };
    let key = keys.find(key_id).ok_or(TokenRefusal::UnknownKey)?;
    let payload = token::decode(parts.payload, TokenPart::Payload)?;
    let signature = token::decode(parts.signature, TokenPart::Signature)?;
    if !key.verifies(parts.signed.as_bytes(), &signature) {
        return Err(TokenRefusal::Signature);
    }
    Ok(payload)
}

/// One text, or a list of just this one: a token for several is one for somebody else too.
fn check_audience(claims: &JsonObject, audience: &str) -> Result<(), TokenRefusal> {
    let fits = match claims.get("aud") {
        Some(Value::String(only)) => only == audience,
        Some(Value::Array(list)) => matches!(list.as_slice(), [Value::String(only)] if only == audience),
        Some(_) | None => false,
    };
    if fits { Ok(()) } else { Err(TokenRefusal::ForeignAudience) }
}

/// When it was made and when it ends, if it counts at `now`. A token that does not say when it was made could not be revoked.
fn check_time(claims: &JsonObject, now: UnixNanos) -> Result<(UnixNanos, UnixNanos), TokenRefusal> {
    let (now, skew) = (now.seconds(), caps::CLOCK_SKEW_SECONDS_MAX);
    let seconds = |claim: &'static str| match claims.get(claim) {
        None => Ok(None),
        Some(value) => {
            value.as_u64().map(Some).ok_or(TokenRefusal::Claim { claim, problem: ClaimProblem::Type })
        }
    };
    let missing = |claim| TokenRefusal::Claim { claim, problem: ClaimProblem::Missing };
    let expires = seconds("exp")?.ok_or(missing("exp"))?;
    let issued = seconds("iat")?.ok_or(missing("iat"))?;
    if now >= expires.saturating_add(skew) {
        return Err(TokenRefusal::Expired);
    }
    if expires > issued.saturating_add(caps::FOREIGN_TOKEN_SECONDS_MAX) {
        return Err(TokenRefusal::ForeignLife);
    }
    let from = seconds("nbf")?.unwrap_or_default().max(issued);
    if from > now.saturating_add(skew) {
        return Err(TokenRefusal::NotYetValid);
    }
    Ok((UnixNanos::from_seconds(issued), UnixNanos::from_seconds(expires)))
}
