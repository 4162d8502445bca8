//! From a token to a principal: the one way in for agents.

use std::sync::Arc;

use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::principal::Principal;

use crate::cache::{CacheKey, TokenCache};
use crate::claims::{self, TokenClaims, Window};
use crate::refusal::TokenRefusal;
use crate::token::{self, TokenKind};
use crate::trust::Trust;

/// Verifies tokens under one trust. Cheap to clone; made anew when keys change, over the same cache.
#[derive(Debug, Clone)]
pub struct Verifier {
    trust: Arc<Trust>,
    cache: Arc<TokenCache>,
}

impl Verifier {
    /// Verifies under `trust`, remembering in `cache`, which may be shared with verifiers under another trust.
    pub fn new(trust: Arc<Trust>, cache: Arc<TokenCache>) -> Self {
        Self { trust, cache }
    }

    /// Whose signatures count.
    pub fn trust(&self) -> &Arc<Trust> {
        &self.trust
    }

    /// The principal of an agent token that counts at `now`. A token seen before costs a hash, not a signature.
    ///
    /// Whether the token was revoked, and whether its tenant is the one called, is for the caller to judge.
    ///
    /// # Errors
    /// [`TokenRefusal`], with no part of the token in it. A refusal is not remembered, except that time is up.
    pub fn verify_agent(&self, token: &str, now: UnixNanos) -> Result<Arc<Principal>, TokenRefusal> {
        if token.len() > caps::TOKEN_BYTES_MAX {
            return Err(TokenRefusal::TooLong);
        }
        let key = CacheKey::of(&self.trust, token);
        if let Some(known) = self.cache.get(&key, now) {
            return known;
        }
        let (principal, window) = self.verify_anew(token, now)?;
        let principal = Arc::new(principal);
        self.cache.put(key, window, Arc::clone(&principal));
        Ok(principal)
    }

    fn verify_anew(&self, token: &str, now: UnixNanos) -> Result<(Principal, Window), TokenRefusal> {
        let authentic = token::parse(token, TokenKind::Agent)?.authenticate(&self.trust)?;
        let claims = authentic.claims()?;
        if claims::issuer(&claims)? != authentic.issuer().as_str() {
            return Err(TokenRefusal::Issuer);
        }
        let claims = TokenClaims::read(claims)?;
        claims.window.check(now)?;
        let window = claims.window;
        Ok((principal(claims), window))
    }
}

fn principal(claims: TokenClaims) -> Principal {
    let TokenClaims { agent, token_id, issued_at, expires_at, window: _ } = claims;
    Principal {
        org: agent.org,
        tenant: agent.tenant,
        agent: agent.agent,
        scope: agent.scope,
        callers: agent.callers,
        claims: agent.claims,
        token_id,
        issued_at,
        expires_at,
    }
}
