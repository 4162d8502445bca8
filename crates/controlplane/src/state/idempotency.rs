//! Answers that are remembered, so that a repeated command is not applied twice.

use aegis_model::caps;
use aegis_proto::control::Remembered;
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::writer::Writer;
use super::{key, row};

/// Actor, zero, idempotency key → [`Remembered`].
pub const REMEMBERED: Table = Table::new("remembered");
/// Log time big-endian, then the key in [`REMEMBERED`] → nothing: the oldest first.
pub const REMEMBERED_ORDER: Table = Table::new("remembered_order");
/// Actor → how many are remembered, big-endian.
pub const REMEMBERED_COUNTS: Table = Table::new("remembered_counts");

/// How many that ended are forgotten with each new one: two, so that their number falls.
const FORGET_WITH_EACH: usize = 2;

/// What was answered to `actor` under `idempotency_key`, if that is not too long ago.
///
/// # Errors
/// The storage failed.
pub fn remembered(
    state: &impl StateRead,
    actor: &str,
    idempotency_key: &str,
    now_ms: u64,
) -> Result<Option<Remembered>, StoreError> {
    let row: Option<Remembered> =
        row::read(state, REMEMBERED, &key::pair(actor, idempotency_key.as_bytes()))?;
    Ok(row.filter(|row| !has_ended(row.at_ms, now_ms)))
}

/// How many answers to `actor` are remembered.
pub(crate) fn count(state: &impl StateRead, actor: &str) -> Result<u64, StoreError> {
    let Some(bytes) = state.get(REMEMBERED_COUNTS, actor.as_bytes())? else { return Ok(0) };
    Ok(u64::from_be_bytes(bytes.as_slice().try_into().map_err(|_length| damaged(REMEMBERED_COUNTS))?))
}

/// Remembers an answer, and forgets some that ended.
pub(crate) fn put(
    write: &mut Writer<'_, '_>,
    actor: &str,
    idempotency_key: &str,
    row: &Remembered,
) -> Result<(), StoreError> {
    let key = key::pair(actor, idempotency_key.as_bytes());
    // One that ended may still lie under the same key.
    forget(write, &key)?;
    sweep(write, FORGET_WITH_EACH)?;
    write.put(REMEMBERED, &key, row)?;
    write.put_bytes(REMEMBERED_ORDER, &order_key(row.at_ms, &key), &[])?;
    write.counters_mut().remembered += 1;
    let count = count(write, actor)? + 1;
    write.put_bytes(REMEMBERED_COUNTS, actor.as_bytes(), &key::rising(count))
}

/// Forgets up to `limit` that ended, the oldest first: how many.
pub(crate) fn sweep(write: &mut Writer<'_, '_>, limit: usize) -> Result<usize, StoreError> {
    let mut forgotten = 0;
    for (order, _) in write.scan_prefix(REMEMBERED_ORDER, &[], None, limit)? {
        let (at, key) = order.split_first_chunk().ok_or_else(|| damaged(REMEMBERED_ORDER))?;
        if !has_ended(u64::from_be_bytes(*at), write.now_ms()) {
            break;
        }
        forget(write, key)?;
        forgotten += 1;
    }
    Ok(forgotten)
}

fn forget(write: &mut Writer<'_, '_>, key: &[u8]) -> Result<(), StoreError> {
    let Some(row) = row::read::<Remembered>(write, REMEMBERED, key)? else { return Ok(()) };
    write.delete(REMEMBERED, key)?;
    write.delete(REMEMBERED_ORDER, &order_key(row.at_ms, key))?;
    let counters = write.counters_mut();
    counters.remembered = counters.remembered.saturating_sub(1);
    let actor = key.split(|byte| *byte == 0).next().unwrap_or_default();
    let actor = std::str::from_utf8(actor).map_err(|_uninformative| damaged(REMEMBERED))?;
    match count(write, actor)?.saturating_sub(1) {
        0 => write.delete(REMEMBERED_COUNTS, actor.as_bytes()).map(|_was_there| ()),
        count => write.put_bytes(REMEMBERED_COUNTS, actor.as_bytes(), &key::rising(count)),
    }
}

fn order_key(at_ms: u64, key: &[u8]) -> Vec<u8> {
    [&key::rising(at_ms), key].concat()
}

fn has_ended(at_ms: u64, now_ms: u64) -> bool {
    now_ms.saturating_sub(at_ms) >= caps::IDEMPOTENCY_SECONDS * 1_000
}

fn damaged(table: Table) -> StoreError {
    StoreError::Damaged { table: table.name().to_owned() }
}
