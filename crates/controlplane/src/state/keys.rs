//! The cluster's own keys: public, and private under a wrapping that the state cannot open.

use aegis_proto::control::{ChangeKind, Key, KeyKind};
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::page::{self, Page, PageQuery};
use super::writer::Writer;
use super::{changes, row};

/// Thumbprint → [`Key`].
pub const KEYS: Table = Table::new("keys");

/// The key with this thumbprint.
///
/// # Errors
/// The storage failed.
pub fn key(state: &impl StateRead, id: &str) -> Result<Option<Key>, StoreError> {
    row::read(state, KEYS, id.as_bytes())
}

/// All keys, by thumbprint; all of them fit in one page of the largest size.
///
/// # Errors
/// The storage failed.
pub fn keys(state: &impl StateRead, query: &PageQuery) -> Result<Page<Key>, StoreError> {
    page::rows(state, KEYS, &[], query)
}

/// The key that signs now: the newest of this kind that may and does not wait; by thumbprint where two are equally new. Where all of
/// them wait, the newest.
///
/// # Errors
/// The storage failed.
pub fn signing(state: &impl StateRead, kind: KeyKind) -> Result<Option<Key>, StoreError> {
    let all = keys(state, &PageQuery::first())?;
    let may_sign = all.rows.into_iter().filter(|key| key.kind() == kind && may_sign(key));
    let rank = |key: &Key| (!waits(key), key.created_ms, key.id.clone());
    Ok(may_sign.max_by_key(rank))
}

/// Whether `key` waits until data nodes know it, while an older one still signs.
pub fn waits(key: &Key) -> bool {
    key.signs_from_ms > 0
}

/// Whether `key` may sign something new.
pub fn may_sign(key: &Key) -> bool {
    key.retired_ms == 0 && key.revoked_ms == 0
}

/// Whether what `key` signed counts.
pub fn may_verify(key: &Key) -> bool {
    key.revoked_ms == 0
}

pub(crate) fn put(write: &mut Writer<'_, '_>, key: &Key) -> Result<(), StoreError> {
    write.put(KEYS, key.id.as_bytes(), key)?;
    changes::note(write, ChangeKind::Key, "", &key.id)
}

pub(crate) fn delete(write: &mut Writer<'_, '_>, key: &Key) -> Result<(), StoreError> {
    write.delete(KEYS, key.id.as_bytes())?;
    changes::note(write, ChangeKind::Key, "", &key.id)
}
