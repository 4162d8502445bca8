//! Where the agent's token comes from.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::assertion::AgentTokens;
use aegis_model::secret::Secret;
use aegis_model::slot::Slot;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// Why a provider has no token.
pub type TokenError = Box<dyn Error + Send + Sync>;

/// A token that is on its way.
pub type TokenFuture = Pin<Box<dyn Future<Output = Result<String, TokenError>> + Send>>;

/// Where the agent's token comes from. Cheap to clone; `Debug` never shows a token.
#[derive(Debug, Clone)]
pub enum TokenSource {
    /// Always the same one.
    Fixed(Secret<String>),
    /// Asked before each attempt, within the call's deadline. It caches if it is slow.
    Provider(TokenProvider),
    /// Got by an assertion that the agent's key signs, and renewed before it ends.
    Agent(AgentTokens),
}

impl TokenSource {
    /// A source that runs `provide` before each attempt.
    pub fn provider<F, R>(provide: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, TokenError>> + Send + 'static,
    {
        Self::Provider(TokenProvider(Arc::new(move || Box::pin(provide()))))
    }

    /// The token to use now.
    pub(crate) async fn token(&self) -> Result<Secret<String>, TokenError> {
        match self {
            Self::Fixed(token) => Ok(token.clone()),
            Self::Provider(provider) => (provider.0)().await.map(Secret::new),
            Self::Agent(tokens) => Ok(tokens.token().await?),
        }
    }
}

impl From<String> for TokenSource {
    fn from(token: String) -> Self {
        Self::Fixed(Secret::new(token))
    }
}

impl From<AgentTokens> for TokenSource {
    fn from(tokens: AgentTokens) -> Self {
        Self::Agent(tokens)
    }
}

impl From<&str> for TokenSource {
    fn from(token: &str) -> Self {
        Self::from(token.to_owned())
    }
}

/// The function behind [`TokenSource::Provider`].
#[derive(Clone)]
pub struct TokenProvider(Arc<dyn Fn() -> TokenFuture + Send + Sync>);

impl fmt::Debug for TokenProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenProvider")
    }
}

/// The slot of the agent whose token this is, by what the token says of itself: nobody verified it here, and nothing but where
/// the call is sent depends on it. Nothing if the token does not say.
pub(crate) fn slot_of(token: &str) -> Option<Slot> {
    #[derive(Deserialize)]
    struct Claims {
        tenant: String,
        sub: String,
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let Claims { tenant, sub } = serde_json::from_slice(&claims).ok()?;
    Some(Slot::of(&tenant.parse().ok()?, &sub.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_whose_it_is() {
        let token = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        let slot = slot_of(&token(r#"{"iss":"x","tenant":"acme","sub":"finance-agent","exp":1}"#));
        assert_eq!(slot.map(Slot::number), Some(15));
        for silent in
            [token(r#"{"tenant":"acme"}"#), token(r#"{"tenant":"a b","sub":"c"}"#), token("no JSON")]
        {
            assert_eq!(slot_of(&silent), None, "{silent}");
        }
        for silent in ["", "t-1", "a.!.c"] {
            assert_eq!(slot_of(silent), None, "{silent}");
        }
    }
}
