//! What a running journal has done, in numbers for operators.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aegis_model::clock::Monotonic;
use aegis_model::metric::Distribution;

/// Upper ends of the buckets of [`Figures::syncs`], in seconds: from a disk with a cache that survives to one that hangs.
const SYNC_SECONDS: [f64; 12] = [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.5, 2.5];

/// What a journal has done since it was opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Records that were taken.
    pub taken: u64,
    /// Records that were acknowledged.
    pub kept: u64,
    /// Bytes that were handed to the system.
    pub bytes: u64,
    /// Checkpoints that were signed.
    pub checkpoints: u64,
    /// Segments that were ended.
    pub segments: u64,
    /// How long the syncs took, in seconds.
    pub syncs: Distribution,
    /// How long the oldest record that is not acknowledged waits at most; nothing if none waits.
    pub oldest: Option<Duration>,
}

/// The same while it is counted.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) taken: AtomicU64,
    pub(super) kept: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) checkpoints: AtomicU64,
    pub(super) segments: AtomicU64,
    syncs: [AtomicU64; SYNC_SECONDS.len() + 1],
    sync_nanos: AtomicU64,
    /// No record that waits was taken earlier, in nanoseconds of the clock that never goes back.
    since_nanos: AtomicU64,
}

impl Counts {
    /// Counts a sync that took so long.
    pub(super) fn synced(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = SYNC_SECONDS.iter().position(|&end| seconds <= end).unwrap_or(SYNC_SECONDS.len());
        self.syncs[bucket].fetch_add(1, Ordering::Relaxed);
        self.sync_nanos.fetch_add(nanos(took), Ordering::Relaxed);
    }

    /// Whatever waits now was not taken before `moment`.
    pub(super) fn waiting_since(&self, moment: Monotonic) {
        self.since_nanos.store(nanos(moment.0), Ordering::Relaxed);
    }

    pub(super) fn figures(&self, waiting: usize, now: Monotonic) -> Figures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let since = Monotonic(Duration::from_nanos(read(&self.since_nanos)));
        Figures {
            taken: read(&self.taken),
            kept: read(&self.kept),
            bytes: read(&self.bytes),
            checkpoints: read(&self.checkpoints),
            segments: read(&self.segments),
            syncs: Distribution {
                bounds: SYNC_SECONDS.to_vec(),
                counts: self.syncs.iter().map(read).collect(),
                sum: read(&self.sync_nanos) as f64 * 1e-9,
                exemplars: Vec::new(),
            },
            oldest: (waiting > 0).then(|| now.since(since)),
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
