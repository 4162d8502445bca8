//! Who asks: an agent whose token was verified.

use crate::clock::UnixNanos;
use crate::ids::{AgentId, OrgId, TenantId};
use crate::json::JsonObject;
use crate::scope::Scope;

/// The proven identity behind a call. Only `identity` makes one, from verified evidence.
#[derive(Clone)]
pub struct Principal {
    /// The organization (`org` claim).
    pub org: OrgId,
    /// The tenant whose policy applies (`tenant` claim).
    pub tenant: TenantId,
    /// The agent that makes this call and is judged (`sub` claim).
    pub agent: AgentId,
    /// What the token may be used for, before any policy is asked (`scope` claim).
    pub scope: Scope,
    /// Who called this agent, nearest first; at most [`crate::caps::CHAIN_MEMBERS_MAX`].
    pub callers: Vec<AgentId>,
    /// Every other claim fixed at minting (`purpose`, `environment`, …), readable by policies as `token.*`.
    pub claims: JsonObject,
    /// The token's own id (`jti`).
    pub token_id: String,
    /// When the evidence was made, by its maker's clock.
    pub issued_at: UnixNanos,
    /// The moment after which the evidence no longer counts.
    pub expires_at: UnixNanos,
}

/// Without the claims: a minter may put what it likes into them (AUD-2).
impl std::fmt::Debug for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Principal")
            .field("org", &self.org)
            .field("tenant", &self.tenant)
            .field("agent", &self.agent)
            .field("callers", &self.callers)
            .finish_non_exhaustive()
    }
}
