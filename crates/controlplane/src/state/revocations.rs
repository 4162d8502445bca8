//! What a tenant's nodes no longer accept.

use aegis_model::ids::TenantId;
use aegis_proto::control::{ChangeKind, Revocation, RevocationKind};
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::page::{self, Page, PageQuery};
use super::writer::Writer;
use super::{changes, key, row};

/// Tenant, zero, kind as a byte, subject → [`Revocation`].
pub const REVOCATIONS: Table = Table::new("revocations");

/// Tenant, zero, end big-endian, kind as a byte, subject → nothing: those that end, the first to end first.
pub const REVOCATIONS_ORDER: Table = Table::new("revocations_order");

/// The tenant's revocation of `subject`.
///
/// # Errors
/// The storage failed.
pub fn revocation(
    state: &impl StateRead,
    tenant: &TenantId,
    kind: RevocationKind,
    subject: &str,
) -> Result<Option<Revocation>, StoreError> {
    row::read(state, REVOCATIONS, &key::pair(tenant.as_str(), &below_tenant(kind, subject)))
}

/// The tenant's revocations, by kind and subject.
///
/// # Errors
/// The storage failed.
pub fn revocations(
    state: &impl StateRead,
    tenant: &TenantId,
    query: &PageQuery,
) -> Result<Page<Revocation>, StoreError> {
    page::rows(state, REVOCATIONS, &key::below(tenant.as_str()), query)
}

/// The name of a revocation in a note of a change: `kind:subject`.
pub fn change_name(kind: RevocationKind, subject: &str) -> String {
    format!("{}:{subject}", kind as i32)
}

/// The kind and the subject that [`change_name`] put together.
pub fn from_change_name(name: &str) -> Option<(RevocationKind, &str)> {
    let (kind, subject) = name.split_once(':')?;
    Some((kind.parse::<i32>().ok()?.try_into().ok()?, subject))
}

/// Up to `limit` of the tenant's revocations that have ended at `now_ms`.
pub(crate) fn ended(
    state: &impl StateRead,
    tenant: &TenantId,
    now_ms: u64,
    limit: usize,
) -> Result<Vec<Revocation>, StoreError> {
    let prefix = key::below(tenant.as_str());
    let mut ended = Vec::new();
    for (order, _) in state.scan_prefix(REVOCATIONS_ORDER, &prefix, None, limit)? {
        let rest = order.get(prefix.len()..).and_then(<[u8]>::split_first_chunk);
        let (end, rest) =
            rest.ok_or_else(|| StoreError::Damaged { table: REVOCATIONS_ORDER.name().to_owned() })?;
        if u64::from_be_bytes(*end) > now_ms {
            break;
        }
        ended.extend(row::read(state, REVOCATIONS, &[prefix.as_slice(), rest].concat())?);
    }
    Ok(ended)
}

/// Puts `revocation` in the place of `known`.
pub(crate) fn put(
    write: &mut Writer<'_, '_>,
    revocation: &Revocation,
    known: Option<&Revocation>,
) -> Result<(), StoreError> {
    if let Some(known) = known {
        write.delete(REVOCATIONS_ORDER, &order_key(known))?;
    }
    if revocation.expires_ms > 0 {
        write.put_bytes(REVOCATIONS_ORDER, &order_key(revocation), &[])?;
    }
    write.put(REVOCATIONS, &row_key(revocation), revocation)?;
    note(write, revocation)
}

pub(crate) fn delete(write: &mut Writer<'_, '_>, revocation: &Revocation) -> Result<(), StoreError> {
    write.delete(REVOCATIONS_ORDER, &order_key(revocation))?;
    write.delete(REVOCATIONS, &row_key(revocation))?;
    note(write, revocation)
}

fn note(write: &mut Writer<'_, '_>, revocation: &Revocation) -> Result<(), StoreError> {
    let name = change_name(revocation.kind(), &revocation.subject);
    changes::note(write, ChangeKind::Revocation, &revocation.tenant, &name)
}

fn row_key(revocation: &Revocation) -> Vec<u8> {
    key::pair(&revocation.tenant, &below_tenant(revocation.kind(), &revocation.subject))
}

fn order_key(revocation: &Revocation) -> Vec<u8> {
    let rest = below_tenant(revocation.kind(), &revocation.subject);
    key::pair(&revocation.tenant, &[key::rising(revocation.expires_ms).as_slice(), &rest].concat())
}

fn below_tenant(kind: RevocationKind, subject: &str) -> Vec<u8> {
    let kind = u8::try_from(kind as i32).unwrap_or(u8::MAX);
    [&[kind], subject.as_bytes()].concat()
}
