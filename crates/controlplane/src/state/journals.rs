//! The logs of data nodes, as far as the control log has accepted them: one row per life of a node.

use aegis_audit::checkpoint::Checkpoint;
use aegis_audit::control::{Birth, Checkpoints, Entry, Head, What};
use aegis_audit::hash::Hash;
use aegis_audit::origin::Origin;
use aegis_model::caps;
use aegis_proto::control::Journal;
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::page::{self, Page, PageQuery};
use super::writer::Writer;
use super::{control_tree, key, row};

/// Name of the node, zero, incarnation, big-endian → [`Journal`].
pub const JOURNALS: Table = Table::new("journals");
/// The key in [`JOURNALS`] → nothing: logs that grew since it was last written down how far they are.
pub const JOURNALS_GROWN: Table = Table::new("journals_grown");

/// The log of this name; nothing if it never began, or is no log of a data node.
///
/// # Errors
/// The storage failed.
pub fn journal(state: &impl StateRead, origin: &str) -> Result<Option<Journal>, StoreError> {
    let Ok(origin) = origin.parse::<Origin>() else { return Ok(None) };
    let found: Option<Journal> = row::read(state, JOURNALS, &row_key(&origin))?;
    // The cluster stands in the name, too.
    Ok(found.filter(|row| row.origin == origin.to_string()))
}

/// All logs, by the names of their nodes and their lives.
///
/// # Errors
/// The storage failed.
pub fn journals(state: &impl StateRead, query: &PageQuery) -> Result<Page<Journal>, StoreError> {
    page::rows(state, JOURNALS, &[], query)
}

/// The logs of all lives of the data node of this name, the oldest first.
///
/// # Errors
/// The storage failed.
pub(crate) fn of_node(
    state: &impl StateRead,
    name: &str,
    query: &PageQuery,
) -> Result<Page<Journal>, StoreError> {
    page::rows(state, JOURNALS, &key::below(name), query)
}

/// The newest accepted checkpoint of a log; nothing before the first.
///
/// # Errors
/// The row is damaged.
pub fn newest(row: &Journal) -> Result<Option<Checkpoint>, StoreError> {
    if row.root.is_empty() {
        return Ok(None);
    }
    let root = row.root.as_slice().try_into().ok().map(Hash);
    let read = row.origin.parse().ok().zip(root);
    let (origin, root) = read.ok_or_else(|| StoreError::Damaged { table: JOURNALS.name().to_owned() })?;
    Ok(Some(Checkpoint { origin, size: row.size, root }))
}

pub(crate) fn put(write: &mut Writer<'_, '_>, origin: &Origin, row: &Journal) -> Result<(), StoreError> {
    write.put(JOURNALS, &row_key(origin), row)
}

/// A log that began in an earlier history is carried over into the control log of this one, with its birth: each control log
/// tells of every log that it speaks of from the beginning.
pub(crate) fn carry_over(write: &mut Writer<'_, '_>, row: Journal) -> Result<Journal, StoreError> {
    let history = write.cluster().history;
    if row.history == history {
        return Ok(row);
    }
    control_tree::append(write, What::Birth(birth(&row)))?;
    Ok(Journal { history, ..row })
}

/// What the control log says of the birth of a log.
pub(crate) fn birth(row: &Journal) -> Birth {
    let tenant = (!row.tenant.is_empty()).then(|| row.tenant.clone());
    Birth { key: row.verifier.clone(), origin: row.origin.clone(), tenant }
}

/// Notes that a log grew: it is written down when that is due.
pub(crate) fn note_grown(write: &mut Writer<'_, '_>, origin: &Origin) -> Result<(), StoreError> {
    write.put_bytes(JOURNALS_GROWN, &row_key(origin), &[])
}

/// A log's last word was written down at `index` of the control log.
pub(crate) fn written(
    write: &mut Writer<'_, '_>,
    origin: &Origin,
    row: Journal,
    index: u64,
) -> Result<(), StoreError> {
    let row = Journal { entry: index + 1, entry_history: write.cluster().history, ..row };
    write.delete(JOURNALS_GROWN, &row_key(origin))?;
    put(write, origin, &row)
}

/// Whether it is time to write down how far the logs are that grew, and one did.
///
/// # Errors
/// The storage failed.
pub fn is_due(state: &impl StateRead, history: u64, now_ms: u64) -> Result<bool, StoreError> {
    let tree = control_tree::tree(state, history)?.unwrap_or_default();
    let passed = now_ms.saturating_sub(tree.checkpoints_ms);
    Ok(passed >= caps::AUDIT_CHECKPOINTS_ENTRY_SECONDS * 1_000
        && !state.scan_prefix(JOURNALS_GROWN, &[], None, 1)?.is_empty())
}

/// Writes down how far the logs are that grew, if it is time to.
pub(crate) fn write_down(write: &mut Writer<'_, '_>) -> Result<(), StoreError> {
    if !is_due(write, write.cluster().history, write.now_ms())? {
        return Ok(());
    }
    let grown = write.scan_prefix(JOURNALS_GROWN, &[], None, caps::AUDIT_CHECKPOINTS_ENTRY_LOGS_MAX)?;
    let mut rows = Vec::with_capacity(grown.len());
    for (key, _) in grown {
        write.delete(JOURNALS_GROWN, &key)?;
        if let Some(row) = row::read::<Journal>(write, JOURNALS, &key)? {
            rows.push((key, carry_over(write, row)?));
        }
    }
    let mut logs = Vec::with_capacity(rows.len());
    for (_, row) in &rows {
        logs.extend(newest(row)?.as_ref().map(Head::of));
    }
    if logs.is_empty() {
        return Ok(());
    }
    let index = control_tree::append(write, What::Checkpoints(Checkpoints { logs }))?;
    control_tree::note_checkpoints_written(write)?;
    let entry_history = write.cluster().history;
    for (key, row) in rows {
        write.put(JOURNALS, &key, &Journal { entry: index + 1, entry_history, ..row })?;
    }
    control_tree::forget_later(write, index, is_last_word)
}

/// Whether an entry is the last that says of some log how far it is.
fn is_last_word(write: &Writer<'_, '_>, entry: &Entry, history: u64) -> Result<bool, StoreError> {
    let it = match &entry.what {
        What::Checkpoints(it) => it,
        What::Ledgers(_) => return Ok(false),
        _ => return Ok(true),
    };
    for head in &it.logs {
        let row = journal(write, &head.origin)?.unwrap_or_default();
        if (row.entry_history, row.entry) == (history, entry.index + 1) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn row_key(origin: &Origin) -> Vec<u8> {
    key::pair(origin.node(), &key::rising(origin.incarnation()))
}
