//! What an agent signs itself to get a token: an assertion (RFC 7523), as strict as a token and much shorter-lived.
//!
//! An assertion is no token: its `typ` opens no other door, its `aud` is one cluster, it lives for minutes, and whoever takes it
//! remembers its `jti` for as long. What it says is not to be believed before [`Read::verify`]; until then it says only which key to
//! look for.

use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::ids::{AgentId, ClusterId, TenantId};
use aegis_model::json::JsonObject;
use serde_json::{Value, json};

use crate::claims::{self, Window};
use crate::keys::{KeyId, SigningKey, VerifyingKey};
use crate::refusal::{ClaimProblem, TokenPart, TokenRefusal};
use crate::token;

/// The `typ` member of its header, compared byte for byte.
pub const TYP: &str = "aegis-assertion+jwt";

/// Every claim that an assertion may have; all but `nbf` are required.
pub const CLAIMS: [&str; 8] = ["iss", "sub", "aud", "tenant", "iat", "nbf", "exp", "jti"];

/// An assertion that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// The tenant of the agent (`tenant`).
    pub tenant: TenantId,
    /// The agent (`iss` and `sub`).
    pub agent: AgentId,
    /// The key that signed it.
    pub key_id: KeyId,
    /// Its id (`jti`): it counts once.
    pub id: String,
    /// When it ends (`exp`).
    pub expires_at: UnixNanos,
}

/// An assertion in form and in time, whose signature nobody has checked.
#[derive(Debug)]
pub struct Read<'t> {
    signed: &'t str,
    signature: [u8; 64],
    claimed: Assertion,
}

/// Takes an assertion apart that is meant for `audience` and counts at `now`. Nothing in it is trusted yet.
///
/// # Errors
/// [`TokenRefusal`], with no part of the assertion in it.
pub fn read<'t>(text: &'t str, audience: &ClusterId, now: UnixNanos) -> Result<Read<'t>, TokenRefusal> {
    let parts = token::split(text)?;
    let header = token::read_part(parts.header, TokenPart::Header)?;
    token::only_known_members(&header)?;
    token::algorithm(&header)?;
    if header.get("typ").and_then(Value::as_str) != Some(TYP) {
        return Err(TokenRefusal::Kind);
    }
    let key_id = token::key_id(&header)?;
    let claims = token::read_part(parts.payload, TokenPart::Payload)?;
    let (claimed, window) = claimed(&claims, key_id, audience)?;
    window.check(now)?;
    Ok(Read { signed: parts.signed, signature: token::decode_signature(parts.signature)?, claimed })
}

impl Read<'_> {
    /// The tenant that it names.
    pub fn tenant(&self) -> &TenantId {
        &self.claimed.tenant
    }

    /// The agent that it names.
    pub fn agent(&self) -> &AgentId {
        &self.claimed.agent
    }

    /// The key that it names.
    pub fn key_id(&self) -> KeyId {
        self.claimed.key_id
    }

    /// Checks the signature with `key`, which has to be the one that the assertion names.
    ///
    /// # Errors
    /// [`TokenRefusal::UnknownKey`] for another key, and [`TokenRefusal::Signature`].
    pub fn verify(self, key: &VerifyingKey) -> Result<Assertion, TokenRefusal> {
        if key.id() != self.claimed.key_id {
            return Err(TokenRefusal::UnknownKey);
        }
        if !key.verifies(self.signed.as_bytes(), &self.signature) {
            return Err(TokenRefusal::Signature);
        }
        Ok(self.claimed)
    }
}

/// The text of an assertion of `agent`, signed with `key`: good for `life` seconds from `now` on, once.
///
/// `life` is at most [`caps::ASSERTION_LIFE_SECONDS_MAX`], or nobody takes it.
pub fn sign(
    key: &SigningKey,
    audience: &str,
    tenant: &str,
    agent: &str,
    id: &str,
    now: UnixNanos,
    life: u64,
) -> String {
    let header = format!(r#"{{"alg":"EdDSA","kid":"{}","typ":"{TYP}"}}"#, key.id());
    let claims = json!({
        "iss": agent, "sub": agent, "aud": audience, "tenant": tenant,
        "iat": now.seconds(), "exp": now.seconds().saturating_add(life), "jti": id,
    });
    token::write(&header, claims.to_string().as_bytes(), |message| key.sign(message))
}

fn claimed(
    claims: &JsonObject,
    key_id: KeyId,
    audience: &ClusterId,
) -> Result<(Assertion, Window), TokenRefusal> {
    if !claims.keys().all(|claim| CLAIMS.contains(&claim.as_str())) {
        return Err(TokenRefusal::UnknownClaim);
    }
    if claims.get("aud").and_then(Value::as_str) != Some(audience.as_str()) {
        return Err(TokenRefusal::AssertionAudience);
    }
    let agent: AgentId = claims::name(claims, "sub")?;
    if claims::issuer(claims)? != agent.as_str() {
        return Err(TokenRefusal::Claim { claim: "iss", problem: ClaimProblem::Value });
    }
    let window = claims::window_within(claims, caps::ASSERTION_LIFE_SECONDS_MAX)
        .map_err(|problem| problem.unwrap_or(TokenRefusal::AssertionLife))?;
    let assertion = Assertion {
        tenant: claims::name(claims, "tenant")?,
        agent,
        key_id,
        id: claims::token_id(claims)?.to_owned(),
        expires_at: UnixNanos::from_seconds(claims::seconds(claims, "exp")?),
    };
    Ok((assertion, window))
}
