//! Which versions are in force: a row per activation, and the newest once more per tenant (POL-2).

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::control::{Activation, ChangeKind};
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::page::{self, Page, PageQuery};
use super::writer::Writer;
use super::{changes, key, row};

/// Tenant, zero, number inverted → [`Activation`]: the newest first.
pub const ACTIVATIONS: Table = Table::new("activations");
/// Tenant → the newest [`Activation`].
pub const IN_FORCE: Table = Table::new("in_force");

/// What is in force for the tenant; nothing before its first activation.
///
/// # Errors
/// The storage failed.
pub fn in_force(state: &impl StateRead, tenant: &TenantId) -> Result<Option<Activation>, StoreError> {
    row::read(state, IN_FORCE, tenant.as_str().as_bytes())
}

/// What is in force for every tenant, by name. For the feed, and for those who may see every tenant.
///
/// # Errors
/// The storage failed.
pub fn all_in_force(state: &impl StateRead, query: &PageQuery) -> Result<Page<Activation>, StoreError> {
    page::rows(state, IN_FORCE, &[], query)
}

/// One activation of the tenant, as long as it is kept.
///
/// # Errors
/// The storage failed.
pub fn activation(
    state: &impl StateRead,
    tenant: &TenantId,
    number: u64,
) -> Result<Option<Activation>, StoreError> {
    row::read(state, ACTIVATIONS, &key::pair(tenant.as_str(), &key::falling(number)))
}

/// The tenant's activations, the newest first.
///
/// # Errors
/// The storage failed.
pub fn activations(
    state: &impl StateRead,
    tenant: &TenantId,
    query: &PageQuery,
) -> Result<Page<Activation>, StoreError> {
    page::rows(state, ACTIVATIONS, &key::below(tenant.as_str()), query)
}

/// Puts `activation` into force, and forgets the oldest beyond [`caps::ACTIVATIONS_KEPT_MAX`]: how many are kept now.
pub(crate) fn put(write: &mut Writer<'_, '_>, activation: &Activation, kept: u64) -> Result<u64, StoreError> {
    write.put(ACTIVATIONS, &key::pair(&activation.tenant, &key::falling(activation.number)), activation)?;
    write.put(IN_FORCE, activation.tenant.as_bytes(), activation)?;
    changes::note(write, ChangeKind::Activation, &activation.tenant, "")?;
    if kept < caps::ACTIVATIONS_KEPT_MAX {
        return Ok(kept + 1);
    }
    // Exactly the bound and one: the last of them in this order is the oldest.
    let all = usize::try_from(kept).unwrap_or(usize::MAX).saturating_add(1);
    let records = write.scan_prefix(ACTIVATIONS, &key::below(&activation.tenant), None, all)?;
    if let Some((oldest, _)) = records.last().filter(|_| records.len() == all) {
        write.delete(ACTIVATIONS, oldest)?;
    }
    Ok(kept)
}
