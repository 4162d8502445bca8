//! Pages of rows: what is read at once has a bound, and a cursor leads to the rest.

use std::fmt;
use std::str::FromStr;

use aegis_model::caps;
use aegis_raft_store::tables::{StateRead, StoreError, Table};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;

use super::row;

/// Longest cursor, in bytes of its key: three names and a number.
const CURSOR_BYTES_MAX: usize = 3 * caps::NAME_BYTES_MAX + 16;

/// Where a page ended. Opaque to clients; says nothing but the last key of the page, without the tenant it is below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(Vec<u8>);

impl Cursor {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(key.to_vec())
    }

    /// A cursor that no page has given out, as a client could make one up; for tests.
    #[doc(hidden)]
    pub fn forge(key: &[u8]) -> Self {
        Self::new(key)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

/// A text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor: take `next` of the page before, unchanged")]
pub struct BadCursor;

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let key = URL_SAFE_NO_PAD.decode(text).map_err(|_uninformative| BadCursor)?;
        if key.is_empty() || key.len() > CURSOR_BYTES_MAX { Err(BadCursor) } else { Ok(Self(key)) }
    }
}

/// Which page is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageQuery {
    after: Option<Cursor>,
    limit: usize,
}

impl PageQuery {
    /// The page after `after`, or the first one, of at most `limit` rows, which is cut to [`caps::PAGE_ROWS_MAX`];
    /// zero stands for [`caps::PAGE_ROWS_DEFAULT`].
    pub fn new(after: Option<Cursor>, limit: usize) -> Self {
        let limit = if limit == 0 { caps::PAGE_ROWS_DEFAULT } else { limit.min(caps::PAGE_ROWS_MAX) };
        Self { after, limit }
    }

    /// The first page, as large as pages get.
    pub fn first() -> Self {
        Self::new(None, caps::PAGE_ROWS_MAX)
    }

    /// The page after the one that ended at `cursor`, equally large.
    #[must_use]
    pub fn after(&self, cursor: Cursor) -> Self {
        Self { after: Some(cursor), limit: self.limit }
    }

    pub(crate) fn cursor(&self) -> Option<&Cursor> {
        self.after.as_ref()
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }
}

impl Default for PageQuery {
    fn default() -> Self {
        Self::new(None, 0)
    }
}

/// Some rows, and where the rest begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The rows, in the order of their table.
    pub rows: Vec<T>,
    /// Leads to the next page. Nothing: this was the last one.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// The same page of something else.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { rows: self.rows.into_iter().map(change).collect(), next: self.next }
    }

    /// A page without rows.
    pub(crate) fn empty() -> Self {
        Self { rows: Vec::new(), next: None }
    }
}

/// A page of the rows of `table` whose keys begin with `prefix` (TEN-1: never of any other).
pub(crate) fn rows<M: Message + Default>(
    state: &impl StateRead,
    table: Table,
    prefix: &[u8],
    query: &PageQuery,
) -> Result<Page<M>, StoreError> {
    let after = query.cursor().map(|cursor| [prefix, cursor.as_bytes()].concat());
    let mut records = state.scan_prefix(table, prefix, after.as_deref(), query.limit() + 1)?;
    let more = records.len() > query.limit();
    records.truncate(query.limit());
    let last = records.last().filter(|_| more);
    let next = last.map(|(key, _)| Cursor::new(key.get(prefix.len()..).unwrap_or_default()));
    let rows = records.iter().map(|(_, value)| row::decode(table, value)).collect::<Result<_, _>>()?;
    Ok(Page { rows, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text() {
        let cursor = Cursor::new(b"agent/7\x00\xff");
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        assert_eq!("".parse::<Cursor>(), Err(BadCursor));
        assert_eq!("!".parse::<Cursor>(), Err(BadCursor));
        assert_eq!("A".repeat(2_000).parse::<Cursor>(), Err(BadCursor));
    }

    #[test]
    fn a_page_is_never_larger_than_the_bound() {
        assert_eq!(PageQuery::new(None, usize::MAX).limit(), caps::PAGE_ROWS_MAX);
        assert_eq!(PageQuery::default().limit(), caps::PAGE_ROWS_DEFAULT);
    }
}
