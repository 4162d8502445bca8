//! `/tenants/{tenant}/agents`.

use aegis_proto::admin::{
    AddAgentKeyRequest, Agent, AgentList, AgentRequest, RegisterAgentRequest, RetireAgentKeyRequest,
    SetAgentKeysRequest, UpdateAgentRequest,
};

use super::call::Call;
use super::reply::{self, Answer};
use crate::admin::service::agents;

/// List agents
///
/// By name. Any role in the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/agents", tag = "agents", operation_id = "ListAgents",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("limit" = Option<u32>, Query, description = "How many rows at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page of agents", body = AgentList)))]
pub(super) async fn list(mut call: Call) -> Answer {
    let request = call.tenant_list().await?;
    reply::ok(&agents::list(&call.caller, request).await?)
}

/// Register an agent
///
/// With the keys that prove it. Role `operator` or `admin` in the tenant.
#[utoipa::path(post, path = "/tenants/{tenant}/agents", tag = "agents", operation_id = "RegisterAgent",
    params(
        ("tenant" = String, Path, description = "The tenant"),
    ),
    request_body = RegisterAgentRequest,
    responses((status = 201, description = "The agent", body = Agent)))]
pub(super) async fn register(mut call: Call) -> Answer {
    let mut request: RegisterAgentRequest = call.body().await?;
    request.tenant = call.path("tenant");
    let agent = agents::register(&call.caller, request).await?;
    Ok(reply::with_tag(reply::created(&call.caller, &agent)?, agent.revision))
}

/// Show an agent
///
/// Any role in the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/agents/{agent}", tag = "agents", operation_id = "GetAgent",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("agent" = String, Path, description = "The agent"),
    ),
    responses((status = 200, description = "The agent; `ETag` is its revision", body = Agent)))]
pub(super) async fn get(mut call: Call) -> Answer {
    call.plain().await?;
    let request = AgentRequest { tenant: call.path("tenant"), agent: call.path("agent") };
    let agent = agents::get(&call.caller, request).await?;
    reply::tagged(&agent, agent.revision)
}

/// Change what tokens an agent gets by itself, bar it, or permit it again
///
/// What is not said stays. A barred agent gets no tokens, and data nodes refuse those that it has. Role `operator` or `admin`.
#[utoipa::path(patch, path = "/tenants/{tenant}/agents/{agent}", tag = "agents", operation_id = "UpdateAgent",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("agent" = String, Path, description = "The agent"),
        ("If-Match" = Option<String>, Header, description = "Only if this is the agent's revision, in quotes"),
    ),
    request_body = UpdateAgentRequest,
    responses((status = 200, description = "The agent as it is now", body = Agent)))]
pub(super) async fn update(mut call: Call) -> Answer {
    let mut request: UpdateAgentRequest = call.body().await?;
    (request.tenant, request.agent) = (call.path("tenant"), call.path("agent"));
    request.only_if_revision = call.only_if(request.only_if_revision)?;
    let agent = agents::update(&call.caller, request).await?;
    Ok(reply::with_tag(reply::done(&call.caller, &agent)?, agent.revision))
}

/// Replace an agent's keys
///
/// All its keys from now on. Role `operator` or `admin` in the tenant.
#[utoipa::path(put, path = "/tenants/{tenant}/agents/{agent}/keys", tag = "agents", operation_id = "SetAgentKeys",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("agent" = String, Path, description = "The agent"),
        ("If-Match" = Option<String>, Header, description = "Only if this is the agent's revision, in quotes"),
    ),
    request_body = SetAgentKeysRequest,
    responses((status = 200, description = "The agent as it is now", body = Agent)))]
pub(super) async fn set_keys(mut call: Call) -> Answer {
    let mut request: SetAgentKeysRequest = call.body().await?;
    (request.tenant, request.agent) = (call.path("tenant"), call.path("agent"));
    request.only_if_revision = call.only_if(request.only_if_revision)?;
    let agent = agents::set_keys(&call.caller, request).await?;
    Ok(reply::with_tag(reply::done(&call.caller, &agent)?, agent.revision))
}

/// Add a key to an agent's
///
/// Beside those that it has, which go on. Role `operator` or `admin` in the tenant.
#[utoipa::path(post, path = "/tenants/{tenant}/agents/{agent}/keys", tag = "agents", operation_id = "AddAgentKey",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("agent" = String, Path, description = "The agent"),
        ("If-Match" = Option<String>, Header, description = "Only if this is the agent's revision, in quotes"),
    ),
    request_body = AddAgentKeyRequest,
    responses((status = 201, description = "The agent as it is now", body = Agent)))]
pub(super) async fn add_key(mut call: Call) -> Answer {
    let mut request: AddAgentKeyRequest = call.body().await?;
    (request.tenant, request.agent) = (call.path("tenant"), call.path("agent"));
    request.only_if_revision = call.only_if(request.only_if_revision)?;
    let agent = agents::add_key(&call.caller, request).await?;
    Ok(reply::with_tag(reply::created(&call.caller, &agent)?, agent.revision))
}

/// Retire a key of an agent
///
/// At once, or after an overlap in which its successor takes its place. Tokens that it got stay good; revoke the key to end them. Role
/// `operator` or `admin` in the tenant.
#[utoipa::path(delete, path = "/tenants/{tenant}/agents/{agent}/keys/{id}", tag = "agents", operation_id = "RetireAgentKey",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("agent" = String, Path, description = "The agent"),
        ("id" = String, Path, description = "The key's id"),
        ("overlap_seconds" = Option<u32>, Query, description = "For how long it still proves the agent, up to a week"),
    ),
    responses((status = 200, description = "The agent as it is now", body = Agent)))]
pub(super) async fn retire_key(mut call: Call) -> Answer {
    let overlap_seconds = call.query(&["overlap_seconds"])?.number("overlap_seconds")?.unwrap_or(0);
    call.no_body().await?;
    let request = RetireAgentKeyRequest {
        tenant: call.path("tenant"),
        agent: call.path("agent"),
        id: call.path("id"),
        overlap_seconds,
    };
    let agent = agents::retire_key(&call.caller, request).await?;
    Ok(reply::with_tag(reply::done(&call.caller, &agent)?, agent.revision))
}
