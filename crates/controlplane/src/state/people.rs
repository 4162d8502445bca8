//! People who use the admin API.

use aegis_model::ids::PersonId;
use aegis_proto::control::Person;
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::page::{self, Page, PageQuery};
use super::row;
use super::writer::Writer;

/// Name → [`Person`].
pub const PEOPLE: Table = Table::new("people");

/// The person of this name.
///
/// # Errors
/// The storage failed.
pub fn person(state: &impl StateRead, name: &PersonId) -> Result<Option<Person>, StoreError> {
    row::read(state, PEOPLE, name.as_str().as_bytes())
}

/// All people, by name.
///
/// # Errors
/// The storage failed.
pub fn people(state: &impl StateRead, query: &PageQuery) -> Result<Page<Person>, StoreError> {
    page::rows(state, PEOPLE, &[], query)
}

pub(crate) fn put(write: &mut Writer<'_, '_>, person: &Person) -> Result<(), StoreError> {
    write.put(PEOPLE, person.name.as_bytes(), person)
}
