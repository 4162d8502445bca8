//! The secret keys of tenants, under a wrapping that the state cannot open.

use aegis_model::ids::TenantId;
use aegis_proto::control::{ChangeKind, TenantKeys};
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::writer::Writer;
use super::{changes, row};

/// Name of the tenant → [`TenantKeys`].
pub const TENANT_KEYS: Table = Table::new("tenant_keys");

/// The secret keys of the tenant, the newest last; none before it has one.
///
/// # Errors
/// The storage failed.
pub fn tenant_keys(state: &impl StateRead, tenant: &TenantId) -> Result<TenantKeys, StoreError> {
    let keys = row::read(state, TENANT_KEYS, tenant.as_str().as_bytes())?;
    Ok(keys.unwrap_or_else(|| TenantKeys { tenant: tenant.to_string(), keys: Vec::new() }))
}

/// The version that counts now; 0: it has none yet.
pub fn newest(keys: &TenantKeys) -> u32 {
    keys.keys.last().map_or(0, |key| key.version)
}

/// Data nodes are told of them with everything else of the tenant.
pub(crate) fn put(write: &mut Writer<'_, '_>, keys: &TenantKeys) -> Result<(), StoreError> {
    write.put(TENANT_KEYS, keys.tenant.as_bytes(), keys)?;
    changes::note(write, ChangeKind::Tenant, &keys.tenant, "")
}
