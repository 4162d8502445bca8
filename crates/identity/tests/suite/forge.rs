//! Makes tokens of any shape, signed rightly, so that exactly one thing is wrong with each.

use std::sync::Arc;
use std::time::Duration;

use aegis_identity::cache::TokenCache;
use aegis_identity::claims::AgentClaims;
use aegis_identity::keys::SigningKey;
use aegis_identity::mint::Minter;
use aegis_identity::refusal::TokenRefusal;
use aegis_identity::trust::Trust;
use aegis_identity::verify::Verifier;
use aegis_model::clock::UnixNanos;
use aegis_model::json::JsonObject;
use aegis_model::principal::Principal;
use aegis_model::scope::Scope;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

/// 2027-01-15T08:00:00Z.
pub(crate) const NOW_SECONDS: u64 = 1_800_000_000;
pub(crate) const NOW: UnixNanos = UnixNanos(NOW_SECONDS * 1_000_000_000);
pub(crate) const ISSUER: &str = "https://aegis.test";
pub(crate) const LIFE: Duration = Duration::from_secs(600);

pub(crate) fn key(seed: u64) -> SigningKey {
    SigningKey::generate(&mut StdRng::seed_from_u64(seed))
}

/// The key that [`trust`] holds.
pub(crate) fn trusted() -> SigningKey {
    key(1)
}

pub(crate) fn trust() -> Trust {
    Trust::single(ISSUER.parse().unwrap(), trusted().verifying_key().clone())
}

pub(crate) fn minter() -> Minter {
    Minter::new(trusted(), ISSUER.parse().unwrap())
}

/// Verifies with a cache that is empty.
pub(crate) fn verify(token: &str, now: UnixNanos) -> Result<Arc<Principal>, TokenRefusal> {
    Verifier::new(Arc::new(trust()), Arc::new(TokenCache::with_entries(4))).verify_agent(token, now)
}

pub(crate) fn at(seconds: i64) -> UnixNanos {
    UnixNanos::from_seconds(NOW_SECONDS.checked_add_signed(seconds).unwrap())
}

pub(crate) fn object(value: Value) -> JsonObject {
    value.as_object().unwrap().clone()
}

/// The header and claims of a token that is accepted, to be spoilt by tests.
pub(crate) fn good_header() -> JsonObject {
    object(json!({"alg": "EdDSA", "kid": trusted().id().to_string(), "typ": "aegis-agent+jwt"}))
}

pub(crate) fn good_claims() -> JsonObject {
    object(json!({
        "iss": ISSUER, "aud": "aegis", "sub": "finance-agent", "org": "acme", "tenant": "acme-payments",
        "scope": "stripe-payments:* github:read", "iat": NOW_SECONDS - 60, "exp": NOW_SECONDS + 600,
        "jti": "t-1", "callers": ["planner", "front"], "purpose": "care", "environment": "staging",
    }))
}

pub(crate) fn agent_claims() -> AgentClaims {
    AgentClaims {
        org: "acme".parse().unwrap(),
        tenant: "acme-payments".parse().unwrap(),
        agent: "finance-agent".parse().unwrap(),
        scope: Scope::parse("stripe-payments:* github:read"),
        callers: vec!["planner".parse().unwrap()],
        claims: object(json!({"purpose": "care", "environment": "staging", "shift": {"night": true}})),
    }
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Signs the two texts as they are, with `key`.
pub(crate) fn sign_texts(key: &SigningKey, header: &str, payload: &str) -> String {
    let signed = format!("{}.{}", encode(header), encode(payload));
    let signature = encode(key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// Signs with the trusted key.
pub(crate) fn sign(header: &JsonObject, claims: &JsonObject) -> String {
    sign_texts(&trusted(), &json!(header).to_string(), &json!(claims).to_string())
}

/// A good token, except that its header has `member` with `value`.
pub(crate) fn with_header(member: &str, value: Value) -> String {
    let mut header = good_header();
    header.insert(member.to_owned(), value);
    sign(&header, &good_claims())
}

/// A good token, except that its claims have `claim` with `value`.
pub(crate) fn with_claim(claim: &str, value: Value) -> String {
    with_claims(&[(claim, value)])
}

pub(crate) fn with_claims(changed: &[(&str, Value)]) -> String {
    let mut claims = good_claims();
    claims.extend(changed.iter().map(|(claim, value)| ((*claim).to_owned(), value.clone())));
    sign(&good_header(), &claims)
}

pub(crate) fn without_claim(claim: &str) -> String {
    let mut claims = good_claims();
    claims.remove(claim).unwrap();
    sign(&good_header(), &claims)
}
