//! What the tenants of an organization may use together. An organization has no row of its own: tenants name theirs.

use aegis_model::ids::OrgId;
use aegis_proto::control::{ChangeKind, OrganizationLimits};
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::page::{self, Page, PageQuery};
use super::writer::Writer;
use super::{changes, row};

/// Organization → [`OrganizationLimits`].
pub const ORGANIZATION_LIMITS: Table = Table::new("organization_limits");

/// The limits of an organization; nothing if none were ever set.
///
/// # Errors
/// The storage failed.
pub fn limits(
    state: &impl StateRead,
    organization: &OrgId,
) -> Result<Option<OrganizationLimits>, StoreError> {
    row::read(state, ORGANIZATION_LIMITS, organization.as_str().as_bytes())
}

/// The limits of all organizations, by name. For those who may see every tenant.
///
/// # Errors
/// The storage failed.
pub fn all_limits(state: &impl StateRead, query: &PageQuery) -> Result<Page<OrganizationLimits>, StoreError> {
    page::rows(state, ORGANIZATION_LIMITS, &[], query)
}

pub(crate) fn put(write: &mut Writer<'_, '_>, limits: &OrganizationLimits) -> Result<(), StoreError> {
    write.put(ORGANIZATION_LIMITS, limits.organization.as_bytes(), limits)?;
    changes::note(write, ChangeKind::Organization, "", &limits.organization)
}
