//! Pieces of bundles, kept under their digest. Each tenant has its own, so that naming a digest never gives access to
//! what another tenant put, nor tells whether it did (TEN-1).

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::control::ChunkInfo;
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::page::{self, Page, PageQuery};
use super::writer::Writer;
use super::{key, row};

/// Tenant, zero, digest → [`ChunkInfo`].
pub const CHUNKS: Table = Table::new("chunks");
/// Tenant, zero, digest → the bytes.
pub const CHUNK_DATA: Table = Table::new("chunk_data");

/// Tenant, zero, digest → nothing: the chunks that no version names.
pub const CHUNKS_LOOSE: Table = Table::new("chunks_loose");

/// SHA-256 of a chunk.
pub type ChunkDigest = [u8; 32];

/// What is known of a chunk of the tenant.
///
/// # Errors
/// The storage failed.
pub fn chunk(
    state: &impl StateRead,
    tenant: &TenantId,
    digest: &ChunkDigest,
) -> Result<Option<ChunkInfo>, StoreError> {
    row::read(state, CHUNKS, &key::pair(tenant.as_str(), digest))
}

/// The bytes of a chunk of the tenant.
///
/// # Errors
/// The storage failed.
pub fn data(
    state: &impl StateRead,
    tenant: &TenantId,
    digest: &ChunkDigest,
) -> Result<Option<Vec<u8>>, StoreError> {
    state.get(CHUNK_DATA, &key::pair(tenant.as_str(), digest))
}

/// What is known of the tenant's chunks, by digest.
///
/// # Errors
/// The storage failed.
pub fn chunks(
    state: &impl StateRead,
    tenant: &TenantId,
    query: &PageQuery,
) -> Result<Page<ChunkInfo>, StoreError> {
    page::rows(state, CHUNKS, &key::below(tenant.as_str()), query)
}

/// The tenant's chunks that no version names; all of them fit in one page of the largest size.
pub(crate) fn loose(state: &impl StateRead, tenant: &TenantId) -> Result<Vec<ChunkInfo>, StoreError> {
    let prefix = key::below(tenant.as_str());
    let mut loose = Vec::new();
    for (key, _) in state.scan_prefix(CHUNKS_LOOSE, &prefix, None, caps::PAGE_ROWS_MAX)? {
        loose.extend(row::read(state, CHUNKS, &key)?);
    }
    Ok(loose)
}

const _: () =
    assert!(caps::CHUNKS_LOOSE_MAX <= caps::PAGE_ROWS_MAX as u64, "all loose chunks fit in one page");

pub(crate) fn put(write: &mut Writer<'_, '_>, tenant: &TenantId, info: &ChunkInfo) -> Result<(), StoreError> {
    let key = key::pair(tenant.as_str(), &info.digest);
    if info.references == 0 {
        write.put_bytes(CHUNKS_LOOSE, &key, &[])?;
    } else {
        write.delete(CHUNKS_LOOSE, &key)?;
    }
    write.put(CHUNKS, &key, info)
}

pub(crate) fn put_data(
    write: &mut Writer<'_, '_>,
    tenant: &TenantId,
    digest: &ChunkDigest,
    data: &[u8],
) -> Result<(), StoreError> {
    write.put_bytes(CHUNK_DATA, &key::pair(tenant.as_str(), digest), data)
}

pub(crate) fn delete(write: &mut Writer<'_, '_>, tenant: &TenantId, digest: &[u8]) -> Result<(), StoreError> {
    let key = key::pair(tenant.as_str(), digest);
    write.delete(CHUNKS, &key)?;
    write.delete(CHUNKS_LOOSE, &key)?;
    write.delete(CHUNK_DATA, &key)?;
    Ok(())
}
