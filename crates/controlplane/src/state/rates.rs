//! Rates, and which data node may be using which part: what the next lender has to reckon with.

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::control::Rate;
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::limit_id::{LimitId, LimitOwner};
use super::page::{self, Page, PageQuery};
use super::writer::Writer;
use super::{key, row, tenants};

/// The limit's key, below its owner → [`Rate`].
pub const RATES: Table = Table::new("rates");
/// Log time of the last noted use, big-endian, then the key in [`RATES`] → nothing: the longest unused first.
pub const RATES_ORDER: Table = Table::new("rates_order");

/// A rate; nothing if no part of it is given out.
///
/// # Errors
/// The storage failed.
pub fn rate(state: &impl StateRead, id: &LimitId) -> Result<Option<Rate>, StoreError> {
    row::read(state, RATES, id.row())
}

/// The rates of a tenant, of its agents and of their entries.
///
/// # Errors
/// The storage failed.
pub fn rates(state: &impl StateRead, tenant: &TenantId, query: &PageQuery) -> Result<Page<Rate>, StoreError> {
    page::rows(state, RATES, &key::below(tenant.as_str()), query)
}

/// Sets a rate, unless a later part of it was given out already; notes that it is in use. Not beyond
/// [`caps::RATES_PER_TENANT_MAX`] and [`caps::RATES_MAX`]: whether it did.
pub(crate) fn put(write: &mut Writer<'_, '_>, id: &LimitId, rate: &Rate) -> Result<bool, StoreError> {
    let before = self::rate(write, id)?;
    if before.as_ref().is_some_and(|before| before.last_number > rate.last_number) {
        return Ok(true);
    }
    if before.is_none() && !count(write, id)? {
        return Ok(false);
    }
    let used_ms = before.map_or(0, |before| before.used_ms);
    let noted_ms = write.now_ms();
    let due = noted_ms.saturating_sub(used_ms) >= caps::RATE_NOTED_SECONDS * 1_000;
    let rate = Rate { used_ms: if due { noted_ms } else { used_ms }, ..rate.clone() };
    if due {
        write.delete(RATES_ORDER, &order_key(used_ms, id.row()))?;
        write.put_bytes(RATES_ORDER, &order_key(noted_ms, id.row()), &[])?;
    }
    write.put(RATES, id.row(), &rate)?;
    Ok(true)
}

/// Counts a new one, if there is room for it.
fn count(write: &mut Writer<'_, '_>, id: &LimitId) -> Result<bool, StoreError> {
    if write.counters().rates >= caps::RATES_MAX {
        return Ok(false);
    }
    if let LimitOwner::Tenant(tenant) = id.owner() {
        let mut counters = tenants::counters(write, tenant)?;
        if counters.rates >= caps::RATES_PER_TENANT_MAX {
            return Ok(false);
        }
        counters.rates += 1;
        tenants::put_counters(write, tenant, &counters)?;
    }
    write.counters_mut().rates += 1;
    Ok(true)
}

/// Up to `limit` rates that nobody has used for [`caps::RATE_KEPT_SECONDS`], the longest unused first.
pub(crate) fn unused(state: &impl StateRead, now_ms: u64, limit: usize) -> Result<Vec<Rate>, StoreError> {
    let mut found = Vec::new();
    for (order, _) in state.scan_prefix(RATES_ORDER, &[], None, limit)? {
        let (at, key) = order.split_first_chunk().ok_or_else(damaged)?;
        if now_ms.saturating_sub(u64::from_be_bytes(*at)) < caps::RATE_KEPT_SECONDS * 1_000 {
            break;
        }
        found.push(row::read(state, RATES, key)?.ok_or_else(damaged)?);
    }
    Ok(found)
}

/// Forgets a rate.
pub(crate) fn delete(write: &mut Writer<'_, '_>, rate: &Rate) -> Result<(), StoreError> {
    let id = LimitId::rate(rate.key.as_ref().ok_or_else(damaged)?).map_err(|_bad| damaged())?;
    write.delete(RATES, id.row())?;
    write.delete(RATES_ORDER, &order_key(rate.used_ms, id.row()))?;
    if let LimitOwner::Tenant(tenant) = id.owner() {
        let mut counters = tenants::counters(write, tenant)?;
        counters.rates = counters.rates.saturating_sub(1);
        tenants::put_counters(write, tenant, &counters)?;
    }
    let counters = write.counters_mut();
    counters.rates = counters.rates.saturating_sub(1);
    Ok(())
}

fn order_key(at_ms: u64, key: &[u8]) -> Vec<u8> {
    [&key::rising(at_ms), key].concat()
}

fn damaged() -> StoreError {
    StoreError::Damaged { table: RATES.name().to_owned() }
}
