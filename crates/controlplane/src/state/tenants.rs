//! Tenants, also retired ones: their names are never used again.

use aegis_model::ids::TenantId;
use aegis_proto::control::{ChangeKind, Tenant, TenantCounters};
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::page::{self, Page, PageQuery};
use super::writer::Writer;
use super::{changes, row};

/// Name → [`Tenant`].
pub const TENANTS: Table = Table::new("tenants");
/// Name → [`TenantCounters`].
pub const TENANT_COUNTERS: Table = Table::new("tenant_counters");

/// The tenant, alive or retired.
///
/// # Errors
/// The storage failed.
pub fn tenant(state: &impl StateRead, tenant: &TenantId) -> Result<Option<Tenant>, StoreError> {
    row::read(state, TENANTS, tenant.as_str().as_bytes())
}

/// All tenants, by name. For those who may see every tenant; others ask for theirs with [`tenant`].
///
/// # Errors
/// The storage failed.
pub fn tenants(state: &impl StateRead, query: &PageQuery) -> Result<Page<Tenant>, StoreError> {
    page::rows(state, TENANTS, &[], query)
}

/// What is counted of the tenant; zeros before something was.
///
/// # Errors
/// The storage failed.
pub fn counters(state: &impl StateRead, tenant: &TenantId) -> Result<TenantCounters, StoreError> {
    Ok(row::read(state, TENANT_COUNTERS, tenant.as_str().as_bytes())?.unwrap_or_default())
}

pub(crate) fn put(write: &mut Writer<'_, '_>, tenant: &Tenant) -> Result<(), StoreError> {
    write.put(TENANTS, tenant.name.as_bytes(), tenant)?;
    changes::note(write, ChangeKind::Tenant, &tenant.name, "")
}

pub(crate) fn put_counters(
    write: &mut Writer<'_, '_>,
    tenant: &TenantId,
    counters: &TenantCounters,
) -> Result<(), StoreError> {
    write.put(TENANT_COUNTERS, tenant.as_str().as_bytes(), counters)
}
