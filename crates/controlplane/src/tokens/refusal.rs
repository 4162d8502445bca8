//! Why no token is given out, in the words of RFC 6749: what helps the agent, and nothing about what exists in a tenant.

use aegis_identity::refusal::TokenRefusal;
use aegis_proto::v1;
use aegis_raft_store::tables::StoreError;
use tonic::Status;

use crate::command::{Code, Refused};
use crate::control::ProposeError;
use crate::keys::KeysError;

/// Why no token is given out.
#[derive(Debug)]
pub(super) enum NotIssued {
    /// It was judged so.
    Refused(Refusal),
    /// It could not be judged, or nobody knows what became of it.
    Status(Status),
}

/// A judgement.
#[derive(Debug)]
pub(super) struct Refusal {
    error: &'static str,
    description: String,
    retry_after_ms: u64,
}

impl Refusal {
    /// What is shown proves nothing.
    pub(super) fn grant(description: impl Into<String>) -> Self {
        Self { error: "invalid_grant", description: description.into(), retry_after_ms: 0 }
    }

    /// The request cannot be meant so.
    pub(super) fn request(description: impl Into<String>) -> Self {
        Self { error: "invalid_request", description: description.into(), retry_after_ms: 0 }
    }

    /// Its name in RFC 6749.
    pub(super) fn error(&self) -> &'static str {
        self.error
    }

    /// Whether what was judged may have changed a moment ago, at another control node.
    pub(super) fn may_be_stale(&self) -> bool {
        self.error != "invalid_request"
    }

    /// The same for everything that is not there, so that nobody learns what is.
    pub(super) fn unknown() -> Self {
        Self::grant("no such agent with such a key is registered")
    }
}

impl From<Refusal> for v1::TokenNotIssued {
    fn from(refusal: Refusal) -> Self {
        let Refusal { error, description, retry_after_ms } = refusal;
        Self { error: error.to_owned(), description, retry_after_ms }
    }
}

impl From<Refusal> for NotIssued {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// No message of such a refusal holds any part of a token.
impl From<TokenRefusal> for NotIssued {
    fn from(refusal: TokenRefusal) -> Self {
        Refusal::grant(refusal.to_string()).into()
    }
}

/// The state's refusal, told to whoever has signed for the agent already: names of agents and tenants are their own.
impl From<&Refused> for NotIssued {
    fn from(refused: &Refused) -> Self {
        let retry_after_ms = refused.detail("retry_after_ms").and_then(|ms| ms.parse().ok()).unwrap_or(0);
        let (error, description) = match refused.code {
            Code::UnknownTenant | Code::TenantRetired | Code::UnknownAgent => {
                return Refusal::unknown().into();
            }
            Code::ScopeExceeded => ("invalid_scope", refused.message.clone()),
            Code::ProofRefused | Code::AgentDisabled | Code::ChainTooDeep => {
                ("invalid_grant", refused.message.clone())
            }
            Code::TooFast | Code::TooMany => ("temporarily_unavailable", refused.message.clone()),
            Code::NotInitialized | Code::UnknownCommand => {
                return Self::Status(Status::unavailable("the cluster gives out no tokens yet"));
            }
            _ => ("invalid_request", refused.message.clone()),
        };
        let retry_after_ms = if refused.code == Code::TooMany { 1_000 } else { retry_after_ms };
        Refusal { error, description, retry_after_ms }.into()
    }
}

impl From<ProposeError> for NotIssued {
    fn from(error: ProposeError) -> Self {
        match error.refused() {
            Some(refused) => refused.into(),
            None if error.certainly_not_applied() => Self::Status(Status::unavailable(error.to_string())),
            None => Self::Status(Status::aborted("it is unknown whether a token was given out")),
        }
    }
}

impl From<StoreError> for NotIssued {
    fn from(error: StoreError) -> Self {
        Self::Status(Status::unavailable(error.to_string()))
    }
}

impl From<KeysError> for NotIssued {
    fn from(error: KeysError) -> Self {
        // The message names keys by their ids only.
        tracing::error!(%error, "no token of an agent can be signed or verified here");
        Self::Status(Status::unavailable("no token can be signed or verified here"))
    }
}
