//! What a token may say: never more than the agent is registered for, nor than the caller's token says.

use aegis_model::caps;
use aegis_model::ids::AgentId;
use aegis_model::scope::Scope;
use aegis_proto::control::grant_agent_token::Proof;
use aegis_proto::control::{Agent, FixedClaim, GrantAgentToken};

use super::super::refused::{Code, Refused};
use super::super::{agent_bounds, checks};

/// The scope: what is wanted, if that is permitted; everything that is permitted, if nothing is said.
pub(super) fn scope(wanted: &GrantAgentToken, agent: &Agent) -> Result<Scope, Refused> {
    let registered = Scope::parse(&agent.scope);
    let of_caller = wanted.caller.as_ref().map(|caller| Scope::parse(&caller.scope));
    let exceeded = |message: &str| Refused::new(Code::ScopeExceeded, message);
    let scope = agent_bounds::read_scope("scope", &wanted.scope)?;
    let scope = match (&of_caller, scope.is_empty()) {
        (_, false) => scope,
        (None, true) => registered.clone(),
        (Some(of_caller), true) => registered.shared_with(of_caller),
    };
    if scope.is_empty() {
        return Err(exceeded("nothing is permitted to the agent here"));
    }
    if !scope.is_within(&registered) {
        return Err(exceeded("the scope is wider than what the agent is registered for"));
    }
    if of_caller.is_some_and(|of_caller| !scope.is_within(&of_caller)) {
        return Err(exceeded("the scope is wider than that of the caller's token"));
    }
    // What both permit may have more items than a token carries.
    agent_bounds::read_scope("scope", &scope.to_string())
}

/// When it ends, in seconds: a wish is shortened to what is permitted, and a token never outlives what it
/// rests on.
pub(super) fn expires(wanted: &GrantAgentToken, agent: &Agent, issued_seconds: u64) -> Result<u64, Refused> {
    let registered = match agent.life_seconds_max {
        0 => caps::TOKEN_LIFE_SECONDS_MAX,
        seconds => u64::from(seconds).min(caps::TOKEN_LIFE_SECONDS_MAX),
    };
    let life = match wanted.life_seconds {
        0 => registered,
        seconds => u64::from(seconds).min(registered),
    };
    let until = issued_seconds.saturating_add(life);
    // Nor what an issuer outside said of it.
    let until = match &wanted.proof {
        Some(Proof::Issuer(shown)) => until.min(shown.expires_seconds),
        Some(_) | None => until,
    };
    let until = wanted.caller.iter().fold(until, |until, caller| until.min(caller.expires_seconds));
    if until <= issued_seconds {
        return Err(Refused::new(Code::ProofRefused, "what the token would rest on has ended"));
    }
    Ok(until)
}

/// Who called the agent, nearest first.
pub(super) fn callers(wanted: &GrantAgentToken) -> Result<Vec<String>, Refused> {
    let Some(caller) = &wanted.caller else { return Ok(Vec::new()) };
    let callers: Vec<String> = std::iter::once(&caller.agent).chain(&caller.callers).cloned().collect();
    if callers.len() > caps::CHAIN_MEMBERS_MAX {
        let message = format!("a delegation chain has at most {} members", caps::CHAIN_MEMBERS_MAX);
        return Err(Refused::new(Code::ChainTooDeep, message));
    }
    for name in &callers {
        checks::name::<AgentId>("caller", name)?;
    }
    Ok(callers)
}

/// Further claims: those of the caller's token, which say for what the whole chain acts, and those of the registration. Where both
/// say something different of the same thing, nobody can say which of the two is meant, and there is no token.
pub(super) fn claims(wanted: &GrantAgentToken, agent: &Agent) -> Result<Vec<FixedClaim>, Refused> {
    let mut claims = wanted.caller.as_ref().map(|caller| caller.claims.clone()).unwrap_or_default();
    for fixed in &agent.claims {
        match claims.iter().find(|claim| claim.name == fixed.name) {
            None => claims.push(fixed.clone()),
            Some(known) if known.value == fixed.value => {}
            Some(_) => {
                let message = format!(
                    "the caller's token and the agent's registration differ in the claim `{}`",
                    fixed.name
                );
                return Err(Refused::new(Code::ProofRefused, message).with("claim", &fixed.name));
            }
        }
    }
    // One place is for the claim `basis`.
    if claims.len() >= caps::TOKEN_CLAIMS_MAX {
        return Err(Refused::too_many("claims of a token", caps::TOKEN_CLAIMS_MAX));
    }
    Ok(claims)
}
