//! Which control node lends to data nodes: the one that took over last.

use aegis_proto::control::Lender;
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::row;
use super::writer::Writer;

/// One row: [`Lender`].
pub const LENDER: Table = Table::new("lender");

const LENDER_KEY: &[u8] = b"lender";

/// Who lends; term 0 before anybody did.
///
/// # Errors
/// The storage failed.
pub fn lender(state: &impl StateRead) -> Result<Lender, StoreError> {
    Ok(row::read(state, LENDER, LENDER_KEY)?.unwrap_or_default())
}

pub(crate) fn put(write: &mut Writer<'_, '_>, lender: &Lender) -> Result<(), StoreError> {
    write.put(LENDER, LENDER_KEY, lender)
}
