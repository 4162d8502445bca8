//! Which `request_id`s were answered lately, and how.

use std::sync::Arc;

use aegis_audit::journal::Ticket;
use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::decision::Decision;
use papaya::{Compute, HashMap, Operation};
use tokio::sync::OnceCell;

use crate::answer::Refused;
use crate::sensitive::Cleaner;

/// SHA-256 over who asks and the `request_id`.
pub(crate) type ReplayKey = [u8; 32];

/// The ids of the last [`caps::REPLAY_SECONDS`] seconds; at most [`caps::REPLAY_ENTRIES_MAX`]. Without locks.
#[derive(Debug)]
pub(crate) struct Replays {
    slots: HashMap<ReplayKey, Arc<Slot>>,
    entries_max: usize,
}

/// One id: what it stands for, and once judged, how.
#[derive(Debug)]
pub(crate) struct Slot {
    content: [u8; 32],
    made: UnixNanos,
    judged: OnceCell<Kept>,
}

/// A judgement as it is remembered: without the parameters, which the retry brings along.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) end: Result<Box<Decision>, Refused>,
    /// What cleaned its parameters.
    pub(crate) cleaned_by: Option<Cleaner>,
    /// Whether its record is kept; nothing if it has none.
    pub(crate) ticket: Option<Ticket>,
    /// Whether its receipt is signed, and so its record synced.
    pub(crate) signed: bool,
}

impl Replays {
    pub(crate) fn new(entries_max: usize) -> Self {
        Self { slots: HashMap::new(), entries_max }
    }

    /// The slot of `key`: the one that is there and fresh, else a new one for `content`. Nothing when all are taken.
    pub(crate) fn slot(&self, key: ReplayKey, content: [u8; 32], now: UnixNanos) -> Option<Arc<Slot>> {
        let slots = self.slots.pin();
        if let Some(slot) = slots.get(&key).filter(|slot| slot.is_fresh(now)) {
            return Some(Arc::clone(slot));
        }
        if slots.len() >= self.entries_max {
            return None;
        }
        let new = Arc::new(Slot { content, made: now, judged: OnceCell::new() });
        let found = slots.compute(key, |entry| match entry {
            Some((_, slot)) if slot.is_fresh(now) => Operation::Abort(Arc::clone(slot)),
            _ => Operation::Insert(Arc::clone(&new)),
        });
        Some(match found {
            Compute::Aborted(slot) => slot,
            _ => new,
        })
    }

    /// Forgets `slot`, whose call was not answered with a decision, so that a retry is judged anew.
    pub(crate) fn forget(&self, key: ReplayKey, slot: &Arc<Slot>) {
        self.slots.pin().compute(key, |entry| match entry {
            Some((_, found)) if Arc::ptr_eq(found, slot) => Operation::Remove,
            _ => Operation::Abort(()),
        });
    }

    /// Drops what is no longer fresh. To be called every few seconds.
    pub(crate) fn sweep(&self, now: UnixNanos) {
        self.slots.pin().retain(|_, slot| slot.is_fresh(now));
    }

    /// How many ids are remembered.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }
}

impl Slot {
    /// What its id stands for.
    pub(crate) fn content(&self) -> &[u8; 32] {
        &self.content
    }

    /// Its judgement.
    pub(crate) fn judged(&self) -> &OnceCell<Kept> {
        &self.judged
    }

    fn is_fresh(&self, now: UnixNanos) -> bool {
        now.0 < self.made.0.saturating_add(UnixNanos::from_seconds(caps::REPLAY_SECONDS).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixNanos = UnixNanos(1_000_000_000_000);

    fn later(seconds: u64) -> UnixNanos {
        UnixNanos(NOW.0 + seconds * 1_000_000_000)
    }

    #[test]
    fn a_slot_is_found_again_for_a_minute() {
        let replays = Replays::new(10);
        let slot = replays.slot([1; 32], [7; 32], NOW).unwrap();
        let again = replays.slot([1; 32], [8; 32], later(caps::REPLAY_SECONDS - 1)).unwrap();
        assert!(Arc::ptr_eq(&slot, &again));
        assert_eq!(again.content(), &[7; 32], "the first content stays");
        let late = replays.slot([1; 32], [8; 32], later(caps::REPLAY_SECONDS)).unwrap();
        assert_eq!(late.content(), &[8; 32], "after a minute the id is free");
        assert_eq!(replays.len(), 1);
    }

    #[test]
    fn memory_is_bounded_and_comes_back() {
        let replays = Replays::new(2);
        for id in 0..2 {
            assert!(replays.slot([id; 32], [0; 32], NOW).is_some());
        }
        assert!(replays.slot([9; 32], [0; 32], NOW).is_none());
        assert!(replays.slot([1; 32], [0; 32], NOW).is_some(), "a known id is still found");
        replays.sweep(later(caps::REPLAY_SECONDS - 1));
        assert_eq!(replays.len(), 2);
        replays.sweep(later(caps::REPLAY_SECONDS));
        assert_eq!(replays.len(), 0);
        assert!(replays.slot([9; 32], [0; 32], NOW).is_some());
    }

    #[test]
    fn only_the_slot_itself_is_forgotten() {
        let replays = Replays::new(2);
        let old = replays.slot([1; 32], [0; 32], NOW).unwrap();
        replays.forget([1; 32], &old);
        let new = replays.slot([1; 32], [0; 32], NOW).unwrap();
        assert!(!Arc::ptr_eq(&old, &new));
        replays.forget([1; 32], &old);
        assert!(Arc::ptr_eq(&new, &replays.slot([1; 32], [0; 32], NOW).unwrap()));
    }
}
