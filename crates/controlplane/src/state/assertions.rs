//! Assertions of agents that were taken, so that none is taken twice.

use aegis_model::ids::{AgentId, TenantId};
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::key;
use super::writer::Writer;

/// Tenant, zero, agent, zero, digest of the `jti` → its end, big-endian.
pub const ASSERTIONS: Table = Table::new("assertions");

/// End big-endian, then the key in [`ASSERTIONS`] → nothing: the first to end first.
pub const ASSERTIONS_ORDER: Table = Table::new("assertions_order");

/// How many that ended are forgotten with each new one: two, so that their number falls.
const FORGET_WITH_EACH: usize = 2;

/// Whether an assertion with this digest was taken.
///
/// # Errors
/// The storage failed.
pub fn was_taken(
    state: &impl StateRead,
    tenant: &TenantId,
    agent: &AgentId,
    digest: &[u8; 32],
) -> Result<bool, StoreError> {
    Ok(state.get(ASSERTIONS, &row_key(tenant, agent, digest))?.is_some())
}

/// Remembers one that was not taken before until `ends_ms`, and forgets some that ended.
pub(crate) fn put(
    write: &mut Writer<'_, '_>,
    tenant: &TenantId,
    agent: &AgentId,
    digest: &[u8; 32],
    ends_ms: u64,
) -> Result<(), StoreError> {
    forget_ended(write)?;
    let key = row_key(tenant, agent, digest);
    write.put_bytes(ASSERTIONS_ORDER, &[key::rising(ends_ms).as_slice(), &key].concat(), &[])?;
    write.put_bytes(ASSERTIONS, &key, &key::rising(ends_ms))?;
    write.counters_mut().assertions += 1;
    Ok(())
}

fn forget_ended(write: &mut Writer<'_, '_>) -> Result<(), StoreError> {
    for (order, _) in write.scan_prefix(ASSERTIONS_ORDER, &[], None, FORGET_WITH_EACH)? {
        let damaged = || StoreError::Damaged { table: ASSERTIONS_ORDER.name().to_owned() };
        let (end, key) = order.split_first_chunk().ok_or_else(damaged)?;
        if u64::from_be_bytes(*end) > write.now_ms() {
            break;
        }
        write.delete(ASSERTIONS, key)?;
        write.delete(ASSERTIONS_ORDER, &order)?;
        let counters = write.counters_mut();
        counters.assertions = counters.assertions.saturating_sub(1);
    }
    Ok(())
}

/// A digest has a fixed length, and no name holds a zero byte, so that no two assertions share a key.
fn row_key(tenant: &TenantId, agent: &AgentId, digest: &[u8; 32]) -> Vec<u8> {
    key::pair(tenant.as_str(), &key::pair(agent.as_str(), digest))
}
