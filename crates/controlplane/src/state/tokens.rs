//! Tokens of agents that were given out, as records, and how many each agent got by itself lately.

use aegis_model::caps;
use aegis_model::ids::{AgentId, TenantId};
use aegis_proto::control::{AgentToken, TokenPace, TokenRecord};
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::page::{self, Page, PageQuery};
use super::writer::Writer;
use super::{key, row, tenants};

/// Tenant, zero, number inverted → [`TokenRecord`]: the newest first.
pub const TOKENS: Table = Table::new("tokens");

/// Tenant, zero, agent → [`TokenPace`].
pub const TOKEN_PACES: Table = Table::new("token_paces");

/// A minute, in milliseconds.
const MINUTE_MS: u64 = 60_000;

/// The records of the tenant, the newest first.
///
/// # Errors
/// The storage failed.
pub fn tokens(
    state: &impl StateRead,
    tenant: &TenantId,
    query: &PageQuery,
) -> Result<Page<TokenRecord>, StoreError> {
    page::rows(state, TOKENS, &key::below(tenant.as_str()), query)
}

/// The pace of an agent with one more token at `now_ms`; as the error, in how many milliseconds there is room for one.
pub(crate) fn paced(
    state: &impl StateRead,
    tenant: &TenantId,
    agent: &AgentId,
    now_ms: u64,
) -> Result<Result<TokenPace, u64>, StoreError> {
    let pace: Option<TokenPace> =
        row::read(state, TOKEN_PACES, &key::pair(tenant.as_str(), agent.as_str().as_bytes()))?;
    Ok(match pace {
        Some(TokenPace { began_ms, count }) if now_ms < began_ms.saturating_add(MINUTE_MS) => {
            if count >= caps::AGENT_TOKENS_PER_MINUTE_MAX {
                Err(began_ms.saturating_add(MINUTE_MS) - now_ms)
            } else {
                Ok(TokenPace { began_ms, count: count + 1 })
            }
        }
        Some(_) | None => Ok(TokenPace { began_ms: now_ms, count: 1 }),
    })
}

pub(crate) fn put_pace(
    write: &mut Writer<'_, '_>,
    tenant: &TenantId,
    agent: &AgentId,
    pace: &TokenPace,
) -> Result<(), StoreError> {
    write.put(TOKEN_PACES, &key::pair(tenant.as_str(), agent.as_str().as_bytes()), pace)
}

/// The record of `token`, given out at `at_ms`; `proof` says by what.
pub(crate) fn record(token: &AgentToken, at_ms: u64, proof: TokenRecord) -> TokenRecord {
    TokenRecord {
        tenant: token.tenant.clone(),
        at_ms,
        agent: token.agent.clone(),
        token_id: token.token_id.clone(),
        scope: token.scope.clone(),
        callers: token.callers.clone(),
        expires_ms: token.expires_seconds.saturating_mul(1_000),
        ..proof
    }
}

/// Appends a record under the next number, and forgets the tenant's oldest beyond [`caps::TOKEN_RECORDS_MAX`].
pub(crate) fn append(
    write: &mut Writer<'_, '_>,
    tenant: &TenantId,
    record: TokenRecord,
) -> Result<(), StoreError> {
    let mut counters = tenants::counters(write, tenant)?;
    counters.tokens += 1;
    let number = counters.tokens;
    tenants::put_counters(write, tenant, &counters)?;
    write.put(TOKENS, &row_key(tenant, number), &TokenRecord { number, ..record })?;
    match number.checked_sub(caps::TOKEN_RECORDS_MAX) {
        Some(oldest) if oldest > 0 => write.delete(TOKENS, &row_key(tenant, oldest)).map(|_was_there| ()),
        Some(_) | None => Ok(()),
    }
}

fn row_key(tenant: &TenantId, number: u64) -> Vec<u8> {
    key::pair(tenant.as_str(), &key::falling(number))
}
