//! The time since a run began: real, or set by a test.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A stopwatch. Cheap to clone; clones show the same time.
#[derive(Debug, Clone)]
pub enum Watch {
    /// Real time since this instant.
    Real(Instant),
    /// Stands still until it is set.
    Manual(Arc<Hand>),
}

/// The hand of a manual watch.
#[derive(Debug, Default)]
pub struct Hand {
    elapsed: Mutex<Duration>,
    moved: Condvar,
}

impl Watch {
    /// A watch that starts now.
    #[expect(clippy::disallowed_methods, reason = "latency is real time; this is where it is read")]
    pub fn start() -> Self {
        Self::Real(Instant::now())
    }

    /// A watch that stands at zero until [`Self::set`].
    pub fn manual() -> Self {
        Self::Manual(Arc::default())
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        match self {
            Self::Real(start) => start.elapsed(),
            Self::Manual(hand) => *hand.lock(),
        }
    }

    /// Blocks the thread until `moment`; returns at once if it has passed.
    pub fn wait_until(&self, moment: Duration) {
        match self {
            Self::Real(start) => {
                let left = moment.saturating_sub(start.elapsed());
                // The kernel's timer, not tokio's: its wheel turns once a millisecond, and would bunch the calls.
                if !left.is_zero() {
                    std::thread::sleep(left);
                }
            }
            Self::Manual(hand) => {
                let waiting = hand.moved.wait_while(hand.lock(), |elapsed| *elapsed < moment);
                drop(waiting.unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    /// Sets a manual watch; a real one is left alone.
    pub fn set(&self, elapsed: Duration) {
        if let Self::Manual(hand) = self {
            *hand.lock() = elapsed;
            hand.moved.notify_all();
        }
    }
}

impl Hand {
    fn lock(&self) -> MutexGuard<'_, Duration> {
        self.elapsed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
