//! Published policy versions: numbered from 1 per tenant, without holes.

use aegis_model::ids::TenantId;
use aegis_proto::control::Version;
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::page::{Cursor, Page, PageQuery};
use super::writer::Writer;
use super::{chunks, key, row, tenants};

/// Tenant, zero, number big-endian → [`Version`].
pub const VERSIONS: Table = Table::new("versions");

/// One version of the tenant.
///
/// # Errors
/// The storage failed.
pub fn version(
    state: &impl StateRead,
    tenant: &TenantId,
    number: u64,
) -> Result<Option<Version>, StoreError> {
    row::read(state, VERSIONS, &key::pair(tenant.as_str(), &key::rising(number)))
}

/// The number of the tenant's newest version; zero if it has none.
///
/// # Errors
/// The storage failed.
pub fn newest(state: &impl StateRead, tenant: &TenantId) -> Result<u64, StoreError> {
    Ok(tenants::counters(state, tenant)?.versions)
}

/// The tenant's versions, the newest first.
///
/// # Errors
/// The storage failed.
pub fn versions(
    state: &impl StateRead,
    tenant: &TenantId,
    query: &PageQuery,
) -> Result<Page<Version>, StoreError> {
    let newest = newest(state, tenant)?;
    let first = match query.cursor().map(|cursor| <[u8; 8]>::try_from(cursor.as_bytes())) {
        None => newest,
        Some(Ok(before)) => u64::from_be_bytes(before).saturating_sub(1).min(newest),
        // A cursor of another list: there is nothing after it in this one.
        Some(Err(_length)) => return Ok(Page::empty()),
    };
    let mut page = Page::empty();
    for number in (1..=first).rev().take(query.limit()) {
        page.rows.extend(version(state, tenant, number)?);
        page.next = (number > 1).then(|| Cursor::new(&key::rising(number)));
    }
    Ok(page)
}

/// The bundle of a version, put together from its chunks; nothing if one of them is gone, as after its retirement.
///
/// The caller compares the digest: this only joins.
///
/// # Errors
/// The storage failed.
pub fn bundle(state: &impl StateRead, version: &Version) -> Result<Option<Vec<u8>>, StoreError> {
    let Ok(tenant) = version.tenant.parse::<TenantId>() else { return Ok(None) };
    let mut bundle = Vec::new();
    for digest in &version.chunks {
        let Ok(digest) = chunks::ChunkDigest::try_from(digest.as_slice()) else { return Ok(None) };
        let Some(data) = chunks::data(state, &tenant, &digest)? else { return Ok(None) };
        bundle.extend_from_slice(&data);
    }
    Ok(Some(bundle))
}

pub(crate) fn put(write: &mut Writer<'_, '_>, version: &Version) -> Result<(), StoreError> {
    write.put(VERSIONS, &key::pair(&version.tenant, &key::rising(version.number)), version)
}
