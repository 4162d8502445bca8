//! Whether the members' states are equal, as they must be (RAFT-2): what each says of its digests, compared with this
//! node's own at the points that both know.
//!
//! Where digests differ, a fault has made at least one state wrong. A node that stands against two or more members who agree
//! among themselves, and who are more than those that agree with it, is the wrong one, and stops. Members that answer, and
//! have not told of that entry yet, are waited for if they could turn the count, for a few rounds: otherwise two wrong nodes
//! of five would stop a right one that happened to hear of them first. Where all that does not decide, as between two
//! nodes, nobody can tell who is right, and all of them say so.

use std::collections::{BTreeMap, BTreeSet};

use aegis_model::caps;
use aegis_raft_store::checkpoint::Checkpoint;
use aegis_raft_store::tables::StateDigest;
use aegis_raft_store::types::NodeId;

/// What this node knows of the others' states.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agreement {
    /// The newest point of which each other member has told.
    pub told: BTreeMap<NodeId, Checkpoint>,
    /// The members whose state differs from this node's.
    pub differing: BTreeMap<NodeId, Difference>,
}

impl Agreement {
    /// Whether a member's state differs, and it cannot be told whose is right.
    pub fn is_in_doubt(&self) -> bool {
        self.differing.values().any(|difference| difference.doubt)
    }
}

/// That a member's state differs from this node's at the same entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// The history.
    pub history: u64,
    /// The index of the newest entry at which both were compared.
    pub index: u64,
    /// Whether it cannot be told which of the two is right. Otherwise it is this node: two or more agree with each other, of
    /// which it is one, and the other stops.
    pub doubt: bool,
}

/// What the members said of their states last.
#[derive(Debug, Default)]
pub(super) struct States {
    told: BTreeMap<NodeId, Vec<Checkpoint>>,
    /// Who answered in the present round of questions.
    answered: BTreeSet<NodeId>,
    differing: BTreeMap<NodeId, Difference>,
    /// In how many rounds in a row this node's state seemed wrong, while others might still agree with it.
    suspicions: u32,
}

/// What a comparison found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Compared {
    /// How many members were compared with this node.
    pub(super) members: usize,
    /// Where this node's state is the wrong one.
    pub(super) wrong: Option<Wrong>,
    /// The members whose state differs, and was not known to, or not so.
    pub(super) began: BTreeMap<NodeId, Difference>,
    /// The members whose state differed, and is equal again.
    pub(super) ended: Vec<NodeId>,
}

/// This node's state is wrong: more members agree with each other against it than with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Where.
    pub(super) point: Checkpoint,
    /// The digest that they have.
    pub(super) theirs: StateDigest,
    /// Who they are.
    pub(super) members: Vec<NodeId>,
}

impl States {
    /// A round of questions begins.
    pub(super) fn begin_round(&mut self) {
        self.answered.clear();
    }

    /// What `node` said of its state.
    pub(super) fn note(&mut self, node: NodeId, checkpoints: Vec<Checkpoint>) {
        self.told.insert(node, checkpoints);
        self.answered.insert(node);
    }

    /// Forgets all but `members`.
    pub(super) fn keep(&mut self, members: impl Fn(NodeId) -> bool) {
        self.told.retain(|node, _| members(*node));
        self.answered.retain(|node| members(*node));
        self.differing.retain(|node, _| members(*node));
    }

    /// What is known now.
    pub(super) fn agreement(&self) -> Agreement {
        let newest = self.told.iter().filter_map(|(node, all)| Some((*node, *all.last()?)));
        Agreement { told: newest.collect(), differing: self.differing.clone() }
    }

    /// Compares what was said with `mine`, this node's own checkpoints, the oldest first.
    ///
    /// Of a member that shares no point with this node, because it is far behind or ahead, what was known stays.
    pub(super) fn compare(&mut self, mine: &[Checkpoint]) -> Compared {
        let mut compared = Compared { wrong: self.wrong(mine), ..Compared::default() };
        let newest: Vec<(NodeId, Checkpoint)> = self
            .told
            .iter()
            .filter_map(|(node, all)| {
                let shared = mine.iter().rev().find(|point| all.iter().any(|it| is_at(it, point)));
                Some((*node, *shared?))
            })
            .collect();
        for (node, point) in newest {
            compared.members += 1;
            let there = self.told_of(&point);
            let theirs = there.iter().find(|(other, _)| *other == node).map(|(_, digest)| *digest);
            let Some(theirs) = theirs.filter(|theirs| *theirs != point.digest) else {
                compared.ended.extend(self.differing.remove(&node).map(|_| node));
                continue;
            };
            let doubt = !outvotes(with(&there, point.digest) + 1, with(&there, theirs));
            let difference = Difference { history: point.history, index: point.index, doubt };
            let before = self.differing.insert(node, difference);
            if before.is_none_or(|before| before.doubt != doubt) {
                compared.began.insert(node, difference);
            }
        }
        compared
    }

    /// Where this node's state is the wrong one, if that is sure, or has seemed so for long enough.
    fn wrong(&mut self, mine: &[Checkpoint]) -> Option<Wrong> {
        let all: Vec<(bool, Wrong)> = mine.iter().filter_map(|point| self.wrong_at(point)).collect();
        let (sure, wrong) = all.into_iter().max_by_key(|(sure, _)| *sure).unzip();
        self.suspicions = if wrong.is_some() { self.suspicions.saturating_add(1) } else { 0 };
        wrong.filter(|_| sure == Some(true) || self.suspicions >= caps::STATE_SUSPICIONS_MAX)
    }

    /// Whether this node's state is wrong at `point`, and whether that is sure: whatever those say who answer and have not
    /// told of it yet.
    fn wrong_at(&self, point: &Checkpoint) -> Option<(bool, Wrong)> {
        let there = self.told_of(point);
        let with_me = with(&there, point.digest) + 1;
        let against = there.iter().map(|(_, digest)| *digest).filter(|digest| *digest != point.digest);
        let theirs = against.max_by_key(|digest| with(&there, *digest))?;
        if !outvotes(with(&there, theirs), with_me) {
            return None;
        }
        let told: BTreeSet<NodeId> = there.iter().map(|(node, _)| *node).collect();
        let open = self.answered.difference(&told).count();
        let members = there.iter().filter(|(_, digest)| *digest == theirs).map(|(node, _)| *node).collect();
        let sure = outvotes(with(&there, theirs), with_me + open);
        Some((sure, Wrong { point: *point, theirs, members }))
    }

    /// The digests that were told of `point`.
    fn told_of(&self, point: &Checkpoint) -> Vec<(NodeId, StateDigest)> {
        let of = |all: &Vec<Checkpoint>| all.iter().find(|it| is_at(it, point)).map(|it| it.digest);
        self.told.iter().filter_map(|(node, all)| Some((*node, of(all)?))).collect()
    }
}

fn is_at(one: &Checkpoint, other: &Checkpoint) -> bool {
    (one.history, one.index) == (other.history, other.index)
}

/// How many have this digest.
fn with(there: &[(NodeId, StateDigest)], digest: StateDigest) -> usize {
    there.iter().filter(|(_, other)| *other == digest).count()
}

/// Whether so many that agree with each other show that so few are wrong.
fn outvotes(many: usize, few: usize) -> bool {
    many >= 2 && many > few
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(index: u64, digest: u8) -> Checkpoint {
        Checkpoint { history: 1, index, digest: StateDigest::from_bytes(&[digest; 32]) }
    }

    /// Others who are all at one index, with these digests; this node has digest 1 there.
    fn compare(others: &[u8]) -> (Compared, Agreement) {
        let mut states = States::default();
        for (node, digest) in (2..).zip(others) {
            states.note(node, vec![at(7, *digest)]);
        }
        let compared = states.compare(&[at(7, 1)]);
        (compared, states.agreement())
    }

    #[test]
    fn who_stands_against_more_that_agree_is_wrong() {
        for (others, wrong) in [
            (&[][..], false),
            (&[1], false),
            (&[1, 1], false),
            (&[2], false),
            (&[2, 3], false),
            (&[2, 2], true),
            (&[1, 2], false),
            (&[1, 2, 2], false),
            (&[2, 2, 2], true),
            (&[1, 2, 2, 2], true),
            (&[1, 1, 2, 2], false),
            (&[3, 2, 2], true),
            (&[3, 3, 2, 2], true),
        ] {
            let (compared, _) = compare(others);
            assert_eq!(compared.wrong.is_some(), wrong, "{others:?}");
            assert_eq!(compared.members, others.len());
            if let Some(wrong) = compared.wrong {
                assert_eq!(wrong.point, at(7, 1));
                assert!(wrong.members.len() >= 2 && wrong.theirs != wrong.point.digest);
            }
        }
    }

    #[test]
    fn whoever_cannot_be_judged_is_in_doubt_and_whoever_is_outvoted_is_not() {
        for (others, doubts) in [
            (&[1][..], &[][..]),
            (&[2], &[2_u64]),
            (&[2, 3], &[2, 3]),
            (&[1, 2], &[]),
            (&[1, 2, 2], &[3, 4]),
            (&[1, 1, 2, 2], &[]),
            (&[1, 2, 3], &[]),
        ] {
            let (_, agreement) = compare(others);
            let doubted = agreement.differing.iter().filter(|(_, difference)| difference.doubt);
            let doubted: Vec<NodeId> = doubted.map(|(node, _)| *node).collect();
            assert_eq!(doubted, doubts, "{others:?}");
            assert_eq!(agreement.is_in_doubt(), !doubts.is_empty());
            let differing = others.iter().filter(|digest| **digest != 1).count();
            assert_eq!(agreement.differing.len(), differing, "{others:?}");
        }
    }

    #[test]
    fn members_that_could_turn_the_count_are_waited_for_but_not_for_ever() {
        let told = |states: &mut States, all: &[u8]| {
            states.begin_round();
            for (node, digest) in (2..).zip(all) {
                // 0: alive, and not at that entry yet.
                states.note(node, vec![if *digest == 0 { at(6, 1) } else { at(7, *digest) }]);
            }
            states.compare(&[at(7, 1)]).wrong.is_some()
        };
        let mut states = States::default();
        // Of five, two are wrong and are heard first.
        assert!(!told(&mut states, &[2, 2, 0, 0]));
        assert!(!told(&mut states, &[2, 2, 1, 1]));
        assert!(!told(&mut states, &[2, 2, 0, 1]), "two against two");
        assert!(told(&mut States::default(), &[2, 2, 2, 0]), "whatever the fourth says");
        assert!(told(&mut States::default(), &[2, 2]));
        // A learner that is far behind saves nobody.
        let mut states = States::default();
        let rounds = (1..=caps::STATE_SUSPICIONS_MAX).map(|_| told(&mut states, &[2, 2, 0]));
        let rounds: Vec<bool> = rounds.collect();
        assert!(
            rounds.iter().rev().skip(1).all(|wrong| !wrong) && rounds.last() == Some(&true),
            "{rounds:?}"
        );
        // Nor does one that does not answer any more.
        let mut states = States::default();
        states.note(4, vec![at(6, 1)]);
        assert!(told(&mut states, &[2, 2]));
    }

    #[test]
    fn only_the_same_point_of_the_same_history_is_compared() {
        let mut states = States::default();
        states.note(2, vec![at(5, 8), Checkpoint { history: 2, ..at(7, 9) }]);
        let compared = states.compare(&[at(6, 1), at(7, 1)]);
        assert_eq!(compared, Compared::default());
        assert_eq!(states.agreement().told[&2].index, 7);
    }

    #[test]
    fn a_difference_is_told_once_and_stays_until_a_newer_point_is_equal() {
        let mut states = States::default();
        states.note(2, vec![at(6, 1), at(7, 2)]);
        let mine = [at(6, 1), at(7, 1)];
        let difference = Difference { history: 1, index: 7, doubt: true };
        assert_eq!(states.compare(&mine).began, BTreeMap::from([(2, difference)]));
        assert!(states.compare(&mine).began.is_empty(), "told before");
        // The other fell silent, and this node has gone on: nothing was found to be equal.
        let later = [at(90, 5)];
        assert_eq!(states.compare(&later), Compared::default());
        assert_eq!(states.agreement().differing[&2], difference);
        states.note(2, vec![at(7, 2), at(90, 5)]);
        assert_eq!(states.compare(&later).ended, [2]);
        assert!(states.agreement().differing.is_empty());
        states.note(2, vec![at(90, 6)]);
        states.compare(&later);
        states.keep(|node| node != 2);
        assert_eq!(states.agreement(), Agreement::default());
    }

    #[test]
    fn a_third_member_that_tells_decides_what_was_in_doubt() {
        let mut states = States::default();
        states.note(2, vec![at(7, 2)]);
        let mine = [at(7, 1)];
        assert!(states.compare(&mine).began[&2].doubt);
        states.note(3, vec![at(7, 1)]);
        assert!(!states.compare(&mine).began[&2].doubt);
        states.note(3, vec![at(7, 2)]);
        assert_eq!(states.compare(&mine).wrong.map(|wrong| wrong.members), Some(vec![2, 3]));
    }
}
