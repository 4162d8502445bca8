//! Makes tokens: short-lived, never wider than what they come from, always such as the verifier accepts.

use std::time::Duration;

use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::ids::{AgentId, PersonId};
use aegis_model::json::{JsonObject, Limits, read_object};
use aegis_model::principal::Principal;
use aegis_model::reason::ReasonCode;
use aegis_model::scope::Scope;
use aegis_model::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::CryptoRng;
use serde_json::{Value, json};

use crate::approved::{self, ApprovedCall};
use crate::claims::{AgentClaims, TokenClaims, is_registered};
use crate::keys::{SigningKey, VerifyingKey};
use crate::person;
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

/// What makes a token this one: its id and its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Its id (`jti`).
    pub token_id: String,
    /// When it begins (`iat`), in seconds since 1970.
    pub issued_seconds: u64,
    /// When it ends (`exp`), in seconds since 1970.
    pub expires_seconds: u64,
}

impl Stamp {
    /// From `now` on, for `life` seconds, with an id of 16 bytes of `randomness`.
    pub fn new(now: UnixNanos, life: u64, randomness: &mut (impl CryptoRng + ?Sized)) -> Self {
        let issued_seconds = now.seconds();
        let token_id = new_token_id(randomness);
        Self { token_id, issued_seconds, expires_seconds: issued_seconds.saturating_add(life) }
    }
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
        let life = whole_seconds(life, TokenKind::Agent)?;
        self.agent_token(claims, &Stamp::new(now, life, randomness))
    }

    /// A token for `claims` whose id and times were decided elsewhere: the same ones give the same token again, since
    /// Ed25519 draws nothing at random.
    ///
    /// # Errors
    /// As [`Minter::mint_agent`].
    pub fn agent_token(&self, claims: &AgentClaims, stamp: &Stamp) -> Result<Minted, MintRefusal> {
        if claims.callers.len() > caps::CHAIN_MEMBERS_MAX {
            return Err(MintRefusal::ChainTooLong);
        }
        if claims.claims.keys().any(|claim| is_registered(claim)) {
            return Err(MintRefusal::RegisteredClaim);
        }
        let Stamp { token_id, issued_seconds, expires_seconds } = stamp;
        let payload = self.agent_payload(claims, *issued_seconds, *expires_seconds, token_id);
        let read = |payload| TokenClaims::read(payload).map(drop);
        self.sign(TokenKind::Agent, &payload, read, *expires_seconds, token_id.clone())
    }

    /// A token for `person` whose id and times were decided elsewhere: the same ones give the same token again.
    ///
    /// # Errors
    /// As [`Minter::mint_person`].
    pub fn person_token(&self, person: &PersonId, stamp: &Stamp) -> Result<Minted, MintRefusal> {
        let Stamp { token_id, issued_seconds, expires_seconds } = stamp;
        let payload = person::payload(&self.issuer, person, *issued_seconds, *expires_seconds, token_id);
        let read = |payload| person::PersonClaims::read(&payload).map(drop);
        self.sign(TokenKind::Person, &payload, read, *expires_seconds, token_id.clone())
    }

    /// An override token for `call` whose id and times were decided elsewhere: the same ones give the same token again.
    ///
    /// # Errors
    /// [`MintRefusal`]: whatever the verifier would refuse is not signed in the first place.
    pub fn override_token(&self, call: &ApprovedCall, stamp: &Stamp) -> Result<Minted, MintRefusal> {
        let Stamp { token_id, issued_seconds, expires_seconds } = stamp;
        let payload = approved::payload(&self.issuer, call, *issued_seconds, *expires_seconds, token_id);
        let read = |payload| approved::OverrideClaims::read(&payload).map(drop);
        self.sign(TokenKind::Override, &payload, read, *expires_seconds, token_id.clone())
    }

    /// A token for `person` from `now` on, for `life` in whole seconds (the rest is cut off), with an id of 16 bytes
    /// of `randomness`. The minter's issuer has to be the cluster.
    ///
    /// # Errors
    /// [`MintRefusal`]: whatever the verifier would refuse is not signed in the first place.
    pub fn mint_person(
        &self,
        person: &PersonId,
        life: Duration,
        now: UnixNanos,
        randomness: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Minted, MintRefusal> {
        let life = whole_seconds(life, TokenKind::Person)?;
        self.person_token(person, &Stamp::new(now, life, randomness))
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
            return Err(MintRefusal::Life(TokenKind::Agent));
        }
        self.mint_agent(&claims, wanted.life.min(Duration::from_secs(left)), now, randomness)
    }

    fn sign(
        &self,
        kind: TokenKind,
        payload: &JsonObject,
        read: impl FnOnce(JsonObject) -> Result<(), TokenRefusal>,
        expires: u64,
        token_id: String,
    ) -> Result<Minted, MintRefusal> {
        let payload = serde_json::to_vec(payload).expect("a JSON object with text keys is always written");
        check_as_verifier(&payload, read)?;
        let header = Header::write(kind, self.key.id());
        let token = token::write(&header, &payload, |message| self.key.sign(message));
        if token.len() > caps::TOKEN_BYTES_MAX {
            return Err(MintRefusal::Unacceptable(TokenRefusal::TooLong));
        }
        Ok(Minted { token: Secret::new(token), token_id, expires_at: UnixNanos::from_seconds(expires) })
    }

    fn agent_payload(&self, claims: &AgentClaims, issued: u64, expires: u64, token_id: &str) -> JsonObject {
        let mut payload = claims.claims.clone();
        let callers: Vec<&str> = claims.callers.iter().map(AgentId::as_str).collect();
        let mut put = |claim: &str, value: Value| drop(payload.insert(claim.to_owned(), value));
        put("iss", json!(self.issuer.as_str()));
        put("aud", json!(TokenKind::Agent.audience()));
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

fn whole_seconds(life: Duration, kind: TokenKind) -> Result<u64, MintRefusal> {
    let life = life.as_secs();
    let fits = (1..=kind.life_seconds_max()).contains(&life);
    if fits { Ok(life) } else { Err(MintRefusal::Life(kind)) }
}

/// A new token's id: 16 bytes of `randomness`.
pub fn new_token_id(randomness: &mut (impl CryptoRng + ?Sized)) -> String {
    let mut id = [0; 16];
    randomness.fill_bytes(&mut id);
    URL_SAFE_NO_PAD.encode(id)
}

/// Reads the payload back by the verifier's own rules, so that the two can never drift apart.
fn check_as_verifier(
    payload: &[u8],
    read: impl FnOnce(JsonObject) -> Result<(), TokenRefusal>,
) -> Result<(), MintRefusal> {
    read_object(payload, Limits::default())
        .map_err(|_withheld| TokenRefusal::Json(TokenPart::Payload))
        .and_then(read)
        .map_err(MintRefusal::Unacceptable)
}

/// Why no token is made. No message holds a claim's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MintRefusal {
    /// The life asked for is below a second or above [`TokenKind::life_seconds_max`].
    #[error("a token lives between 1 and {} seconds", .0.life_seconds_max())]
    Life(TokenKind),
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
            Self::Life(_) | Self::RegisteredClaim | Self::Unacceptable(_) => ReasonCode::InvalidRequest,
        }
    }

    /// Whether the same request may succeed later without anybody changing anything.
    pub fn retryable(self) -> bool {
        self.code().retryable()
    }
}
