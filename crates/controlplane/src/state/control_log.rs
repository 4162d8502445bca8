//! The control log: a record of every administrative act, done or refused, written in the same apply. What makes it evidence is
//! the tree of [`control_tree`], in which each record has an entry.

use aegis_audit::control::{self, What};
use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::control::{ControlRecord, ControlRecordPlace};
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::key::{self, Scope};
use super::page::{self, Page, PageQuery};
use super::writer::Writer;
use super::{control_tree, row};

/// Scope, zero, number inverted → [`ControlRecord`]: the newest first.
pub const CONTROL_LOG: Table = Table::new("control_log");
/// Scope → the number of its newest record, big-endian.
pub const CONTROL_LOG_COUNTS: Table = Table::new("control_log_counts");
/// Sequence inverted → [`ControlRecordPlace`]: the order over all scopes, the newest first.
pub const CONTROL_LOG_ORDER: Table = Table::new("control_log_order");

/// The records of one tenant, the newest first.
///
/// # Errors
/// The storage failed.
pub fn of_tenant(
    state: &impl StateRead,
    tenant: &TenantId,
    query: &PageQuery,
) -> Result<Page<ControlRecord>, StoreError> {
    page::rows(state, CONTROL_LOG, &key::below(tenant.as_str()), query)
}

/// The records of all tenants and of the cluster, the newest first. For those who may see every tenant.
///
/// # Errors
/// The storage failed.
pub fn everything(state: &impl StateRead, query: &PageQuery) -> Result<Page<ControlRecord>, StoreError> {
    let places = page::rows::<ControlRecordPlace>(state, CONTROL_LOG_ORDER, &[], query)?;
    let mut rows = Vec::with_capacity(places.rows.len());
    for place in &places.rows {
        rows.extend(row::read(state, CONTROL_LOG, &row_key(&place.scope, place.number))?);
    }
    Ok(Page { rows, next: places.next })
}

/// The record of a scope with this number, unless it was forgotten.
///
/// # Errors
/// The storage failed.
pub(crate) fn numbered(
    state: &impl StateRead,
    tenant: &TenantId,
    number: u64,
) -> Result<Option<ControlRecord>, StoreError> {
    row::read(state, CONTROL_LOG, &row_key(tenant.as_str(), number))
}

/// Who did what, before it has a place in the log.
pub(crate) struct Act<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) actor: &'a str,
    pub(crate) command: &'static str,
    /// The code of the refusal; empty when it was done.
    pub(crate) refused: &'static str,
    pub(crate) summary: &'a str,
}

/// Appends a record, and forgets the scope's oldest beyond [`caps::CONTROL_RECORDS_MAX`].
pub(crate) fn append(write: &mut Writer<'_, '_>, act: &Act<'_>) -> Result<(), StoreError> {
    let scope = act.scope.as_str();
    let number = newest(write, scope)? + 1;
    write.counters_mut().control_records += 1;
    let mut record = ControlRecord {
        sequence: write.counters().control_records,
        number,
        scope: scope.to_owned(),
        index: write.place().index,
        at_ms: write.now_ms(),
        actor: act.actor.to_owned(),
        command: act.command.to_owned(),
        refused: act.refused.to_owned(),
        summary: in_one_line(act.summary),
        entry: 0,
        history: write.cluster().history,
    };
    // Before there is a cluster, there is no log of it.
    if !write.cluster().id.is_empty() {
        record.entry = control_tree::append(write, What::Act(act_of(&record)))? + 1;
    }
    write.put(CONTROL_LOG, &row_key(scope, number), &record)?;
    let place = ControlRecordPlace { scope: scope.to_owned(), number };
    write.put(CONTROL_LOG_ORDER, &key::falling(record.sequence), &place)?;
    write.put_bytes(CONTROL_LOG_COUNTS, scope.as_bytes(), &key::rising(number))?;
    match number.checked_sub(caps::CONTROL_RECORDS_MAX) {
        Some(oldest) if oldest > 0 => forget(write, scope, oldest),
        _ => Ok(()),
    }
}

fn forget(write: &mut Writer<'_, '_>, scope: &str, number: u64) -> Result<(), StoreError> {
    let key = row_key(scope, number);
    let Some(record) = row::read::<ControlRecord>(write, CONTROL_LOG, &key)? else { return Ok(()) };
    write.delete(CONTROL_LOG, &key)?;
    write.delete(CONTROL_LOG_ORDER, &key::falling(record.sequence))?;
    match record.entry.checked_sub(1) {
        Some(entry) => control_tree::forget(write, record.history, entry),
        None => Ok(()),
    }
}

fn act_of(record: &ControlRecord) -> control::Act {
    control::Act {
        actor: record.actor.clone(),
        command: record.command.clone(),
        log_index: record.index,
        refused: (!record.refused.is_empty()).then(|| record.refused.clone()),
        scope: record.scope.clone(),
        summary: record.summary.clone(),
    }
}

fn newest(state: &impl StateRead, scope: &str) -> Result<u64, StoreError> {
    let Some(bytes) = state.get(CONTROL_LOG_COUNTS, scope.as_bytes())? else { return Ok(0) };
    let damaged = |_length| StoreError::Damaged { table: CONTROL_LOG_COUNTS.name().to_owned() };
    Ok(u64::from_be_bytes(bytes.as_slice().try_into().map_err(damaged)?))
}

fn row_key(scope: &str, number: u64) -> Vec<u8> {
    key::pair(scope, &key::falling(number))
}

/// What a client chose, fit for a log: without control characters, and not longer than words may be.
fn in_one_line(summary: &str) -> String {
    let mut line: String = summary.chars().map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect();
    if line.len() > caps::WORDS_BYTES_MAX {
        line.truncate(line.floor_char_boundary(caps::WORDS_BYTES_MAX));
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_one_short_line() {
        assert_eq!(in_one_line("a\nb\u{1b}[31m"), "a\u{fffd}b\u{fffd}[31m");
        assert!(in_one_line(&"ä".repeat(10_000)).len() <= caps::WORDS_BYTES_MAX + '…'.len_utf8());
    }
}
