//! The way of one request: proof, judgement, record, signature.

use std::sync::PoisonError;

use aegis_identity::claims::{AgentClaims, BASIS};
use aegis_identity::mint::{Stamp, new_token_id};
use aegis_model::clock::UnixNanos;
use aegis_model::ids::TenantId;
use aegis_model::json::JsonObject;
use aegis_model::scope::Scope;
use aegis_proto::control::{AgentToken, GrantAgentToken, done};
use aegis_proto::v1;
use aegis_raft_store::tables::StateView;
use serde_json::Value;
use tonic::Status;

use super::Shared;
use super::proof::{self, Proven};
use super::refusal::{NotIssued, Refusal};
use crate::command::actor::Actor;
use crate::command::would_be_refused;
use crate::keys::{KeyKind, keyring};
use crate::spans::Notes;

/// Gives out what `request` asks for, of `only` this tenant if one is named.
pub(super) async fn issue(
    shared: &Shared,
    request: &v1::IssueTokenRequest,
    only: Option<&TenantId>,
    notes: Option<&Notes>,
) -> Result<v1::IssuedToken, NotIssued> {
    let judged = {
        let applied = shared.control.view()?;
        prepared(shared, &applied, request, only)
    };
    let command = match judged {
        // What was registered a moment ago at another control node may still be on its way here.
        Err(NotIssued::Refused(refusal)) if refusal.may_be_stale() => {
            let newest = shared.control.read().await;
            let newest = newest.map_err(|error| NotIssued::Status(Status::unavailable(error.to_string())))?;
            prepared(shared, &newest, request, only)?
        }
        judged => judged?,
    };
    if let (Some(notes), Ok(tenant)) = (notes, command.tenant.parse()) {
        notes.tenant(&tenant);
    }
    let actor = Actor::ControlNode(shared.id);
    let propose = shared.control.propose(command, &actor);
    let answer = Notes::step(notes, "propose", propose).await?;
    let Some(done::Result::AgentToken(made)) = answer.done.result else {
        return Err(NotIssued::Status(Status::internal("a token was granted with another result")));
    };
    let minter = keyring::minter(&shared.control.view()?, &shared.cluster_keys, KeyKind::AgentToken)?;
    let stamp = Stamp {
        token_id: made.token_id.clone(),
        issued_seconds: made.issued_seconds,
        expires_seconds: made.expires_seconds,
    };
    let minted = minter.agent_token(&claims(&made)?, &stamp).map_err(|refusal| {
        tracing::warn!(%refusal, "a token was granted that cannot be signed");
        Refusal::request(refusal.to_string())
    })?;
    Ok(v1::IssuedToken {
        token: minted.token.expose().clone(),
        token_id: minted.token_id,
        expires_in: made.expires_seconds - made.issued_seconds,
        scope: made.scope,
    })
}

/// Verifies what was shown, and judges it by what is applied here: what has no chance is not replicated.
fn prepared(
    shared: &Shared,
    state: &StateView,
    request: &v1::IssueTokenRequest,
    only: Option<&TenantId>,
) -> Result<GrantAgentToken, NotIssued> {
    let applied = *shared.control.applied().borrow();
    // Never before log time, by which tokens are given out.
    let now = shared.clock.now().max(UnixNanos(applied.log_time_ms.saturating_mul(1_000_000)));
    let shown = request.proof.as_ref().ok_or_else(|| Refusal::request("nothing proves the agent"))?;
    let Proven { tenant, agent, proof } = proof::agent(shared, state, shown, now)?;
    if only.is_some_and(|only| *only != tenant) {
        return Err(Refusal::unknown().into());
    }
    let caller = match request.caller_token.as_str() {
        "" => None,
        token => Some(proof::caller(state, token, &tenant, now)?),
    };
    let token_id = new_token_id(&mut *shared.randomness.lock().unwrap_or_else(PoisonError::into_inner));
    let command = GrantAgentToken {
        tenant: tenant.to_string(),
        agent: agent.to_string(),
        token_id,
        scope: request.scope.clone(),
        life_seconds: request.life_seconds,
        proof: Some(proof),
        caller,
        data_node: request.node_name.clone(),
    };
    if let Some(refused) = would_be_refused(&command, state, &Actor::ControlNode(shared.id), applied)? {
        return Err((&refused).into());
    }
    Ok(command)
}

fn claims(made: &AgentToken) -> Result<AgentClaims, NotIssued> {
    let damaged = || NotIssued::Status(Status::internal("a token was granted with names that are none"));
    let mut claims = JsonObject::new();
    for claim in &made.claims {
        claims.insert(claim.name.clone(), Value::from(claim.value.as_str()));
    }
    if !made.basis.is_empty() {
        claims.insert(BASIS.to_owned(), Value::from(made.basis.clone()));
    }
    let callers = made.callers.iter().map(|name| name.parse().ok()).collect::<Option<_>>();
    Ok(AgentClaims {
        org: made.organization.parse().map_err(|_bad| damaged())?,
        tenant: made.tenant.parse().map_err(|_bad| damaged())?,
        agent: made.agent.parse().map_err(|_bad| damaged())?,
        scope: Scope::parse(&made.scope),
        callers: callers.ok_or_else(damaged)?,
        claims,
    })
}
