//! The tail against the plainest model of a log: a list.

use openraft::{CommittedLeaderId, EntryPayload};
use proptest::prelude::*;

use super::*;
use crate::types::Batch;

fn entry(term: u64, index: u64) -> Arc<Entry<TypeConfig>> {
    let log_id = LogId::new(CommittedLeaderId::new(term, 1), index);
    let commands = vec![vec![0; (index % 7) as usize * 10]];
    Arc::new(Entry { log_id, payload: EntryPayload::Normal(Batch { log_time_ms: 0, commands }) })
}

fn empty(bytes_max: usize) -> Tail {
    let loaded =
        Loaded { purged: None, first: 0, last: None, vote: None, committed: None, newest: Vec::new() };
    Tail::new(loaded, bytes_max)
}

#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    Sync(u64),
    Truncate(u64),
    Purge(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..6_u64).prop_map(Step::Append),
        3 => (0..8_u64).prop_map(Step::Sync),
        1 => (0..40_u64).prop_map(Step::Truncate),
        1 => (0..40_u64).prop_map(Step::Purge),
    ]
}

proptest! {
    #[test]
    fn a_tail_knows_what_the_log_has(steps in proptest::collection::vec(step(), 0..40), bytes_max in 0..2_000_usize) {
        let mut tail = empty(bytes_max);
        let mut model: Vec<LogId<NodeId>> = Vec::new();
        let mut purged: Option<LogId<NodeId>> = None;
        let mut synced = 0;
        for (term, step) in (1_u64..).zip(steps) {
            let last = model.last().copied().or(purged);
            let next = last.map_or(0, |last| last.index + 1);
            match step {
                Step::Append(count) => {
                    let entries: Vec<_> = (next..next + count).map(|index| entry(term, index)).collect();
                    tail.append(&entries, true).unwrap();
                    model.extend(entries.iter().map(|entry| entry.log_id));
                }
                // The disk may be behind what was appended.
                Step::Sync(behind) => {
                    synced = synced.max(next.saturating_sub(behind));
                    tail.synced(synced);
                }
                Step::Truncate(from) => {
                    // Raft truncates what is there, and only after it was written.
                    let from = from.max(purged.map_or(0, |purged| purged.index + 1));
                    tail.synced(next);
                    model.retain(|log_id| log_id.index < from);
                    synced = model.last().copied().or(purged).map_or(0, |last| last.index + 1);
                    tail.truncate(from, model.last().copied());
                }
                Step::Purge(upto) => {
                    if purged.is_some_and(|purged| purged.index >= upto) {
                        continue;
                    }
                    let known = model.iter().find(|log_id| log_id.index == upto).copied();
                    let upto = known.unwrap_or(LogId::new(CommittedLeaderId::new(term, 1), upto));
                    tail.purge(upto);
                    model.retain(|log_id| log_id.index > upto.index);
                    purged = Some(upto);
                    synced = synced.max(upto.index + 1);
                }
            }
            prop_assert_eq!(tail.purged(), purged);
            prop_assert_eq!(tail.last(), model.last().copied().or(purged));
            let slice = tail.slice(0, u64::MAX, usize::MAX);
            let held: Vec<_> = slice.held.iter().map(|entry| entry.log_id).collect();
            let on_disk = model.len() - held.len();
            prop_assert_eq!(&model[on_disk..], &held[..]);
            prop_assert_eq!(slice.on_disk.end - slice.on_disk.start, on_disk as u64);
            if let Some(first) = model.first().filter(|_| on_disk > 0) {
                prop_assert_eq!(slice.on_disk.start, first.index);
                prop_assert!(slice.on_disk.end <= synced, "what is not on disk is held");
            }
        }
    }
}

#[test]
fn a_hole_is_refused() {
    let mut tail = empty(1_000);
    assert!(tail.append(&[entry(1, 1)], true).is_err(), "the first entry is 0");
    tail.append(&[entry(1, 0), entry(1, 1)], true).unwrap();
    assert!(tail.append(&[entry(1, 3)], true).is_err());
    assert!(tail.append(&[entry(1, 1)], true).is_err());
    tail.append(&[entry(1, 2)], true).unwrap();
}

#[test]
fn a_term_that_goes_back_is_refused() {
    let mut tail = empty(1_000);
    tail.append(&[entry(3, 0)], true).unwrap();
    assert!(tail.append(&[entry(2, 1)], true).is_err());
}

#[test]
fn a_read_has_at_least_one_entry_and_stays_within_its_bytes() {
    let mut tail = empty(usize::MAX);
    let entries: Vec<_> = (0..20).map(|index| entry(1, index)).collect();
    tail.append(&entries, true).unwrap();
    assert_eq!(tail.slice(3, 20, 0).held.len(), 1);
    assert_eq!(tail.slice(3, 20, 3 * size(&entries[3])).held[0].log_id.index, 3);
    assert!(tail.slice(3, 20, 1_000).held.iter().map(|entry| size(entry)).sum::<usize>() <= 1_000);
    assert_eq!(tail.slice(3, 8, usize::MAX).held.len(), 5);
    assert!(tail.slice(8, 3, usize::MAX).held.is_empty());
}
