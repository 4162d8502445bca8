//! Agents of a tenant: list, register, show, bar, and their keys.

use aegis_model::ids::AgentId;
use aegis_proto::admin::{
    Agent, AgentList, AgentPublicKey, AgentRequest, RegisterAgentRequest, SetAgentKeysRequest,
    TenantListRequest, UpdateAgentRequest,
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
    };
    row!(caller.write("RegisterAgent", &request, command).await?, Agent).map(shown)
}

/// Shows an agent.
pub(crate) async fn get(caller: &Caller, request: AgentRequest) -> Result<Agent, Problem> {
    let tenant = form::tenant(&request.tenant)?;
    let name: AgentId = form::name("agent", &request.agent)?;
    let state = caller.reads(Read::Tenant(&tenant)).await?;
    tenants::known(&state, &tenant)?;
    let agent = agents::agent(&state, &tenant, &name)?;
    let agent = agent.ok_or_else(|| Refused::unknown(Code::UnknownAgent, "agent", name))?;
    Ok(shown(agent))
}

/// Bars an agent from tokens, or permits it again.
pub(crate) async fn update(caller: &Caller, request: UpdateAgentRequest) -> Result<Agent, Problem> {
    let Some(disabled) = request.disabled else {
        return Err(Problem::invalid("disabled", "`true` or `false`: nothing else of an agent changes so"));
    };
    let command =
        rows::DisableAgent { tenant: request.tenant.clone(), name: request.agent.clone(), disabled };
    row!(caller.write("UpdateAgent", &request, command).await?, Agent).map(shown)
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
    let key =
        |key: rows::AgentKey| AgentPublicKey { id: key.id, public_key: form::public_key(&key.public_key) };
    Agent {
        tenant: row.tenant,
        name: row.name,
        description: row.description,
        keys: row.keys.into_iter().map(key).collect(),
        disabled: row.disabled,
        created_at: form::time(row.created_ms),
        created_by: row.created_by,
        revision: row.revision,
    }
}
