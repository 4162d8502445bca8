//! Names for versions, which may move from one to another.

use aegis_model::ids::TenantId;
use aegis_proto::control::Label;
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::page::{self, Page, PageQuery};
use super::writer::Writer;
use super::{key, row};

/// Tenant, zero, label → [`Label`].
pub const LABELS: Table = Table::new("labels");

/// The tenant's label of this name.
///
/// # Errors
/// The storage failed.
pub fn label(state: &impl StateRead, tenant: &TenantId, name: &str) -> Result<Option<Label>, StoreError> {
    row::read(state, LABELS, &key::pair(tenant.as_str(), name.as_bytes()))
}

/// The tenant's labels, by name; all of them fit in one page of the largest size.
///
/// # Errors
/// The storage failed.
pub fn labels(
    state: &impl StateRead,
    tenant: &TenantId,
    query: &PageQuery,
) -> Result<Page<Label>, StoreError> {
    page::rows(state, LABELS, &key::below(tenant.as_str()), query)
}

pub(crate) fn put(write: &mut Writer<'_, '_>, label: &Label) -> Result<(), StoreError> {
    write.put(LABELS, &key::pair(&label.tenant, label.name.as_bytes()), label)
}

pub(crate) fn delete(write: &mut Writer<'_, '_>, label: &Label) -> Result<(), StoreError> {
    write.delete(LABELS, &key::pair(&label.tenant, label.name.as_bytes()))?;
    Ok(())
}
