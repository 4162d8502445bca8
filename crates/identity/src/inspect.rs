//! Shows a token without trusting it: what it says, and everything that is wrong with it.

use aegis_model::clock::UnixNanos;
use aegis_model::json::JsonObject;
use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use serde::{Serialize, Serializer};

use crate::claims;
use crate::person;
use crate::refusal::{TokenPart, TokenRefusal};
use crate::token::{self, Header, Parts, TokenKind};
use crate::trust::Trust;

/// A token taken apart. Holds what the token says, never its signature, so that it cannot be used from a log.
#[derive(Serialize)]
pub struct Inspection {
    /// The header, if it can be read at all.
    pub header: Option<JsonObject>,
    /// The claims, if they can be read at all.
    pub claims: Option<JsonObject>,
    /// What the token is for, by its `typ`.
    pub kind: Option<TokenKind>,
    /// Its times, as far as they can be read.
    pub times: Times,
    /// What is known about its signature.
    pub signature: SignatureStatus,
    /// Everything for which it would be refused, the form first. Empty: nothing found.
    #[serde(serialize_with = "as_messages")]
    pub findings: Vec<TokenRefusal>,
}

/// The times of a token, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Times {
    /// When it was made (`iat`).
    pub issued_at: Option<u64>,
    /// From when on it counts (`nbf`).
    pub not_before: Option<u64>,
    /// Until when it counts (`exp`).
    pub expires_at: Option<u64>,
    /// Seconds from now until then; negative when it is over.
    pub expires_in: Option<i64>,
}

/// What is known about a signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "status")]
pub enum SignatureStatus {
    /// It is right, by a key of this issuer.
    Valid {
        /// The issuer to whom the key is bound.
        issuer: String,
    },
    /// It is wrong, or is none.
    Invalid,
    /// The key that the token names is not trusted.
    UnknownKey,
    /// No trust was given to check it with.
    NotChecked,
}

/// Takes a token apart at `now`. Without `trust` the signature is not checked.
///
/// What the strict reader refuses is read once more leniently, only to show it; the finding stays.
pub fn inspect(token: &str, now: UnixNanos, trust: Option<&Trust>) -> Inspection {
    let mut findings = Vec::new();
    let Some(parts) = kept(token::split(token), &mut findings) else {
        return unreadable(findings);
    };
    let header = read(parts.header, TokenPart::Header, &mut findings);
    let claims = read(parts.payload, TokenPart::Payload, &mut findings);
    findings.extend(header.iter().flat_map(Header::problems));
    let kind = header.as_ref().and_then(|header| token::kind(header).ok());
    let signature = check_signature(&parts, header.as_ref(), trust, &mut findings);
    if let Some(claims) = &claims {
        judge_claims(claims, kind, &signature, now, &mut findings);
    }
    let times = times(claims.as_ref(), now);
    Inspection { header, claims, kind, times, signature, findings }
}

fn unreadable(findings: Vec<TokenRefusal>) -> Inspection {
    let times = times(None, UnixNanos(0));
    let signature = SignatureStatus::Invalid;
    Inspection { header: None, claims: None, kind: None, times, signature, findings }
}

fn read(text: &str, part: TokenPart, findings: &mut Vec<TokenRefusal>) -> Option<JsonObject> {
    kept(token::read_part(text, part), findings).or_else(|| read_leniently(text))
}

/// Padding, white space, the other alphabet and duplicate members are overlooked, as careless readers do.
fn read_leniently(text: &str) -> Option<JsonObject> {
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text: String = text.split_whitespace().collect();
    let text = text.replace('+', "-").replace('/', "_");
    let bytes = GeneralPurpose::new(&alphabet::URL_SAFE, config).decode(text).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn check_signature(
    parts: &Parts<'_>,
    header: Option<&JsonObject>,
    trust: Option<&Trust>,
    findings: &mut Vec<TokenRefusal>,
) -> SignatureStatus {
    let Some(signature) = kept(token::decode_signature(parts.signature), findings) else {
        return SignatureStatus::Invalid;
    };
    let Some(trust) = trust else {
        return SignatureStatus::NotChecked;
    };
    let key_id = header.and_then(|header| token::key_id(header).ok());
    let Some(trusted) = key_id.and_then(|id| trust.get(&id)) else {
        findings.push(TokenRefusal::UnknownKey);
        return SignatureStatus::UnknownKey;
    };
    if !trusted.key.verifies(parts.signed.as_bytes(), &signature) {
        findings.push(TokenRefusal::Signature);
        return SignatureStatus::Invalid;
    }
    SignatureStatus::Valid { issuer: trusted.issuer.to_string() }
}

fn judge_claims(
    claims: &JsonObject,
    kind: Option<TokenKind>,
    signature: &SignatureStatus,
    now: UnixNanos,
    findings: &mut Vec<TokenRefusal>,
) {
    if let SignatureStatus::Valid { issuer } = signature
        && claims::issuer(claims).is_ok_and(|claimed| claimed != issuer)
    {
        findings.push(TokenRefusal::Issuer);
    }
    match kind {
        Some(TokenKind::Person) => findings.extend(person::problems(claims, now)),
        Some(TokenKind::Override) => {
            findings.extend(claims::common_problems(claims, TokenKind::Override, now));
        }
        Some(TokenKind::Agent) | None => findings.extend(claims::problems(claims, now)),
    }
}

fn times(claims: Option<&JsonObject>, now: UnixNanos) -> Times {
    let time = |claim| claims.and_then(|claims| claims::seconds(claims, claim).ok());
    let expires_at = time("exp");
    let until = |at: u64| i64::try_from(i128::from(at) - i128::from(now.seconds())).ok();
    Times {
        issued_at: time("iat"),
        not_before: time("nbf"),
        expires_at,
        expires_in: expires_at.and_then(until),
    }
}

fn kept<T>(result: Result<T, TokenRefusal>, findings: &mut Vec<TokenRefusal>) -> Option<T> {
    result.map_err(|refusal| findings.push(refusal)).ok()
}

fn as_messages<S: Serializer>(findings: &[TokenRefusal], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(findings.iter().map(ToString::to_string))
}
