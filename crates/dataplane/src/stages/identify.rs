//! `Received` → `Identified`: who asks is proven, or the walk ends here.

use std::sync::Arc;

use aegis_model::caps;
use aegis_model::ids::AgentId;
use aegis_model::principal::Principal;
use aegis_model::reason::ReasonCode;

use crate::case::{Case, Identified, Received, Refusal};
use crate::laps::Stage;
use crate::snapshot::Phase;

/// Verifies the token, and finds the version of the tenant's policy that judges the agent.
///
/// Refuses for: bad, expired or revoked evidence, a question about an agent that the token may not speak for, a chain
/// that grows too long by it, a tenant for which the node has no policy, and one whose policy is older than it accepts.
pub(crate) fn identify(received: Received<'_>) -> Result<Identified, Refusal> {
    let Received { mut case, token, about } = received;
    if case.snapshot.phase() == Phase::Awaiting {
        // Not a word about the token: nobody has told this node yet whose tokens count.
        return Err(case.deny_plainly(ReasonCode::PolicyUnavailable));
    }
    let principal = match case.snapshot.verifier().verify_agent(token, case.now) {
        Ok(principal) => principal,
        Err(refusal) => return Err(case.deny(refusal.code(), refusal.to_string())),
    };
    case.principal = Some(Arc::clone(&principal));
    let (mut case, principal) = match about {
        Some(agent) if agent != principal.agent => assert_for(case, &principal, agent)?,
        Some(_) | None => (case, principal),
    };
    let tenant = match case.snapshot.tenant(&principal.tenant) {
        Some(tenant) => Arc::clone(tenant),
        None => return Err(case.deny_plainly(ReasonCode::PolicyUnavailable)),
    };
    case.tenant = Some(Arc::clone(&tenant));
    if tenant.revoked().covers(&principal) {
        return Err(case.deny_plainly(ReasonCode::TokenRevoked));
    }
    if tenant.staleness().is_over(case.news_age) {
        return Err(case.deny_plainly(ReasonCode::PolicyStale));
    }
    let version = Arc::clone(tenant.version_for(&principal.agent));
    case.version = Some(Arc::clone(&version));
    case.laps.lap(Stage::Identify);
    Ok(Identified { case, principal, tenant, version })
}

/// The principal for a question about `agent`, asked by another one with scope `assert:AGENT`: the asking agent
/// becomes the nearest member of the chain, everything else stays what the token proves.
fn assert_for(
    mut case: Box<Case>,
    asker: &Principal,
    agent: AgentId,
) -> Result<(Box<Case>, Arc<Principal>), Refusal> {
    if !asker.scope.may_assert(&agent) {
        let message = "the token belongs to another agent and has no scope `assert` for this one";
        return Err(case.deny(ReasonCode::ScopeExceeded, message));
    }
    if asker.callers.len() >= caps::CHAIN_MEMBERS_MAX {
        let message = format!("the delegation chain would grow beyond {} members", caps::CHAIN_MEMBERS_MAX);
        return Err(case.deny(ReasonCode::ChainTooDeep, message));
    }
    let callers = std::iter::once(&asker.agent).chain(&asker.callers).cloned().collect();
    let principal = Arc::new(Principal { agent, callers, ..asker.clone() });
    case.principal = Some(Arc::clone(&principal));
    Ok((case, principal))
}
