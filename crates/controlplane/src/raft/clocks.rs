//! What the voters' clocks show, and whether this node's is fit to lead.
//!
//! Every node asks the others once a second. What another's clock showed is carried forward by our monotonic clock, so
//! that a jump of our own clock is seen at once, and a voter that is down still counts for a while.

use std::collections::HashMap;
use std::time::Duration;

use aegis_model::caps;
use aegis_raft_store::types::NodeId;
use tokio::time::Instant;

/// Whether this node's clock is fit to lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The clocks of too few voters are known; then too few can be reached to be elected, too.
    Unknown,
    /// It is close to the median.
    Fit,
    /// It differs from the median by this much: positive when it is ahead.
    Off {
        /// Milliseconds.
        ahead_ms: i64,
    },
}

/// What the other members' clocks showed.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    samples: HashMap<NodeId, Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    wall_ms: u64,
    at: Instant,
}

const SAMPLE_TIME: Duration = Duration::from_secs(caps::CLOCK_SAMPLE_SECONDS_MAX);
const OFF_MS: u64 = caps::LEADER_CLOCK_SECONDS_OFF_MAX * 1_000;

impl Clocks {
    /// The clock of `node` showed `wall_ms` at `at`.
    pub(super) fn note(&mut self, node: NodeId, wall_ms: u64, at: Instant) {
        self.samples.insert(node, Sample { wall_ms, at });
    }

    /// Forgets all but `members`.
    pub(super) fn keep(&mut self, members: impl Fn(NodeId) -> bool) {
        self.samples.retain(|node, _| members(*node));
    }

    /// Whether `node` answered within the last `within`.
    pub(super) fn heard(&self, node: NodeId, now: Instant, within: Duration) -> bool {
        self.samples.get(&node).is_some_and(|sample| now.saturating_duration_since(sample.at) <= within)
    }

    /// Compares `wall_ms`, the clock of `me`, with the median of `voters`, of which it is one.
    ///
    /// Of an even number the lower median counts: where two clocks disagree, the earlier one leads, since log time that
    /// is late can catch up and log time that was early cannot go back.
    pub(super) fn judge(&self, voters: &[NodeId], me: NodeId, wall_ms: u64, now: Instant) -> Verdict {
        if !voters.contains(&me) {
            return Verdict::Unknown;
        }
        let others =
            voters.iter().filter(|voter| **voter != me).filter_map(|voter| self.ahead(*voter, wall_ms, now));
        let mut ahead: Vec<i64> = std::iter::once(0).chain(others).collect();
        if ahead.len() * 2 <= voters.len() {
            return Verdict::Unknown;
        }
        ahead.sort_unstable();
        let median = ahead[(ahead.len() - 1) / 2];
        match median.unsigned_abs() <= OFF_MS {
            true => Verdict::Fit,
            false => Verdict::Off { ahead_ms: median.saturating_neg() },
        }
    }

    /// By how much the clock of `node` is ahead of `wall_ms`.
    fn ahead(&self, node: NodeId, wall_ms: u64, now: Instant) -> Option<i64> {
        let sample = self.samples.get(&node)?;
        let age = now.saturating_duration_since(sample.at);
        if age > SAMPLE_TIME {
            return None;
        }
        let shows = i128::from(sample.wall_ms) + i128::try_from(age.as_millis()).ok()?;
        Some(i64::try_from(shows - i128::from(wall_ms)).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 43_200_000;
    const FIVE_MINUTES: u64 = 300_000;

    fn judge(voters: &[NodeId], others: &[(NodeId, u64)], mine: u64) -> Verdict {
        let now = Instant::now();
        let mut clocks = Clocks::default();
        for (node, wall) in others {
            clocks.note(*node, *wall, now);
        }
        clocks.judge(voters, 1, mine, now + Duration::from_secs(2))
    }

    #[test]
    fn a_clock_near_the_median_is_fit() {
        assert_eq!(judge(&[1], &[], 0), Verdict::Fit, "alone it is the median");
        assert_eq!(judge(&[1, 2, 3], &[(2, NOON), (3, NOON)], NOON + 2_000), Verdict::Fit);
        assert_eq!(judge(&[1, 2, 3], &[(2, NOON), (3, NOON)], NOON + 7_000), Verdict::Fit);
        let outlier = NOON + FIVE_MINUTES;
        assert_eq!(judge(&[1, 2, 3], &[(2, NOON), (3, outlier)], NOON + 2_000), Verdict::Fit);
    }

    #[test]
    fn a_clock_off_the_median_is_not() {
        let others = [(2, NOON), (3, NOON)];
        let off = judge(&[1, 2, 3], &others, NOON + 2_000 + FIVE_MINUTES);
        assert_eq!(off, Verdict::Off { ahead_ms: FIVE_MINUTES as i64 });
        assert_eq!(judge(&[1, 2, 3], &others, NOON - 3_001), Verdict::Off { ahead_ms: -5_001 });
        assert_eq!(judge(&[1, 2, 3], &others, NOON + 7_001), Verdict::Off { ahead_ms: 5_001 });
    }

    #[test]
    fn of_two_the_earlier_one_leads() {
        assert_eq!(judge(&[1, 2, 3], &[(2, NOON + FIVE_MINUTES)], NOON), Verdict::Fit);
        assert!(matches!(judge(&[1, 2, 3], &[(2, NOON)], NOON + FIVE_MINUTES), Verdict::Off { .. }));
    }

    #[test]
    fn without_a_majority_nothing_is_known() {
        assert_eq!(judge(&[1, 2, 3], &[], NOON), Verdict::Unknown);
        assert_eq!(judge(&[1, 2], &[], NOON), Verdict::Unknown);
        assert_eq!(judge(&[1, 2, 3, 4], &[(2, NOON)], NOON), Verdict::Unknown);
        assert_eq!(judge(&[2, 3], &[(2, NOON), (3, NOON)], NOON), Verdict::Unknown, "it is no voter");
    }

    #[test]
    fn what_a_clock_showed_long_ago_counts_no_more() {
        let start = Instant::now();
        let mut clocks = Clocks::default();
        clocks.note(2, NOON, start);
        let judge = |after: Duration| {
            let wall = NOON + u64::try_from(after.as_millis()).unwrap();
            clocks.judge(&[1, 2], 1, wall, start + after)
        };
        assert_eq!(judge(SAMPLE_TIME), Verdict::Fit);
        assert_eq!(judge(SAMPLE_TIME + Duration::from_millis(1)), Verdict::Unknown);
        assert!(clocks.heard(2, start + Duration::from_secs(1), Duration::from_secs(1)));
        assert!(!clocks.heard(2, start + Duration::from_secs(2), Duration::from_secs(1)));
    }
}
