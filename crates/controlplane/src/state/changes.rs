//! Notes of which rows changed when: a data node that was away is told only what it missed.

use aegis_model::caps;
use aegis_proto::control::{Change, ChangeKind};
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::writer::Writer;
use super::{key, meta, row};

/// Log index and sequence, big-endian → [`Change`].
pub const CHANGES: Table = Table::new("changes");

/// What changed after a log index.
#[derive(Debug, Clone, PartialEq)]
pub enum Since {
    /// The changes, in their order; `more` if the limit cut them off: ask again after the last one's index.
    ///
    /// All changes of one entry come together, however many, so that asking after an index never skips one.
    Changes {
        /// The changes.
        changes: Vec<Change>,
        /// Whether there are more.
        more: bool,
    },
    /// Some of the changes were forgotten: only the full state tells.
    Forgotten,
}

/// What changed after the entry at `index`, in the present history: at least `limit` changes, if there are so many.
///
/// An `index` of another history means nothing here; who comes with one needs the full state.
///
/// # Errors
/// The storage failed.
pub fn since(state: &impl StateRead, index: u64, limit: usize) -> Result<Since, StoreError> {
    if index < meta::counters(state)?.changes_forgotten_index {
        return Ok(Since::Forgotten);
    }
    let limit = limit.clamp(1, caps::PAGE_ROWS_MAX);
    let Some(next) = index.checked_add(1) else {
        return Ok(Since::Changes { changes: Vec::new(), more: false });
    };
    let mut changes = read(state, key::rising(next).as_slice(), limit + 1)?;
    let more = changes.len() > limit;
    changes.truncate(limit);
    if !more {
        return Ok(Since::Changes { changes, more });
    }
    // The last entry may have been cut in two: read the rest of it.
    if let Some((last_index, last_sequence)) = changes.last().map(|last| (last.index, last.sequence)) {
        let from = [key::rising(last_index), key::rising(last_sequence.saturating_add(1))].concat();
        // One entry writes at most what its commands write; all kept notes bound it.
        let rest = read(state, &from, usize::try_from(caps::CHANGES_KEPT_MAX).unwrap_or(usize::MAX))?;
        changes.extend(rest.into_iter().take_while(|change| change.index == last_index));
    }
    Ok(Since::Changes { changes, more })
}

fn read(state: &impl StateRead, from: &[u8], limit: usize) -> Result<Vec<Change>, StoreError> {
    use std::ops::Bound::{Included, Unbounded};
    let records = state.scan(CHANGES, (Included(from), Unbounded), limit)?;
    records.iter().map(|(_, value)| row::decode(CHANGES, value)).collect()
}

/// Notes that a row was written or removed, and forgets the oldest note beyond [`caps::CHANGES_KEPT_MAX`].
pub(crate) fn note(
    write: &mut Writer<'_, '_>,
    kind: ChangeKind,
    tenant: &str,
    name: &str,
) -> Result<(), StoreError> {
    let index = write.place().index;
    let counters = write.counters_mut();
    counters.changes += 1;
    counters.changes_kept += 1;
    let (sequence, kept) = (counters.changes, counters.changes_kept);
    let change =
        Change { sequence, index, kind: kind.into(), tenant: tenant.to_owned(), name: name.to_owned() };
    write.put(CHANGES, &[key::rising(index), key::rising(sequence)].concat(), &change)?;
    if kept > caps::CHANGES_KEPT_MAX { forget_oldest(write) } else { Ok(()) }
}

fn forget_oldest(write: &mut Writer<'_, '_>) -> Result<(), StoreError> {
    let Some((oldest, value)) = write.scan_prefix(CHANGES, &[], None, 1)?.pop() else { return Ok(()) };
    let change: Change = row::decode(CHANGES, &value)?;
    write.delete(CHANGES, &oldest)?;
    let counters = write.counters_mut();
    counters.changes_kept = counters.changes_kept.saturating_sub(1);
    counters.changes_forgotten_index = change.index;
    Ok(())
}

#[cfg(test)]
mod tests {
    use aegis_raft_store::machine::Place;
    use aegis_raft_store::tables::{StateDigest, StateWrite};
    use redb::Database;
    use redb::backends::InMemoryBackend;

    use super::*;

    /// Writes `count` notes as the entry at `index`.
    fn note_many(state: &mut StateWrite<'_>, index: u64, count: u64) {
        let mut write = Writer::new(state, Place { index, position: 0, log_time_ms: 0 }).expect("memory");
        for number in 0..count {
            note(&mut write, ChangeKind::Agent, "acme", &number.to_string()).expect("memory");
        }
        write.finish().expect("memory");
    }

    #[test]
    fn who_missed_too_much_needs_the_full_state() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).expect("memory");
        let transaction = database.begin_write().expect("memory");
        let mut state =
            StateWrite::new(&transaction, &[CHANGES, meta::CLUSTER], StateDigest::default()).expect("memory");
        let is_told = |state: &StateWrite<'_>, index| match since(state, index, 1).expect("memory") {
            Since::Changes { changes, .. } => Some(changes.len() as u64),
            Since::Forgotten => None,
        };
        note_many(&mut state, 1, 2);
        note_many(&mut state, 2, caps::CHANGES_KEPT_MAX - 2);
        assert_eq!(is_told(&state, 0), Some(2), "nothing is forgotten yet");
        note_many(&mut state, 3, 1);
        assert_eq!(is_told(&state, 0), None, "one of the first entry's notes is gone");
        assert_eq!(is_told(&state, 1), Some(caps::CHANGES_KEPT_MAX - 2));
        note_many(&mut state, 4, 2);
        assert_eq!(is_told(&state, 1), None);
        assert_eq!((is_told(&state, 2), is_told(&state, 3)), (Some(1), Some(2)));
        assert_eq!(meta::counters(&state).expect("memory").changes_kept, caps::CHANGES_KEPT_MAX);
    }
}
