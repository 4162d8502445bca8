//! Time as a value that is passed in: nothing below the binary reads a clock by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// Where the wall time comes from. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's wall clock.
    System,
    /// A clock that stands still until it is set; for tests and for judging at a stated moment.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that stands at `now`.
    pub fn manual(now: UnixNanos) -> Self {
        Self::Manual(Arc::new(AtomicU64::new(now.0)))
    }

    /// The present moment.
    pub fn now(&self) -> UnixNanos {
        match self {
            Self::System => UnixNanos(system_nanos()),
            Self::Manual(nanos) => UnixNanos(nanos.load(Ordering::Relaxed)),
        }
    }

    /// Sets a manual clock; a system clock is left alone.
    pub fn set(&self, now: UnixNanos) {
        if let Self::Manual(nanos) = self {
            nanos.store(now.0, Ordering::Relaxed);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
fn system_nanos() -> u64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}
