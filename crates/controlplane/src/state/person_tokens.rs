//! Tokens of people that were given out. One that is not here is not accepted.

use aegis_model::caps;
use aegis_model::ids::PersonId;
use aegis_proto::control::PersonToken;
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::page::{self, Page, PageQuery};
use super::writer::Writer;
use super::{key, row};

/// Person, zero, `jti` → [`PersonToken`].
pub const PERSON_TOKENS: Table = Table::new("person_tokens");

/// The token `id` of `person`, good or not: see [`is_good`].
///
/// # Errors
/// The storage failed.
pub fn person_token(
    state: &impl StateRead,
    person: &PersonId,
    id: &str,
) -> Result<Option<PersonToken>, StoreError> {
    row::read(state, PERSON_TOKENS, &key::pair(person.as_str(), id.as_bytes()))
}

/// The tokens of `person`, by id; all of them fit in one page of the default size.
///
/// # Errors
/// The storage failed.
pub fn person_tokens(
    state: &impl StateRead,
    person: &PersonId,
    query: &PageQuery,
) -> Result<Page<PersonToken>, StoreError> {
    page::rows(state, PERSON_TOKENS, &key::below(person.as_str()), query)
}

/// Whether `token` is accepted at `now_ms` of log time, in this history: given out in it, neither ended nor revoked.
pub fn is_good(token: &PersonToken, history: u64, now_ms: u64) -> bool {
    token.history == history && token.revoked_ms == 0 && now_ms < token.expires_ms
}

pub(crate) fn put(write: &mut Writer<'_, '_>, token: &PersonToken) -> Result<(), StoreError> {
    write.put(PERSON_TOKENS, &key::pair(&token.person, token.id.as_bytes()), token)
}

/// Forgets the tokens of `person` that ended: their end is proof enough.
pub(crate) fn sweep(write: &mut Writer<'_, '_>, person: &PersonId, now_ms: u64) -> Result<(), StoreError> {
    for token in all(write, person)? {
        if token.expires_ms <= now_ms {
            write.delete(PERSON_TOKENS, &key::pair(&token.person, token.id.as_bytes()))?;
        }
    }
    Ok(())
}

/// Every token of `person`.
pub(crate) fn all(state: &impl StateRead, person: &PersonId) -> Result<Vec<PersonToken>, StoreError> {
    Ok(person_tokens(state, person, &PageQuery::new(None, caps::PERSON_TOKENS_MAX + 1))?.rows)
}

const _: () =
    assert!(caps::PERSON_TOKENS_MAX < caps::PAGE_ROWS_DEFAULT, "all tokens of a person fit in a page");
