//! How old the news from the control plane are: what decides whether a policy may still be enforced.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aegis_model::caps;
use aegis_model::clock::{Clock, Monotonic};

/// The newest moment that a majority of the control plane is known to have confirmed, and when it became known.
///
/// Its age is the larger of two, since each clock may fail in its own way:
/// - the time since it became known, by the clock that nobody can set, but that stands still while the machine sleeps;
/// - the wall time since the moment itself, less [`caps::STALENESS_SKEW_SECONDS`], which notices news that were old
///   when they came.
#[derive(Debug)]
pub(crate) struct Freshness {
    /// Whether news are expected at all.
    fed: bool,
    /// Milliseconds since 1970; 0: none yet.
    log_time_ms: AtomicU64,
    /// Nanoseconds of the monotonic clock.
    known_since: AtomicU64,
}

impl Freshness {
    /// For a node that a control plane feeds; nothing is known yet, which is older than everything.
    pub(crate) fn fed() -> Self {
        Self { fed: true, log_time_ms: AtomicU64::new(0), known_since: AtomicU64::new(0) }
    }

    /// For a node whose policies come from files: what is in force is what was put there.
    pub(crate) fn unfed() -> Self {
        Self { fed: false, ..Self::fed() }
    }

    /// Takes over a confirmed moment. One that is not newer says nothing new. Returns whether it was newer.
    ///
    /// To be called by one task at a time.
    pub(crate) fn confirm(&self, log_time_ms: u64, clock: &Clock) -> bool {
        if log_time_ms <= self.log_time_ms.load(Ordering::Relaxed) {
            return false;
        }
        // A reader between the two stores sees an age that is too large, never one too small: both parts of the age
        // shrink with their own store only.
        let now = u64::try_from(clock.monotonic().0.as_nanos()).unwrap_or(u64::MAX);
        self.known_since.store(now, Ordering::Relaxed);
        self.log_time_ms.store(log_time_ms, Ordering::Relaxed);
        true
    }

    /// The log time that it should be by now, in milliseconds since 1970: the newest confirmed moment, and the time since it
    /// became known. A little early, since news take time; 0 before the first.
    pub(crate) fn log_time_ms(&self, clock: &Clock) -> u64 {
        let log_time_ms = self.log_time_ms.load(Ordering::Relaxed);
        if log_time_ms == 0 {
            return 0;
        }
        let known_since = Monotonic(Duration::from_nanos(self.known_since.load(Ordering::Relaxed)));
        let since_known = clock.monotonic().since(known_since).as_millis();
        log_time_ms.saturating_add(u64::try_from(since_known).unwrap_or(u64::MAX))
    }

    /// The age of the news by `clock`.
    pub(crate) fn age(&self, clock: &Clock) -> Duration {
        if !self.fed {
            return Duration::ZERO;
        }
        let log_time_ms = self.log_time_ms.load(Ordering::Relaxed);
        if log_time_ms == 0 {
            return Duration::MAX;
        }
        let known_since = Monotonic(Duration::from_nanos(self.known_since.load(Ordering::Relaxed)));
        let since_known = clock.monotonic().since(known_since);
        let wall = Duration::from_nanos(clock.now().0).saturating_sub(Duration::from_millis(log_time_ms));
        since_known.max(wall.saturating_sub(Duration::from_secs(caps::STALENESS_SKEW_SECONDS)))
    }
}

#[cfg(test)]
mod tests {
    use aegis_model::clock::UnixNanos;

    use super::*;

    const START_MS: u64 = 1_800_000_000_000;

    fn clock() -> Clock {
        Clock::manual(UnixNanos(START_MS * 1_000_000))
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn nothing_known_is_older_than_everything_and_files_never_age() {
        let clock = clock();
        assert_eq!(Freshness::fed().age(&clock), Duration::MAX);
        clock.advance(seconds(1_000_000));
        assert_eq!(Freshness::unfed().age(&clock), Duration::ZERO);
    }

    #[test]
    fn news_age_with_time_and_newer_ones_are_young_again() {
        let (clock, freshness) = (clock(), Freshness::fed());
        assert!(freshness.confirm(START_MS, &clock));
        assert_eq!(freshness.age(&clock), Duration::ZERO);
        clock.advance(seconds(61));
        assert_eq!(freshness.age(&clock), seconds(61));
        assert!(!freshness.confirm(START_MS, &clock), "a stream that repeats itself confirms nothing");
        assert!(!freshness.confirm(START_MS - 1, &clock), "nor does one that lags");
        assert_eq!(freshness.age(&clock), seconds(61));
        assert!(freshness.confirm(START_MS + 61_000, &clock));
        assert_eq!(freshness.age(&clock), Duration::ZERO);
    }

    #[test]
    fn log_time_goes_on_between_news() {
        let (clock, freshness) = (clock(), Freshness::fed());
        assert_eq!(freshness.log_time_ms(&clock), 0);
        freshness.confirm(START_MS, &clock);
        clock.advance(seconds(2));
        clock.set(UnixNanos(0));
        assert_eq!(freshness.log_time_ms(&clock), START_MS + 2_000, "whatever the wall clock says");
    }

    #[test]
    fn news_that_were_old_when_they_came_are_old() {
        let (clock, freshness) = (clock(), Freshness::fed());
        freshness.confirm(START_MS - 50_000, &clock);
        assert_eq!(freshness.age(&clock), seconds(45), "less the permitted difference of clocks");
        clock.advance(seconds(10));
        assert_eq!(freshness.age(&clock), seconds(55));
    }

    #[test]
    fn a_wall_clock_that_is_set_back_does_not_make_news_young() {
        let (clock, freshness) = (clock(), Freshness::fed());
        freshness.confirm(START_MS, &clock);
        clock.advance(seconds(30));
        clock.set(UnixNanos((START_MS - 3_600_000) * 1_000_000));
        assert_eq!(freshness.age(&clock), seconds(30));
    }

    #[test]
    fn a_machine_that_slept_notices_by_its_wall_clock() {
        let (clock, freshness) = (clock(), Freshness::fed());
        freshness.confirm(START_MS, &clock);
        clock.set(UnixNanos((START_MS + 100_000) * 1_000_000));
        assert_eq!(freshness.age(&clock), seconds(95));
    }

    #[test]
    fn a_confirmed_moment_far_ahead_still_ages() {
        let (clock, freshness) = (clock(), Freshness::fed());
        freshness.confirm(START_MS + 86_400_000, &clock);
        clock.advance(seconds(70));
        assert_eq!(freshness.age(&clock), seconds(70));
    }
}
