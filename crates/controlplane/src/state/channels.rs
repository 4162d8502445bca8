//! The ways by which people are told of requests for approval. What is a secret of one is sealed.

use aegis_model::ids::TenantId;
use aegis_proto::control::Channel;
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::page::{self, Page, PageQuery};
use super::writer::Writer;
use super::{key, row};

/// Tenant, zero, name → [`Channel`].
pub const CHANNELS: Table = Table::new("channels");

/// The tenant's channel of this name.
///
/// # Errors
/// The storage failed.
pub fn channel(state: &impl StateRead, tenant: &TenantId, name: &str) -> Result<Option<Channel>, StoreError> {
    row::read(state, CHANNELS, &key::pair(tenant.as_str(), name.as_bytes()))
}

/// The tenant's channels, by name; all of them fit in one page of the largest size.
///
/// # Errors
/// The storage failed.
pub fn channels(
    state: &impl StateRead,
    tenant: &TenantId,
    query: &PageQuery,
) -> Result<Page<Channel>, StoreError> {
    page::rows(state, CHANNELS, &key::below(tenant.as_str()), query)
}

pub(crate) fn put(write: &mut Writer<'_, '_>, channel: &Channel) -> Result<(), StoreError> {
    write.put(CHANNELS, &key::pair(&channel.tenant, channel.name.as_bytes()), channel)
}

pub(crate) fn delete(write: &mut Writer<'_, '_>, channel: &Channel) -> Result<(), StoreError> {
    write.delete(CHANNELS, &key::pair(&channel.tenant, channel.name.as_bytes()))?;
    Ok(())
}
