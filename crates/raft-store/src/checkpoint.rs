//! Digests of the state at agreed points of the log, by which nodes that are not at the same entry can be compared
//! (RAFT-2).

use std::collections::VecDeque;

use aegis_model::caps;

use crate::state::Applied;
use crate::tables::StateDigest;

/// The digest of the state right after one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The number of the cluster's history.
    pub history: u64,
    /// The index of the entry.
    pub index: u64,
    /// The digest of all records with it.
    pub digest: StateDigest,
}

impl From<Applied> for Checkpoint {
    fn from(applied: Applied) -> Self {
        let Applied { history, index, digest, .. } = applied;
        Self { history, index, digest }
    }
}

/// The newest checkpoints of a node: of its last entries one by one, for nodes that are close to each other, as idle ones
/// are; and of entries whose index is a multiple of [`caps::STATE_CHECKPOINT_ENTRIES`], for those that are apart under load.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints {
    last: VecDeque<Checkpoint>,
    spaced: VecDeque<Checkpoint>,
}

impl Checkpoints {
    /// Adds one, which is newer than those before.
    pub(crate) fn note(&mut self, checkpoint: Checkpoint) {
        push(&mut self.last, checkpoint, caps::STATE_CHECKPOINTS_LAST);
        if checkpoint.index.is_multiple_of(caps::STATE_CHECKPOINT_ENTRIES) {
            push(&mut self.spaced, checkpoint, caps::STATE_CHECKPOINTS_SPACED);
        }
    }

    /// All of them, the oldest first, at most [`caps::STATE_CHECKPOINTS_MAX`].
    pub(crate) fn all(&self) -> Vec<Checkpoint> {
        let from = self.last.front().map_or(u64::MAX, |oldest| oldest.index);
        let before = self.spaced.iter().filter(|it| it.index < from);
        before.chain(&self.last).copied().collect()
    }
}

fn push(all: &mut VecDeque<Checkpoint>, one: Checkpoint, most: usize) {
    if all.len() >= most {
        all.pop_front();
    }
    all.push_back(one);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_and_those_at_agreed_indexes_are_kept_each_once() {
        let mut kept = Checkpoints::default();
        assert_eq!(kept.all(), []);
        let end = caps::STATE_CHECKPOINT_ENTRIES * (caps::STATE_CHECKPOINTS_SPACED as u64 + 3);
        for index in 0..=end {
            kept.note(Checkpoint { history: 1, index, digest: StateDigest::default() });
        }
        let indexes: Vec<u64> = kept.all().iter().map(|it| it.index).collect();
        let last = end + 1 - caps::STATE_CHECKPOINTS_LAST as u64;
        let spaced =
            (4..caps::STATE_CHECKPOINTS_SPACED as u64 + 3).map(|it| it * caps::STATE_CHECKPOINT_ENTRIES);
        assert_eq!(indexes, spaced.chain(last..=end).collect::<Vec<_>>());
        assert!(indexes.len() <= caps::STATE_CHECKPOINTS_MAX);
    }
}
