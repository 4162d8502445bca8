//! One rate at this node: the bucket that calls take from, and the share of the rate that fills it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aegis_limits::bucket::Bucket;
use aegis_limits::pace::Pace;
use aegis_limits::split;
use aegis_model::caps;
use aegis_model::clock::Monotonic;
use aegis_proto::v1;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::desk::{Desk, Once, RateId, count, lock};
use super::key::{RateKey, RateTerms};

/// A rate, as far as this node has to do with it.
#[derive(Debug)]
pub(crate) struct Rate {
    id: RateId,
    key: RateKey,
    terms: Mutex<RateTerms>,
    bucket: Arc<Bucket>,
    calls: AtomicU64,
    share: Mutex<Share>,
    /// Told whenever calls that wait may find something new.
    news: Notify,
    /// Lies on the desk.
    pub(super) wanted: Once,
    desk: Arc<Desk>,
}

/// This node has no share of the rate: `RateLimitExceeded`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this node has no share of the rate")]
pub(crate) struct NoShare;

/// What of the rate is this node's.
#[derive(Debug)]
struct Share {
    pace: Pace,
    /// Its number; 0 before the first. Never goes back.
    number: u64,
    until: Monotonic,
    /// Whether it is not the leader's, but what this node does without one.
    alone: bool,
    /// When the leader said last that there is none.
    none: Option<Instant>,
}

/// For so long it is believed that there is none: the next tick asks again anyway.
const NONE_KNOWN: Duration = Duration::from_millis(2 * caps::RATE_TICK_MS);

impl Rate {
    pub(super) fn new(id: RateId, key: RateKey, terms: RateTerms, desk: Arc<Desk>) -> Self {
        // Full, so that the first share begins full, and ended, so that nothing is admitted before.
        let bucket = Bucket::new(terms.whole);
        bucket.end_at(Monotonic(Duration::ZERO));
        Self {
            id,
            key,
            terms: Mutex::new(terms),
            bucket: Arc::new(bucket),
            calls: AtomicU64::new(0),
            share: Mutex::new(Share {
                pace: Pace::NOTHING,
                number: 0,
                until: Monotonic(Duration::ZERO),
                alone: false,
                none: None,
            }),
            news: Notify::new(),
            wanted: Once::default(),
            desk,
        }
    }

    /// From which calls take.
    pub(crate) fn bucket(&self) -> &Arc<Bucket> {
        &self.bucket
    }

    /// Counts a call as demand, whether admitted or not.
    pub(crate) fn note_demand(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for a first share, at most until `deadline`, and never longer than [`caps::SHARE_WAIT_MS`].
    ///
    /// # Errors
    /// There is none. At once where that is known.
    pub(crate) async fn share(self: &Arc<Self>, deadline: Instant) -> Result<(), NoShare> {
        let deadline = deadline.min(Instant::now() + Duration::from_millis(caps::SHARE_WAIT_MS));
        let mut waited = false;
        let found = loop {
            let news = self.news.notified();
            tokio::pin!(news);
            // From here on no news is missed.
            news.as_mut().enable();
            if let Some(found) = self.standing() {
                break found;
            }
            if !std::mem::replace(&mut waited, true) {
                count(&self.desk.counts.waits);
                if self.wanted.set() {
                    self.desk.want_share(self);
                }
            }
            if tokio::time::timeout_at(deadline, news).await.is_err() {
                break self.standing().unwrap_or(Err(NoShare));
            }
        };
        if found.is_err() {
            count(&self.desk.counts.shareless);
        }
        found
    }

    /// Whether there is a share, if that is known.
    fn standing(&self) -> Option<Result<(), NoShare>> {
        let share = lock(&self.share);
        if share.pace.admits_any() && self.desk.clock.monotonic() < share.until {
            return Some(Ok(()));
        }
        let none = share.none.is_some_and(|at| at.elapsed() < NONE_KNOWN);
        (none || self.desk.is_over()).then_some(Err(NoShare))
    }

    /// Takes over terms that are newer, or stricter and as new. The share changes with the next answer.
    pub(super) fn learn(&self, terms: RateTerms) {
        let mut known = lock(&self.terms);
        *known = known.or(terms);
    }
}

/// What the borrower needs.
impl Rate {
    pub(super) fn id(&self) -> RateId {
        self.id
    }

    /// The calls that ever came.
    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// What to ask for, where lately so many calls per second came, in millionths.
    pub(super) fn ask(&self, demand: u64) -> v1::RateAsk {
        let terms = *lock(&self.terms);
        let share = lock(&self.share);
        let used = !share.alone && self.desk.clock.monotonic() < share.until;
        v1::RateAsk {
            key: Some(self.key.to_proto()),
            rate: terms.whole.rate().0,
            burst: terms.whole.burst(),
            stamp: Some(terms.stamp.to_proto()),
            demand,
            using: if used { share.number } else { 0 },
        }
    }

    /// Takes over a share that holds until `until`. One with a lower number than the one in use was overtaken by it: this
    /// node confirmed that it uses no other. Whether it is another one than before.
    pub(super) fn take(&self, told: &v1::RateShare, until: Monotonic, now: Instant) -> bool {
        let pace = Pace::new(aegis_model::money::Micros(told.rate), told.burst).unwrap_or(Pace::NOTHING);
        let is_another;
        {
            let mut share = lock(&self.share);
            if told.number == 0 {
                // The leader has none to give; what there is ends by itself.
                share.none = Some(now);
                drop(share);
                self.news.notify_waiters();
                return false;
            }
            if told.number < share.number {
                return false;
            }
            is_another = told.number > share.number;
            let moment = self.desk.clock.monotonic();
            self.bucket.change(pace, moment);
            self.bucket.end_at(until);
            let none = (!pace.admits_any()).then_some(now);
            *share = Share { pace, number: told.number, until, alone: false, none };
        }
        self.news.notify_waiters();
        is_another
    }

    /// With no leader within reach, and its share over: goes on with an equal part until `until`.
    pub(super) fn go_alone(&self, nodes: u32, until: Monotonic) {
        {
            let whole = lock(&self.terms).whole;
            let mut share = lock(&self.share);
            let moment = self.desk.clock.monotonic();
            let pace = split::alone(whole, nodes);
            if !share.alone && moment < share.until {
                return;
            }
            self.bucket.change(pace, moment);
            self.bucket.end_at(until);
            (share.pace, share.until, share.alone, share.none) = (pace, until, true, None);
        }
        self.news.notify_waiters();
    }

    /// Admits nothing any more: this process was replaced.
    pub(super) fn end(&self) {
        let mut share = lock(&self.share);
        share.until = Monotonic(Duration::ZERO);
        self.bucket.end_at(share.until);
        drop(share);
        self.news.notify_waiters();
    }

    /// Whether its bucket is full for sure if it was last taken from so long ago, so that a new one is no other.
    pub(super) fn is_full_after(&self, unused: Duration) -> bool {
        let whole = lock(&self.terms).whole;
        let millionths = u128::from(whole.burst()) * 1_000_000_000;
        match u128::from(whole.rate().0) {
            0 => true,
            rate => unused.as_millis() > millionths.div_ceil(rate),
        }
    }
}
