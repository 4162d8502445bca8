//! Issuers outside the cluster whose tokens prove agents of a tenant.

use aegis_model::ids::TenantId;
use aegis_proto::control::TokenIssuer;
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::page::{self, Page, PageQuery};
use super::writer::Writer;
use super::{key, row};

/// Tenant, zero, name → [`TokenIssuer`].
pub const ISSUERS: Table = Table::new("issuers");

/// One issuer of the tenant.
///
/// # Errors
/// The storage failed.
pub fn issuer(
    state: &impl StateRead,
    tenant: &TenantId,
    name: &str,
) -> Result<Option<TokenIssuer>, StoreError> {
    row::read(state, ISSUERS, &key::pair(tenant.as_str(), name.as_bytes()))
}

/// The tenant's issuers, by name.
///
/// # Errors
/// The storage failed.
pub fn issuers(
    state: &impl StateRead,
    tenant: &TenantId,
    query: &PageQuery,
) -> Result<Page<TokenIssuer>, StoreError> {
    page::rows(state, ISSUERS, &key::below(tenant.as_str()), query)
}

/// Data nodes are not told: tokens of issuers are judged by control nodes only.
pub(crate) fn put(write: &mut Writer<'_, '_>, issuer: &TokenIssuer) -> Result<(), StoreError> {
    write.put(ISSUERS, &key::pair(&issuer.tenant, issuer.name.as_bytes()), issuer)
}

pub(crate) fn delete(write: &mut Writer<'_, '_>, issuer: &TokenIssuer) -> Result<(), StoreError> {
    write.delete(ISSUERS, &key::pair(&issuer.tenant, issuer.name.as_bytes()))?;
    Ok(())
}
