//! Log time: what the leader proposes as the time of an entry.
//!
//! It never goes back, and one entry moves it at most [`caps::LOG_TIME_STEP_SECONDS_MAX`] beyond what the leader's
//! monotonic clock has gone since the last one. A clock that jumps further is followed only while a majority of the
//! voters' clocks shows the same time ([`super::clocks`]), step by step; until then log time goes on at the pace of the
//! monotonic clock. Only the very first log time of a cluster is the clock of the node that begins it.

use aegis_model::caps;
use tokio::time::Instant;

const STEP_MS: u64 = caps::LOG_TIME_STEP_SECONDS_MAX * 1_000;

/// The last log time that this node proposed or saw, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogTime {
    last_ms: u64,
    at: Instant,
}

/// A log time to propose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// In milliseconds since 1970.
    pub(super) log_time_ms: u64,
    /// Whether the wall clock is still ahead, and another entry should follow at once.
    pub(super) behind: bool,
}

impl LogTime {
    /// From what was applied before this node started.
    pub(super) fn new(applied_ms: u64, now: Instant) -> Self {
        Self { last_ms: applied_ms, at: now }
    }

    /// Takes note of an applied log time.
    pub(super) fn observe(&mut self, applied_ms: u64, now: Instant) {
        if applied_ms > self.last_ms {
            *self = Self { last_ms: applied_ms, at: now };
        }
    }

    /// How long ago the last one was proposed or seen.
    pub(super) fn age(&self, now: Instant) -> std::time::Duration {
        now.saturating_duration_since(self.at)
    }

    /// The time of the next entry. `confirmed` says whether a majority's clocks agree with `wall_ms`.
    pub(super) fn stamp(&mut self, wall_ms: u64, confirmed: bool, now: Instant) -> Stamp {
        let passed = u64::try_from(self.age(now).as_millis()).unwrap_or(u64::MAX);
        let pace = self.last_ms.saturating_add(passed);
        let most = pace.saturating_add(STEP_MS);
        let log_time_ms = match wall_ms {
            // The first time of all: a cluster does not begin in 1970.
            first if self.last_ms == 0 => first,
            back if back <= self.last_ms => self.last_ms,
            near if near <= most => near,
            _far if confirmed => most,
            _far => pace,
        };
        *self = Self { last_ms: log_time_ms, at: now };
        Stamp { log_time_ms, behind: confirmed && wall_ms > log_time_ms }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const DAY_MS: u64 = 86_400_000;

    fn after(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn an_ordinary_clock_is_followed() {
        let start = Instant::now();
        let mut time = LogTime::new(1_000, start);
        let stamp = |time: &mut LogTime, wall, ms| time.stamp(wall, true, after(start, ms)).log_time_ms;
        assert_eq!(stamp(&mut time, 1_400, 400), 1_400);
        assert_eq!(stamp(&mut time, 1_390, 410), 1_400, "it does not go back");
        assert_eq!(stamp(&mut time, 4_000, 500), 4_000, "a small step is taken at once");
    }

    #[test]
    fn a_jump_is_taken_in_steps_and_only_if_a_majority_sees_the_same_time() {
        let start = Instant::now();
        let mut time = LogTime::new(1, start);
        let alone = time.stamp(DAY_MS, false, after(start, 70));
        assert_eq!(alone, Stamp { log_time_ms: 71, behind: false });
        let mut steps = 0;
        while time.stamp(DAY_MS, true, after(start, 70)).behind {
            steps += 1;
        }
        assert_eq!(steps, (DAY_MS - 71) / STEP_MS);
        assert_eq!(time.stamp(DAY_MS, true, after(start, 70)).log_time_ms, DAY_MS);
    }

    #[test]
    fn a_new_cluster_begins_now() {
        let start = Instant::now();
        assert_eq!(LogTime::new(0, start).stamp(20_000 * DAY_MS, false, start).log_time_ms, 20_000 * DAY_MS);
    }

    #[test]
    fn an_applied_time_is_the_new_start() {
        let start = Instant::now();
        let mut time = LogTime::new(0, start);
        time.observe(9_000, after(start, 10));
        time.observe(8_000, after(start, 20));
        assert_eq!(time.age(after(start, 30)), Duration::from_millis(20));
        assert_eq!(time.stamp(1, true, after(start, 30)).log_time_ms, 9_000);
    }

    proptest! {
        #[test]
        fn it_never_goes_back_and_never_leaps(
            steps in proptest::collection::vec((0_u64..20_000, 0_u64..100_000, any::<bool>()), 1..50),
        ) {
            let start = Instant::now();
            let mut time = LogTime::new(10_000, start);
            let (mut last, mut at) = (10_000, 0);
            for (passed, wall, confirmed) in steps {
                at += passed;
                let next = time.stamp(wall, confirmed, after(start, at)).log_time_ms;
                prop_assert!(next >= last, "went back from {last} to {next}");
                prop_assert!(next <= last + passed + STEP_MS, "leapt from {last} to {next} in {passed} ms");
                last = next;
            }
        }
    }
}
