//! The compact form of a token (RFC 7515), read so strictly that each token has exactly one spelling.

use aegis_model::caps;
use aegis_model::json::{JsonObject, Limits, read_object};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::Value;

use crate::keys::KeyId;
use crate::refusal::{TokenPart, TokenRefusal};
use crate::trust::{Issuer, Trust};

/// What a token is for. Each kind is accepted at its own door only, so that none stands in for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// Proves which agent calls.
    Agent,
    /// Redeems an approval for one call.
    Override,
    /// Proves which person uses the control plane.
    Person,
}

impl TokenKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Agent, Self::Override, Self::Person];

    /// The `typ` member of the header, compared byte for byte.
    pub fn typ(self) -> &'static str {
        match self {
            Self::Agent => "aegis-agent+jwt",
            Self::Override => "aegis-override+jwt",
            Self::Person => "aegis-person+jwt",
        }
    }

    /// The one value of `aud`, compared byte for byte.
    pub fn audience(self) -> &'static str {
        match self {
            Self::Agent | Self::Override => "aegis",
            Self::Person => "aegis-admin",
        }
    }

    /// The longest life, in seconds from `iat` to `exp`.
    pub fn life_seconds_max(self) -> u64 {
        match self {
            Self::Agent | Self::Override => caps::TOKEN_LIFE_SECONDS_MAX,
            Self::Person => caps::PERSON_TOKEN_LIFE_SECONDS_MAX,
        }
    }

    /// The kind with this `typ`.
    pub fn from_typ(typ: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.typ() == typ)
    }
}

/// A well-formed token whose signature nobody has checked. Its payload is still bytes.
#[derive(Debug)]
pub struct Unverified<'t> {
    signed: &'t str,
    key_id: KeyId,
    payload: Vec<u8>,
    signature: [u8; 64],
}

/// Takes a token apart at the door for tokens of kind `door`. Nothing in it is trusted yet.
///
/// # Errors
/// Everything about form and header: [`TokenRefusal::TooLong`] to [`TokenRefusal::KeyId`].
pub fn parse(token: &str, door: TokenKind) -> Result<Unverified<'_>, TokenRefusal> {
    let parts = split(token)?;
    let header = read_part(parts.header, TokenPart::Header)?;
    let header = Header::read(&header)?;
    if header.kind != door {
        return Err(TokenRefusal::Kind);
    }
    Ok(Unverified {
        signed: parts.signed,
        key_id: header.key_id,
        payload: decode(parts.payload, TokenPart::Payload)?,
        signature: decode_signature(parts.signature)?,
    })
}

impl Unverified<'_> {
    /// Checks the signature with the one key that the token names.
    ///
    /// # Errors
    /// [`TokenRefusal::UnknownKey`] and [`TokenRefusal::Signature`].
    pub fn authenticate<'k>(self, trust: &'k Trust) -> Result<Authentic<'k>, TokenRefusal> {
        let trusted = trust.get(&self.key_id).ok_or(TokenRefusal::UnknownKey)?;
        if !trusted.key.verifies(self.signed.as_bytes(), &self.signature) {
            return Err(TokenRefusal::Signature);
        }
        Ok(Authentic { issuer: &trusted.issuer, payload: self.payload })
    }
}

/// A token whose signature is right. What it claims is not judged yet.
#[derive(Debug)]
pub struct Authentic<'k> {
    issuer: &'k Issuer,
    payload: Vec<u8>,
}

impl<'k> Authentic<'k> {
    /// The issuer to whom the key is bound: the only `iss` that counts.
    pub fn issuer(&self) -> &'k Issuer {
        self.issuer
    }

    /// The claims.
    ///
    /// # Errors
    /// [`TokenRefusal::Json`]: the signer wrote something ambiguous.
    pub fn claims(&self) -> Result<JsonObject, TokenRefusal> {
        read_json(&self.payload, TokenPart::Payload)
    }
}

/// The three texts of a token, and what its signature covers.
pub(crate) struct Parts<'t> {
    pub(crate) header: &'t str,
    pub(crate) payload: &'t str,
    pub(crate) signature: &'t str,
    pub(crate) signed: &'t str,
}

pub(crate) fn split(token: &str) -> Result<Parts<'_>, TokenRefusal> {
    if token.len() > caps::TOKEN_BYTES_MAX {
        return Err(TokenRefusal::TooLong);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenRefusal::NotCompact)?;
    let (header, payload) = signed.split_once('.').ok_or(TokenRefusal::NotCompact)?;
    if payload.contains('.') {
        return Err(TokenRefusal::NotCompact);
    }
    Ok(Parts { header, payload, signature, signed })
}

/// Decodes and reads one of the two JSON parts.
pub(crate) fn read_part(text: &str, part: TokenPart) -> Result<JsonObject, TokenRefusal> {
    read_json(&decode(text, part)?, part)
}

pub(crate) fn decode_signature(text: &str) -> Result<[u8; 64], TokenRefusal> {
    let bytes = decode(text, TokenPart::Signature)?;
    bytes.try_into().map_err(|_other_length| TokenRefusal::Signature)
}

fn read_json(bytes: &[u8], part: TokenPart) -> Result<JsonObject, TokenRefusal> {
    read_object(bytes, Limits::default()).map_err(|_withheld| TokenRefusal::Json(part))
}

pub(crate) fn decode(text: &str, part: TokenPart) -> Result<Vec<u8>, TokenRefusal> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_withheld| TokenRefusal::Encoding(part))
}

/// The three members that a header has, and no other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) kind: TokenKind,
    pub(crate) key_id: KeyId,
}

impl Header {
    pub(crate) fn read(header: &JsonObject) -> Result<Self, TokenRefusal> {
        only_known_members(header)?;
        algorithm(header)?;
        Ok(Self { kind: kind(header)?, key_id: key_id(header)? })
    }

    /// Everything that is wrong with `header`; [`Header::read`] reports the first of it.
    pub(crate) fn problems(header: &JsonObject) -> impl Iterator<Item = TokenRefusal> {
        [only_known_members(header).err(), algorithm(header).err(), kind(header).err(), key_id(header).err()]
            .into_iter()
            .flatten()
    }

    /// The JSON text of the header of a token of `kind` that is signed by the key `key_id`.
    pub(crate) fn write(kind: TokenKind, key_id: KeyId) -> String {
        format!(r#"{{"alg":"EdDSA","kid":"{key_id}","typ":"{}"}}"#, kind.typ())
    }
}

pub(crate) fn only_known_members(header: &JsonObject) -> Result<(), TokenRefusal> {
    let known = header.keys().all(|member| matches!(member.as_str(), "alg" | "kid" | "typ"));
    if known { Ok(()) } else { Err(TokenRefusal::HeaderMember) }
}

pub(crate) fn algorithm(header: &JsonObject) -> Result<(), TokenRefusal> {
    match header.get("alg").and_then(Value::as_str) {
        Some("EdDSA") => Ok(()),
        Some(_) | None => Err(TokenRefusal::Algorithm),
    }
}

pub(crate) fn kind(header: &JsonObject) -> Result<TokenKind, TokenRefusal> {
    header.get("typ").and_then(Value::as_str).and_then(TokenKind::from_typ).ok_or(TokenRefusal::Kind)
}

pub(crate) fn key_id(header: &JsonObject) -> Result<KeyId, TokenRefusal> {
    let text = header.get("kid").and_then(Value::as_str).ok_or(TokenRefusal::KeyId)?;
    text.parse().map_err(|_withheld| TokenRefusal::KeyId)
}

/// Writes the compact form of a token.
pub(crate) fn write(header: &str, payload: &[u8], sign: impl FnOnce(&[u8]) -> [u8; 64]) -> String {
    let mut token = String::new();
    URL_SAFE_NO_PAD.encode_string(header, &mut token);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut token);
    let signature = sign(token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    token
}
