//! Time as a value that is passed in: nothing below the binary reads a clock by itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixNanos(pub u64);

impl UnixNanos {
    /// From whole seconds; saturates in the year 2554.
    pub fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// Whole seconds, rounded down.
    pub fn seconds(self) -> u64 {
        self.0 / 1_000_000_000
    }
}

/// A moment of a clock that never goes back, as the time since some fixed moment of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(pub Duration);

impl Monotonic {
    /// The time from `earlier` to this moment; zero if it is the later one.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Where the time comes from. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's clocks.
    System,
    /// Clocks that stand still until they are set; for tests and for judging at a stated moment.
    Manual(Arc<Stopped>),
}

/// The two clocks of [`Clock::Manual`], in nanoseconds.
#[derive(Debug, Default)]
pub struct Stopped {
    wall: AtomicU64,
    monotonic: AtomicU64,
}

impl Clock {
    /// A clock that stands at `now`.
    pub fn manual(now: UnixNanos) -> Self {
        Self::Manual(Arc::new(Stopped { wall: AtomicU64::new(now.0), ..Stopped::default() }))
    }

    /// The present moment.
    pub fn now(&self) -> UnixNanos {
        match self {
            Self::System => UnixNanos(system_nanos()),
            Self::Manual(stopped) => UnixNanos(stopped.wall.load(Ordering::Relaxed)),
        }
    }

    /// The present moment of the clock that never goes back: for measuring how long something lasts. It does not count
    /// while the machine sleeps, and nobody can set it.
    pub fn monotonic(&self) -> Monotonic {
        match self {
            Self::System => Monotonic(system_monotonic()),
            Self::Manual(stopped) => {
                Monotonic(Duration::from_nanos(stopped.monotonic.load(Ordering::Relaxed)))
            }
        }
    }

    /// Sets the wall time of a manual clock; a system clock is left alone.
    pub fn set(&self, now: UnixNanos) {
        if let Self::Manual(stopped) = self {
            stopped.wall.store(now.0, Ordering::Relaxed);
        }
    }

    /// Lets time pass on both clocks of a manual clock; a system clock is left alone.
    pub fn advance(&self, time: Duration) {
        if let Self::Manual(stopped) = self {
            let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            stopped.wall.fetch_add(nanos, Ordering::Relaxed);
            stopped.monotonic.fetch_add(nanos, Ordering::Relaxed);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
fn system_nanos() -> u64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "the one place where the monotonic clock is read")]
fn system_monotonic() -> Duration {
    /// The moment from which all others are counted: an `Instant` by itself has no number.
    static FIRST_READ: LazyLock<Instant> = LazyLock::new(Instant::now);
    FIRST_READ.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_wall_clock_can_be_set_back_and_the_other_one_cannot() {
        let clock = Clock::manual(UnixNanos::from_seconds(100));
        let start = clock.monotonic();
        clock.advance(Duration::from_secs(5));
        clock.set(UnixNanos::from_seconds(50));
        assert_eq!(clock.now(), UnixNanos::from_seconds(50));
        assert_eq!(clock.monotonic().since(start), Duration::from_secs(5));
        assert_eq!(start.since(clock.monotonic()), Duration::ZERO);
    }

    #[test]
    fn the_system_clock_goes_on() {
        let start = Clock::System.monotonic();
        assert!(Clock::System.monotonic() >= start);
    }
}
