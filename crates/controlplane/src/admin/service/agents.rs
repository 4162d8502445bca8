//! Agents of a tenant: list, register, show, bar, and their keys.

use aegis_model::ids::AgentId;
use aegis_proto::admin::{
    AddAgentKeyRequest, Agent, AgentList, AgentPublicKey, AgentRequest, RegisterAgentRequest,
    RetireAgentKeyRequest, SetAgentKeysRequest, TenantListRequest, TokenClaim, UpdateAgentRequest,
};
use aegis_proto::control as rows;

use super::{row, tenants};
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::{Problem, form};
use crate::command::{Code, Refused};
use crate::state::agents;

/// A tenant's agents, by name.
pub(crate) async fn list(caller: &Caller, request: TenantListRequest) -> Result<AgentList, Problem> {
    let (tenant, query) = (form::tenant(&request.tenant)?, form::page(request.limit, &request.cursor)?);
    let state = caller.reads(Read::Tenant(&tenant)).await?;
    tenants::known(&state, &tenant)?;
    let (items, next) = form::listed(agents::agents(&state, &tenant, &query)?, shown);
    Ok(AgentList { items, next })
}

/// Registers an agent.
pub(crate) async fn register(caller: &Caller, request: RegisterAgentRequest) -> Result<Agent, Problem> {
    let command = rows::RegisterAgent {
        tenant: request.tenant.clone(),
        name: request.name.clone(),
        description: request.description.clone(),
        public_keys: form::read_public_keys(&request.public_keys)?,
        bounds: Some(rows::AgentBounds {
            scope: request.scope.clone(),
            life_seconds_max: request.life_seconds_max,
            claims: fixed(&request.claims),
            spiffe_id: request.spiffe_id.clone(),
            issuer: request.issuer.clone(),
            issuer_subject: request.issuer_subject.clone(),
        }),
    };
    row!(caller.write("RegisterAgent", &request, command).await?, Agent).map(shown)
}

/// Shows an agent.
pub(crate) async fn get(caller: &Caller, request: AgentRequest) -> Result<Agent, Problem> {
    row_of(caller, &request.tenant, &request.agent).await.map(shown)
}

async fn row_of(caller: &Caller, tenant: &str, agent: &str) -> Result<rows::Agent, Problem> {
    let tenant = form::tenant(tenant)?;
    let name: AgentId = form::name("agent", agent)?;
    let state = caller.reads(Read::Tenant(&tenant)).await?;
    tenants::known(&state, &tenant)?;
    let agent = agents::agent(&state, &tenant, &name)?;
    agent.ok_or_else(|| Refused::unknown(Code::UnknownAgent, "agent", name).into())
}

/// Changes what tokens an agent may get by itself, bars it from them, or permits it again.
pub(crate) async fn update(caller: &Caller, request: UpdateAgentRequest) -> Result<Agent, Problem> {
    let UpdateAgentRequest { tenant, agent, disabled, only_if_revision, .. } = request.clone();
    if !changes_bounds(&request) {
        let Some(disabled) = disabled else {
            return Err(Problem::invalid("disabled", "given, or something else that is to change"));
        };
        if only_if_revision.is_none() {
            let command = rows::DisableAgent { tenant, name: agent, disabled };
            return row!(caller.write("UpdateAgent", &request, command).await?, Agent).map(shown);
        }
        let command =
            rows::SetAgent { tenant, name: agent, bounds: None, disabled: Some(disabled), only_if_revision };
        return row!(caller.write("UpdateAgent", &request, command).await?, Agent).map(shown);
    }
    // What is not said stays as it is now: whoever changes it meanwhile makes this one fail.
    let before = row_of(caller, &tenant, &agent).await?;
    let claims = match (request.without_claims, request.claims.is_empty()) {
        (true, true) => Vec::new(),
        (true, false) => return Err(Problem::invalid("without_claims", "without `claims`")),
        (false, true) => before.claims,
        (false, false) => fixed(&request.claims),
    };
    let bounds = rows::AgentBounds {
        scope: request.scope.clone().unwrap_or(before.scope),
        life_seconds_max: request.life_seconds_max.unwrap_or(before.life_seconds_max),
        claims,
        spiffe_id: request.spiffe_id.clone().unwrap_or(before.spiffe_id),
        issuer: request.issuer.clone().unwrap_or(before.issuer),
        issuer_subject: request.issuer_subject.clone().unwrap_or(before.issuer_subject),
    };
    let only_if_revision = Some(only_if_revision.unwrap_or(before.revision));
    let command = rows::SetAgent { tenant, name: agent, bounds: Some(bounds), disabled, only_if_revision };
    row!(caller.write("UpdateAgent", &request, command).await?, Agent).map(shown)
}

fn changes_bounds(request: &UpdateAgentRequest) -> bool {
    let UpdateAgentRequest {
        scope,
        life_seconds_max,
        claims,
        without_claims,
        spiffe_id,
        issuer,
        issuer_subject,
        ..
    } = request;
    scope.is_some()
        || life_seconds_max.is_some()
        || spiffe_id.is_some()
        || issuer.is_some()
        || issuer_subject.is_some()
        || !claims.is_empty()
        || *without_claims
}

fn fixed(claims: &[TokenClaim]) -> Vec<rows::FixedClaim> {
    let fixed =
        |claim: &TokenClaim| rows::FixedClaim { name: claim.name.clone(), value: claim.value.clone() };
    claims.iter().map(fixed).collect()
}

/// Adds a key to those of an agent.
pub(crate) async fn add_key(caller: &Caller, request: AddAgentKeyRequest) -> Result<Agent, Problem> {
    let command = rows::AddAgentKey {
        tenant: request.tenant.clone(),
        name: request.agent.clone(),
        public_key: form::read_one_public_key(&request.public_key)?,
        only_if_revision: request.only_if_revision,
    };
    row!(caller.write("AddAgentKey", &request, command).await?, Agent).map(shown)
}

/// Retires a key of an agent, at once or after a while.
pub(crate) async fn retire_key(caller: &Caller, request: RetireAgentKeyRequest) -> Result<Agent, Problem> {
    let command = rows::RetireAgentKey {
        tenant: request.tenant.clone(),
        name: request.agent.clone(),
        id: request.id.clone(),
        overlap_seconds: request.overlap_seconds,
    };
    row!(caller.write("RetireAgentKey", &request, command).await?, Agent).map(shown)
}

/// Replaces an agent's keys.
pub(crate) async fn set_keys(caller: &Caller, request: SetAgentKeysRequest) -> Result<Agent, Problem> {
    let command = rows::SetAgentKeys {
        tenant: request.tenant.clone(),
        name: request.agent.clone(),
        public_keys: form::read_public_keys(&request.public_keys)?,
        only_if_revision: request.only_if_revision,
    };
    row!(caller.write("SetAgentKeys", &request, command).await?, Agent).map(shown)
}

fn shown(row: rows::Agent) -> Agent {
    let key = |key: rows::AgentKey| AgentPublicKey {
        id: key.id,
        public_key: form::public_key(&key.public_key),
        ends_at: form::maybe_time(key.ends_ms),
    };
    let claim = |claim: rows::FixedClaim| TokenClaim { name: claim.name, value: claim.value };
    Agent {
        tenant: row.tenant,
        name: row.name,
        description: row.description,
        keys: row.keys.into_iter().map(key).collect(),
        disabled: row.disabled,
        created_at: form::time(row.created_ms),
        created_by: row.created_by,
        revision: row.revision,
        scope: row.scope,
        life_seconds_max: row.life_seconds_max,
        claims: row.claims.into_iter().map(claim).collect(),
        spiffe_id: row.spiffe_id,
        issuer: row.issuer,
        issuer_subject: row.issuer_subject,
    }
}
