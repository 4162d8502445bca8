//! From a token to a person: the one way in for those who administer the cluster.
//!
//! A person's token says who, until when, and nothing else: what the person may do stands in the replicated state, so
//! that it can be taken away at once. For the same reason its life is bounded, and its `jti` is kept so that it can be
//! revoked; both are the caller's to look up.

use aegis_model::clock::UnixNanos;
use aegis_model::ids::PersonId;
use aegis_model::json::JsonObject;
use serde_json::{Value, json};

use crate::claims::{self, Window};
use crate::refusal::TokenRefusal;
use crate::token::{self, TokenKind};
use crate::trust::{Issuer, Trust};

/// Every claim that a person's token may have; all but `nbf` are required.
pub const CLAIMS: [&str; 7] = ["iss", "aud", "sub", "iat", "nbf", "exp", "jti"];

/// A person whose token was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenPerson {
    /// Who (`sub`).
    pub person: PersonId,
    /// The token's id (`jti`), for revocation and records.
    pub token_id: String,
    /// When it was made (`iat`).
    pub issued_at: UnixNanos,
    /// When it ends (`exp`).
    pub expires_at: UnixNanos,
}

/// The person of a person's token that counts at `now`, under a `trust` whose keys sign such tokens and whose issuer is
/// the cluster.
///
/// Nothing is remembered: people call seldom, and each call is looked at anew. Whether the token was revoked, and what
/// the person may do, is for the caller to judge.
///
/// # Errors
/// [`TokenRefusal`], with no part of the token in it.
pub fn verify_person(token: &str, trust: &Trust, now: UnixNanos) -> Result<ProvenPerson, TokenRefusal> {
    let authentic = token::parse(token, TokenKind::Person)?.authenticate(trust)?;
    let claims = authentic.claims()?;
    if claims::issuer(&claims)? != authentic.issuer().as_str() {
        return Err(TokenRefusal::Issuer);
    }
    let PersonClaims { person, window } = PersonClaims::read(&claims)?;
    window.check(now)?;
    Ok(person)
}

/// The claims of a person's token, checked. The issuer is compared by the caller, and the time as well.
pub(crate) struct PersonClaims {
    pub(crate) person: ProvenPerson,
    pub(crate) window: Window,
}

impl PersonClaims {
    /// Reads the claims; the first problem ends it.
    pub(crate) fn read(claims: &JsonObject) -> Result<Self, TokenRefusal> {
        claims::audience(claims, TokenKind::Person)?;
        let window = claims::window(claims, TokenKind::Person)?;
        only_known(claims)?;
        let person = ProvenPerson {
            person: claims::name(claims, "sub")?,
            token_id: claims::token_id(claims)?.to_owned(),
            issued_at: UnixNanos::from_seconds(claims::seconds(claims, "iat")?),
            expires_at: UnixNanos::from_seconds(claims::seconds(claims, "exp")?),
        };
        Ok(Self { person, window })
    }
}

/// Everything that is wrong with the claims of a person's token at `now`; [`PersonClaims::read`] reports the first.
pub(crate) fn problems(claims: &JsonObject, now: UnixNanos) -> impl Iterator<Item = TokenRefusal> {
    [claims::name::<PersonId>(claims, "sub").err(), only_known(claims).err()]
        .into_iter()
        .flatten()
        .chain(claims::common_problems(claims, TokenKind::Person, now))
}

/// The claims of a new token.
pub(crate) fn payload(
    issuer: &Issuer,
    person: &PersonId,
    issued: u64,
    expires: u64,
    token_id: &str,
) -> JsonObject {
    let claims: [(&str, Value); 6] = [
        ("iss", json!(issuer.as_str())),
        ("aud", json!(TokenKind::Person.audience())),
        ("sub", json!(person.as_str())),
        ("iat", json!(issued)),
        ("exp", json!(expires)),
        ("jti", json!(token_id)),
    ];
    claims.into_iter().map(|(claim, value)| (claim.to_owned(), value)).collect()
}

/// A claim that nobody reads may be one that somebody relies on: a restriction, such as `cnf`.
fn only_known(claims: &JsonObject) -> Result<(), TokenRefusal> {
    let known = claims.keys().all(|claim| CLAIMS.contains(&claim.as_str()));
    if known { Ok(()) } else { Err(TokenRefusal::UnknownClaim) }
}
