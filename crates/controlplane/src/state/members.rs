//! Control nodes, also those that are gone: their ids are never used again.

use aegis_proto::control::Member;
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::page::{self, Page, PageQuery};
use super::writer::Writer;
use super::{key, row};

/// Id, big-endian → [`Member`].
pub const MEMBERS: Table = Table::new("members");

/// The control node with this id.
///
/// # Errors
/// The storage failed.
pub fn member(state: &impl StateRead, id: u64) -> Result<Option<Member>, StoreError> {
    row::read(state, MEMBERS, &key::rising(id))
}

/// Control nodes, by id.
///
/// # Errors
/// The storage failed.
pub fn members(state: &impl StateRead, query: &PageQuery) -> Result<Page<Member>, StoreError> {
    page::rows(state, MEMBERS, &[], query)
}

pub(crate) fn put(write: &mut Writer<'_, '_>, member: &Member) -> Result<(), StoreError> {
    write.put(MEMBERS, &key::rising(member.id), member)
}
