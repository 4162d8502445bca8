//! Agents and their keys.

use aegis_model::ids::{AgentId, TenantId};
use aegis_proto::control::{Agent, AgentKey, ChangeKind};
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::page::{self, Page, PageQuery};
use super::writer::Writer;
use super::{changes, key, row};

/// Tenant, zero, name → [`Agent`].
pub const AGENTS: Table = Table::new("agents");

/// One agent of the tenant.
///
/// # Errors
/// The storage failed.
pub fn agent(
    state: &impl StateRead,
    tenant: &TenantId,
    agent: &AgentId,
) -> Result<Option<Agent>, StoreError> {
    row::read(state, AGENTS, &key::pair(tenant.as_str(), agent.as_str().as_bytes()))
}

/// The tenant's agents, by name.
///
/// # Errors
/// The storage failed.
pub fn agents(
    state: &impl StateRead,
    tenant: &TenantId,
    query: &PageQuery,
) -> Result<Page<Agent>, StoreError> {
    page::rows(state, AGENTS, &key::below(tenant.as_str()), query)
}

/// Whether a key of an agent proves it at `now_ms`.
pub fn proves(key: &AgentKey, now_ms: u64) -> bool {
    key.ends_ms == 0 || now_ms < key.ends_ms
}

pub(crate) fn put(write: &mut Writer<'_, '_>, agent: &Agent) -> Result<(), StoreError> {
    write.put(AGENTS, &key::pair(&agent.tenant, agent.name.as_bytes()), agent)?;
    changes::note(write, ChangeKind::Agent, &agent.tenant, &agent.name)
}
