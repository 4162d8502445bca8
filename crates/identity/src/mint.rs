//! Makes agent tokens: short-lived, never wider than what they come from, always such as the verifier accepts.

use std::time::Duration;

use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::ids::AgentId;
use aegis_model::json::{JsonObject, Limits, read_object};
use aegis_model::principal::Principal;
use aegis_model::reason::ReasonCode;
use aegis_model::scope::Scope;
use aegis_model::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::CryptoRng;
use serde_json::{Value, json};

use crate::claims::{AUDIENCE, AgentClaims, TokenClaims, is_registered};
use crate::keys::{SigningKey, VerifyingKey};
use crate::refusal::{TokenPart, TokenRefusal};
use crate::token::{self, Header, TokenKind};
use crate::trust::{Issuer, TrustedKey};

/// Signs tokens as one issuer with one key.
#[derive(Debug)]
pub struct Minter {
    key: SigningKey,
    issuer: Issuer,
}

/// A token that was just made.
#[derive(Debug)]
pub struct Minted {
    /// The token. A secret: whoever holds it is the agent until it expires.
    pub token: Secret<String>,
    /// Its id (`jti`), for records and revocation.
    pub token_id: String,
    /// Its expiry (`exp`).
    pub expires_at: UnixNanos,
}

/// What an agent asks for when it hands a call on to another agent.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The agent that the new token is for.
    pub agent: AgentId,
    /// Its scope: not wider than that of the token handed in.
    pub scope: Scope,
    /// Its life, cut off where the token handed in expires.
    pub life: Duration,
}

impl Minter {
    /// A minter that signs with `key` as `issuer`.
    pub fn new(key: SigningKey, issuer: Issuer) -> Self {
        Self { key, issuer }
    }

    /// What a verifier has to trust to accept the tokens of this minter.
    pub fn trusted_key(&self) -> TrustedKey {
        TrustedKey { issuer: self.issuer.clone(), key: VerifyingKey::clone(self.key.verifying_key()) }
    }

    /// A token for `claims` from `now` on, for `life` in whole seconds (the rest is cut off), with an id of
    /// 16 bytes of `randomness`.
    ///
    /// # Errors
    /// [`MintRefusal`]: whatever the verifier would refuse is not signed in the first place.
    pub fn mint_agent(
        &self,
        claims: &AgentClaims,
        life: Duration,
        now: UnixNanos,
        randomness: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Minted, MintRefusal> {
        let life = life.as_secs();
        if life == 0 || life > caps::TOKEN_LIFE_SECONDS_MAX {
            return Err(MintRefusal::Life);
        }
        if claims.callers.len() > caps::CHAIN_MEMBERS_MAX {
            return Err(MintRefusal::ChainTooLong);
        }
        if claims.claims.keys().any(|claim| is_registered(claim)) {
            return Err(MintRefusal::RegisteredClaim);
        }
        let mut id = [0; 16];
        randomness.fill_bytes(&mut id);
        self.sign(claims, now.seconds(), life, URL_SAFE_NO_PAD.encode(id))
    }

    /// A token for the agent that `parent` calls: same organization, tenant and further claims, a scope within
    /// the parent's, the parent at the head of the chain, and never valid longer than the parent's token.
    ///
    /// # Errors
    /// [`MintRefusal`]; [`MintRefusal::ParentExpired`] and [`MintRefusal::ScopeTooWide`] occur only here.
    pub fn exchange(
        &self,
        parent: &Principal,
        wanted: Exchange,
        now: UnixNanos,
        randomness: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Minted, MintRefusal> {
        let left = parent.expires_at.seconds().saturating_sub(now.seconds());
        if left == 0 {
            return Err(MintRefusal::ParentExpired);
        }
        if !wanted.scope.is_within(&parent.scope) {
            return Err(MintRefusal::ScopeTooWide);
        }
        let callers = std::iter::once(&parent.agent).chain(&parent.callers).cloned().collect();
        let claims = AgentClaims {
            org: parent.org.clone(),
            tenant: parent.tenant.clone(),
            agent: wanted.agent,
            scope: wanted.scope,
            callers,
            claims: parent.claims.clone(),
        };
        if wanted.life.as_secs() > caps::TOKEN_LIFE_SECONDS_MAX {
            return Err(MintRefusal::Life);
        }
        self.mint_agent(&claims, wanted.life.min(Duration::from_secs(left)), now, randomness)
    }

    fn sign(
        &self,
        claims: &AgentClaims,
        issued: u64,
        life: u64,
        token_id: String,
    ) -> Result<Minted, MintRefusal> {
        let expires = issued.saturating_add(life);
        let payload = self.payload(claims, issued, expires, &token_id);
        let payload = serde_json::to_vec(&payload).expect("a JSON object with text keys is always written");
        check_as_verifier(&payload)?;
        let header = Header::write(TokenKind::Agent, self.key.id());
        let token = token::write(&header, &payload, |message| self.key.sign(message));
        if token.len() > caps::TOKEN_BYTES_MAX {
            return Err(MintRefusal::Unacceptable(TokenRefusal::TooLong));
        }
        Ok(Minted { token: Secret::new(token), token_id, expires_at: UnixNanos::from_seconds(expires) })
    }

    fn payload(&self, claims: &AgentClaims, issued: u64, expires: u64, token_id: &str) -> JsonObject {
        let mut payload = claims.claims.clone();
        let callers: Vec<&str> = claims.callers.iter().map(AgentId::as_str).collect();
        let mut put = |claim: &str, value: Value| drop(payload.insert(claim.to_owned(), value));
        put("iss", json!(self.issuer.as_str()));
        put("aud", json!(AUDIENCE));
        put("sub", json!(claims.agent.as_str()));
        put("org", json!(claims.org.as_str()));
        put("tenant", json!(claims.tenant.as_str()));
        put("scope", json!(claims.scope.to_string()));
        put("iat", json!(issued));
        put("exp", json!(expires));
        put("jti", json!(token_id));
        if !callers.is_empty() {
            put("callers", json!(callers));
        }
        payload
    }
}

/// Reads the payload back by the verifier's own rules, so that the two can never drift apart.
fn check_as_verifier(payload: &[u8]) -> Result<(), MintRefusal> {
    let read = read_object(payload, Limits::default())
        .map_err(|_withheld| TokenRefusal::Json(TokenPart::Payload))
        .and_then(TokenClaims::read);
    read.map(drop).map_err(MintRefusal::Unacceptable)
}

/// Why no token is made. No message holds a claim's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MintRefusal {
    /// The life asked for is below a second or above [`caps::TOKEN_LIFE_SECONDS_MAX`].
    #[error("a token lives between 1 and {} seconds", caps::TOKEN_LIFE_SECONDS_MAX)]
    Life,
    /// More callers than [`caps::CHAIN_MEMBERS_MAX`].
    #[error("a delegation chain has at most {} members", caps::CHAIN_MEMBERS_MAX)]
    ChainTooLong,
    /// A further claim has the name of one that the minter writes itself.
    #[error("a further claim has the name of a registered one")]
    RegisteredClaim,
    /// The scope asked for is not within that of the token handed in.
    #[error("the scope is wider than that of the token it comes from")]
    ScopeTooWide,
    /// The token handed in is over.
    #[error("the token to be exchanged has expired")]
    ParentExpired,
    /// The verifier would refuse the result.
    #[error("the token could not be used: {0}")]
    Unacceptable(TokenRefusal),
}

impl MintRefusal {
    /// The stable code for clients.
    pub fn code(self) -> ReasonCode {
        match self {
            Self::ChainTooLong => ReasonCode::ChainTooDeep,
            Self::ScopeTooWide => ReasonCode::ScopeExceeded,
            Self::ParentExpired => ReasonCode::TokenExpired,
            Self::Life | Self::RegisteredClaim | Self::Unacceptable(_) => ReasonCode::InvalidRequest,
        }
    }

    /// Whether the same request may succeed later without anybody changing anything.
    pub fn retryable(self) -> bool {
        self.code().retryable()
    }
}
