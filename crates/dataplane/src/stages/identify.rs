//! `Received` → `Identified`: who asks is proven, or the walk ends here.

use std::sync::Arc;

use aegis_model::caps;
use aegis_model::ids::AgentId;
use aegis_model::principal::Principal;
use aegis_model::reason::ReasonCode;

use crate::case::{Case, Identified, Received, Refusal};
use crate::laps::Stage;

/// Verifies the token and finds the tenant's policy.
///
/// Refuses for: bad or expired evidence, a question about an agent that the token may not speak for, a chain that
/// grows too long by it, and a tenant for which the node has no policy.
pub(crate) fn identify(received: Received<'_>) -> Result<Identified, Refusal> {
    let Received { mut case, token, about } = received;
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
    case.laps.lap(Stage::Identify);
    Ok(Identified { case, principal, tenant })
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
