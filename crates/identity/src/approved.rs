//! Override tokens: that people agreed to one call, and to which. Good at their own door only, and for one redemption, which the
//! control plane sees to (APR-1).

use aegis_model::clock::UnixNanos;
use aegis_model::ids::{AgentId, TenantId};
use aegis_model::json::JsonObject;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::claims::{self, Window};
use crate::refusal::{ClaimProblem, TokenRefusal};
use crate::token::{self, TokenKind};
use crate::trust::{Issuer, Trust};

/// Every claim that an override token may have; all but `nbf` are required.
pub const CLAIMS: [&str; 11] =
    ["iss", "aud", "sub", "tenant", "iat", "nbf", "exp", "jti", "approval", "digest", "key"];

/// What an override token says: which call of whom was agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovedCall {
    /// The tenant.
    pub tenant: TenantId,
    /// The agent that may make the call (`sub`).
    pub agent: AgentId,
    /// The approval.
    pub approval: String,
    /// The keyed digest of the call.
    pub digest: [u8; 32],
    /// The version of the tenant's key that the digest was made with (`key`).
    pub key_version: u32,
}

/// An override token that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenOverride {
    /// Who issued it: the owner of the key that signed it.
    pub issuer: Issuer,
    /// The call that was agreed to.
    pub call: ApprovedCall,
}

/// The call of an override token that counts at `now`, under a `trust` whose keys sign tokens of agents and overrides.
///
/// Whether the issuer is the cluster, whether it is the call that is made, and whether it was made before, is for the caller to find out.
///
/// # Errors
/// [`TokenRefusal`], with no part of the token in it.
pub fn verify_override(token: &str, trust: &Trust, now: UnixNanos) -> Result<ProvenOverride, TokenRefusal> {
    let authentic = token::parse(token, TokenKind::Override)?.authenticate(trust)?;
    let claims = authentic.claims()?;
    if claims::issuer(&claims)? != authentic.issuer().as_str() {
        return Err(TokenRefusal::Issuer);
    }
    let OverrideClaims { call, window } = OverrideClaims::read(&claims)?;
    window.check(now)?;
    Ok(ProvenOverride { issuer: authentic.issuer().clone(), call })
}

/// The claims of an override token, checked. The issuer is compared by the caller, and the time as well.
pub(crate) struct OverrideClaims {
    call: ApprovedCall,
    window: Window,
}

impl OverrideClaims {
    /// Reads the claims; the first problem ends it.
    pub(crate) fn read(claims: &JsonObject) -> Result<Self, TokenRefusal> {
        claims::audience(claims, TokenKind::Override)?;
        let window = claims::window(claims, TokenKind::Override)?;
        // A claim that nobody reads may be one that somebody relies on.
        if !claims.keys().all(|claim| CLAIMS.contains(&claim.as_str())) {
            return Err(TokenRefusal::UnknownClaim);
        }
        let _token_id = claims::token_id(claims)?;
        let call = ApprovedCall {
            tenant: claims::name(claims, "tenant")?,
            agent: claims::name(claims, "sub")?,
            approval: approval(claims)?,
            digest: digest(claims)?,
            key_version: u32::try_from(claims::seconds(claims, "key")?).map_err(|_too_large| bad("key"))?,
        };
        Ok(Self { call, window })
    }
}

/// The claims of a new token.
pub(crate) fn payload(
    issuer: &Issuer,
    call: &ApprovedCall,
    issued: u64,
    expires: u64,
    token_id: &str,
) -> JsonObject {
    let claims: [(&str, Value); 10] = [
        ("iss", json!(issuer.as_str())),
        ("aud", json!(TokenKind::Override.audience())),
        ("sub", json!(call.agent.as_str())),
        ("tenant", json!(call.tenant.as_str())),
        ("iat", json!(issued)),
        ("exp", json!(expires)),
        ("jti", json!(token_id)),
        ("approval", json!(call.approval)),
        ("digest", json!(URL_SAFE_NO_PAD.encode(call.digest))),
        ("key", json!(call.key_version)),
    ];
    claims.into_iter().map(|(claim, value)| (claim.to_owned(), value)).collect()
}

fn approval(claims: &JsonObject) -> Result<String, TokenRefusal> {
    match claims.get("approval") {
        Some(Value::String(id)) if is_id(id) => Ok(id.clone()),
        Some(_) | None => Err(bad("approval")),
    }
}

fn is_id(id: &str) -> bool {
    (1..=aegis_model::caps::TOKEN_ID_BYTES_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_graphic())
}

fn digest(claims: &JsonObject) -> Result<[u8; 32], TokenRefusal> {
    let text = claims.get("digest").and_then(Value::as_str).ok_or(bad("digest"))?;
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_withheld| bad("digest"))?;
    bytes.try_into().map_err(|_length| bad("digest"))
}

fn bad(claim: &'static str) -> TokenRefusal {
    TokenRefusal::Claim { claim, problem: ClaimProblem::Type }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::keys::SigningKey;
    use crate::mint::{Minter, Stamp};
    use crate::person::verify_person;

    fn minter() -> Minter {
        Minter::new(SigningKey::generate(&mut StdRng::seed_from_u64(1)), "c-1".parse().unwrap())
    }

    fn call() -> ApprovedCall {
        ApprovedCall {
            tenant: "acme".parse().unwrap(),
            agent: "payer".parse().unwrap(),
            approval: "a-1".to_owned(),
            digest: [7; 32],
            key_version: 3,
        }
    }

    fn stamp() -> Stamp {
        Stamp { token_id: "a-1".to_owned(), issued_seconds: 1_000_000, expires_seconds: 1_000_900 }
    }

    fn trust(minter: &Minter) -> Trust {
        Trust::new([minter.trusted_key()]).unwrap()
    }

    #[test]
    fn it_says_which_call_and_is_the_same_each_time() {
        let minter = minter();
        let minted = minter.override_token(&call(), &stamp()).unwrap();
        let again = minter.override_token(&call(), &stamp()).unwrap();
        assert_eq!(minted.token.expose(), again.token.expose());
        let at = |seconds| {
            verify_override(minted.token.expose(), &trust(&minter), UnixNanos::from_seconds(seconds))
        };
        assert_eq!(at(1_000_100).unwrap().call, call());
        assert_eq!(at(1_000_931).unwrap_err(), TokenRefusal::Expired);
    }

    #[test]
    fn it_opens_no_other_door_and_no_other_token_opens_its_own() {
        let minter = minter();
        let now = UnixNanos::from_seconds(1_000_100);
        let minted = minter.override_token(&call(), &stamp()).unwrap();
        assert_eq!(
            verify_person(minted.token.expose(), &trust(&minter), now).unwrap_err(),
            TokenRefusal::Kind
        );
        assert!(token::parse(minted.token.expose(), TokenKind::Agent).is_err());
        let person = minter.person_token(&"ann".parse().unwrap(), &stamp()).unwrap();
        let refused = verify_override(person.token.expose(), &trust(&minter), now).unwrap_err();
        assert_eq!(refused, TokenRefusal::Kind);
    }

    #[test]
    fn no_claim_is_skipped_and_none_is_missing() {
        let payload = payload(&"c-1".parse().unwrap(), &call(), 1_000_000, 1_000_900, "a-1");
        assert!(OverrideClaims::read(&payload).is_ok());
        for claim in payload.keys().filter(|claim| *claim != "iss") {
            let mut without = payload.clone();
            without.remove(claim);
            assert!(OverrideClaims::read(&without).is_err(), "without {claim}");
        }
        let mut more = payload.clone();
        more.insert("cnf".to_owned(), json!({}));
        assert_eq!(OverrideClaims::read(&more).err(), Some(TokenRefusal::UnknownClaim));
        let mut short = payload;
        short.insert("digest".to_owned(), json!("AAAA"));
        assert!(OverrideClaims::read(&short).is_err());
    }
}
