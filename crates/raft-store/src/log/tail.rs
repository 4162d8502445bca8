//! What is known of the log without reading the disk: its ends, the vote, and its newest entries.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use openraft::{Entry, LogId, Vote};

use super::disk::Loaded;
use crate::codec::payload_bytes;
use crate::types::{NodeId, TypeConfig};

/// About what an entry takes in memory besides its commands.
const ENTRY_OVERHEAD_BYTES: usize = 128;

#[derive(Debug)]
pub(super) struct Tail {
    purged: Option<LogId<NodeId>>,
    /// The last entry, or the last purged one if there is none.
    last: Option<LogId<NodeId>>,
    /// The index of the first entry in the log, in memory or on disk; the next one's if there is none.
    first: u64,
    /// The newest entries without a gap, up to the last.
    held: VecDeque<Arc<Entry<TypeConfig>>>,
    held_bytes: usize,
    bytes_max: usize,
    /// Every entry before this index is on disk.
    synced_next: u64,
    pub(super) vote: Option<Vote<NodeId>>,
    pub(super) committed: Option<LogId<NodeId>>,
}

/// Where the entries of a range are.
pub(super) struct Slice {
    /// These indexes are to be read from disk; they come first.
    pub(super) on_disk: Range<u64>,
    pub(super) held: Vec<Arc<Entry<TypeConfig>>>,
}

impl Tail {
    pub(super) fn new(loaded: Loaded, bytes_max: usize) -> Self {
        let Loaded { purged, first, last, vote, committed, newest } = loaded;
        let mut tail = Self {
            purged,
            last: last.or(purged),
            first,
            held: VecDeque::new(),
            held_bytes: 0,
            bytes_max,
            synced_next: 0,
            vote,
            committed,
        };
        for entry in newest {
            tail.hold(entry);
        }
        tail.synced(tail.next());
        tail
    }

    pub(super) fn purged(&self) -> Option<LogId<NodeId>> {
        self.purged
    }

    pub(super) fn last(&self) -> Option<LogId<NodeId>> {
        self.last
    }

    fn next(&self) -> u64 {
        self.last.map_or(self.first, |last| last.index + 1)
    }

    /// The index of the first entry that is held.
    fn held_from(&self) -> u64 {
        self.next() - self.held.len() as u64
    }

    /// Adds `entries`, if the log has no hole then (RAFT-1) and its terms do not go back.
    ///
    /// Only openraft's suite is not `strict`: its logs begin anywhere.
    pub(super) fn append(&mut self, entries: &[Arc<Entry<TypeConfig>>], strict: bool) -> Result<(), String> {
        for entry in entries {
            let log_id = entry.log_id;
            if !strict && log_id.index != self.next() {
                self.begin_anew(log_id.index);
            } else if log_id.index != self.next() {
                let next = self.next();
                return Err(format!("the log would have a hole: entry {} after {next} - 1", log_id.index));
            }
            if strict && self.last.is_some_and(|last| last.leader_id > log_id.leader_id) {
                return Err(format!("the log's terms would go back at entry {}", log_id.index));
            }
            self.hold(Arc::clone(entry));
            self.last = Some(log_id);
        }
        Ok(())
    }

    /// The log begins at `first` now.
    fn begin_anew(&mut self, first: u64) {
        self.held.clear();
        self.held_bytes = 0;
        self.first = first;
    }

    /// The disk has every entry before `next`; the oldest of them may be let go.
    pub(super) fn synced(&mut self, next: u64) {
        self.synced_next = self.synced_next.max(next);
        while self.held_bytes > self.bytes_max && self.held_from() < self.synced_next {
            let Some(entry) = self.held.pop_front() else { break };
            self.held_bytes -= size(&entry);
        }
    }

    /// The log ends before `from` now, with `last`.
    pub(super) fn truncate(&mut self, from: u64, last: Option<LogId<NodeId>>) {
        while self.held.back().is_some_and(|entry| entry.log_id.index >= from) {
            self.held_bytes -= self.held.pop_back().map_or(0, |entry| size(&entry));
        }
        self.last = last.or(self.purged);
        self.synced_next = self.synced_next.min(self.next());
    }

    /// The log begins after `upto` now.
    pub(super) fn purge(&mut self, upto: LogId<NodeId>) {
        if self.purged.is_some_and(|purged| purged.index >= upto.index) {
            return;
        }
        while self.held_from() <= upto.index {
            let Some(entry) = self.held.pop_front() else { break };
            self.held_bytes -= size(&entry);
        }
        self.purged = Some(upto);
        self.first = upto.index + 1;
        if self.last.is_none_or(|last| last.index <= upto.index) {
            self.last = Some(upto);
        }
        self.synced_next = self.synced_next.max(self.first);
    }

    /// Where the entries of `start..end` are; of those held no more than `bytes_max` bytes, but one at least.
    pub(super) fn slice(&self, start: u64, end: u64, bytes_max: usize) -> Slice {
        let (start, end) = (start.max(self.first), end.min(self.next()));
        let held_from = self.held_from();
        let on_disk = start..end.min(held_from).max(start);
        let mut held = Vec::new();
        let mut bytes = 0;
        for index in start.max(held_from)..end {
            let Some(entry) = self.held.get((index - held_from) as usize) else { break };
            bytes += size(entry);
            if bytes > bytes_max && !held.is_empty() {
                break;
            }
            held.push(Arc::clone(entry));
        }
        Slice { on_disk, held }
    }

    fn hold(&mut self, entry: Arc<Entry<TypeConfig>>) {
        self.held_bytes += size(&entry);
        self.held.push_back(entry);
    }
}

/// About what `entry` takes in memory.
pub(super) fn size(entry: &Entry<TypeConfig>) -> usize {
    ENTRY_OVERHEAD_BYTES + payload_bytes(entry)
}

#[cfg(test)]
mod tests;
