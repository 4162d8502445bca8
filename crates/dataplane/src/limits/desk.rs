//! Where budgets and rates leave word for the borrower, and read whether there is a leader at all.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aegis_limits::ledger::LeaseId;
use aegis_model::caps;
use aegis_model::clock::Clock;
use aegis_model::money::Micros;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::budget::Budget;
use super::rate::Rate;
use crate::freshness::Freshness;

/// A budget's number within this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BudgetId(pub(super) u64);

/// A rate's number within this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RateId(pub(super) u64);

/// What was left for the borrower, each thing once.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(super) clock: Clock,
    freshness: Arc<Freshness>,
    /// Told when something cannot wait for the next tick.
    pub(super) bell: Notify,
    wanted: Mutex<Vec<Arc<Budget>>>,
    low: Mutex<Vec<BudgetId>>,
    rates: Mutex<Vec<Arc<Rate>>>,
    debts: Mutex<BTreeMap<u64, Micros>>,
    /// By ledger and lease.
    savings: Mutex<BTreeMap<(u64, LeaseId), Micros>>,
    /// Set while leases cannot be kept, and so none is taken.
    unkept: AtomicBool,
    reach: Reach,
    pub(super) counts: Counts,
}

/// What happened, for the metrics, which take the counts with each look.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Calls that had to wait for a lease or a share.
    pub(crate) waits: AtomicU64,
    /// Asks that were sent.
    pub(crate) asks: AtomicU64,
    /// Ticks that were sent.
    pub(crate) ticks: AtomicU64,
    /// Leases that are held.
    pub(crate) leases: AtomicU64,
    /// Calls that got no lease, as [`super::Dry`] says why.
    pub(crate) exhausted: AtomicU64,
    pub(crate) cut_off: AtomicU64,
    pub(crate) late: AtomicU64,
    /// Calls without a share.
    pub(crate) shareless: AtomicU64,
}

/// Whether the leader can be reached.
#[derive(Debug)]
struct Reach {
    state: AtomicU8,
    /// Milliseconds after `born` at which it was lost.
    lost_ms: AtomicU64,
    born: Instant,
    nodes: AtomicU64,
}

const OUT_OF_REACH: u8 = 0;
const IN_REACH: u8 = 1;
const OVER: u8 = 2;

impl Desk {
    pub(super) fn new(clock: Clock, freshness: Arc<Freshness>) -> Self {
        Self {
            clock,
            freshness,
            bell: Notify::new(),
            wanted: Mutex::default(),
            low: Mutex::default(),
            rates: Mutex::default(),
            debts: Mutex::default(),
            savings: Mutex::default(),
            unkept: AtomicBool::new(false),
            reach: Reach {
                state: AtomicU8::new(OUT_OF_REACH),
                lost_ms: AtomicU64::new(0),
                born: Instant::now(),
                nodes: AtomicU64::new(1),
            },
            counts: Counts::default(),
        }
    }

    /// The log time that it should be by now, in milliseconds; 0 where nothing is known.
    pub(super) fn log_time_ms(&self) -> u64 {
        self.freshness.log_time_ms(&self.clock)
    }

    /// Half of a lease is spent.
    pub(super) fn runs_low(&self, budget: BudgetId) {
        lock(&self.low).push(budget);
    }

    /// A budget has something to ask.
    pub(super) fn want(&self, budget: &Arc<Budget>) {
        lock(&self.wanted).push(Arc::clone(budget));
    }

    /// A rate has to be asked for, at once.
    pub(super) fn want_share(&self, rate: &Arc<Rate>) {
        lock(&self.rates).push(Arc::clone(rate));
        self.bell.notify_one();
    }

    /// A real cost that no lease covers, in the ledger of this number.
    pub(super) fn owe(&self, ledger: u64, debt: Micros) {
        let mut debts = lock(&self.debts);
        let owed = debts.entry(ledger).or_insert(Micros::ZERO);
        *owed = owed.saturating_add(debt);
    }

    /// What calls cost less than they were charged, of a lease that cannot take it back any more.
    pub(super) fn save(&self, ledger: u64, lease: LeaseId, amount: Micros) {
        let mut savings = lock(&self.savings);
        let saved = savings.entry((ledger, lease)).or_insert(Micros::ZERO);
        *saved = saved.saturating_add(amount);
    }

    pub(super) fn take_wanted(&self) -> Vec<Arc<Budget>> {
        std::mem::take(&mut lock(&self.wanted))
    }

    pub(super) fn take_low(&self) -> Vec<BudgetId> {
        std::mem::take(&mut lock(&self.low))
    }

    pub(super) fn take_rates(&self) -> Vec<Arc<Rate>> {
        std::mem::take(&mut lock(&self.rates))
    }

    /// Up to so many debts; the rest stays.
    pub(super) fn take_debts(&self, most: usize) -> Vec<(u64, Micros)> {
        take(&self.debts, most)
    }

    /// Up to so many savings; the rest stays.
    pub(super) fn take_savings(&self, most: usize) -> Vec<((u64, LeaseId), Micros)> {
        take(&self.savings, most)
    }

    /// Whether there are debts or savings to be told.
    pub(super) fn has_settlements(&self) -> bool {
        !lock(&self.debts).is_empty() || !lock(&self.savings).is_empty()
    }

    /// Leases can be kept.
    pub(super) fn can_keep(&self) {
        self.unkept.store(false, Ordering::Release);
    }

    /// There is no journal in which leases could be kept.
    pub(super) fn cannot_keep(&self) {
        self.unkept.store(true, Ordering::Release);
    }

    pub(super) fn is_unkept(&self) -> bool {
        self.unkept.load(Ordering::Acquire)
    }

    /// The leader took this node on; so many nodes live.
    pub(super) fn reached(&self, nodes: u32) {
        self.count_nodes(nodes);
        // Over stays over.
        let state = &self.reach.state;
        let _ = state.compare_exchange(OUT_OF_REACH, IN_REACH, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The leader is out of reach.
    pub(super) fn lost(&self) {
        let lost_ms = u64::try_from(self.reach.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.reach.lost_ms.store(lost_ms, Ordering::Release);
        let state = &self.reach.state;
        let _ = state.compare_exchange(IN_REACH, OUT_OF_REACH, Ordering::AcqRel, Ordering::Acquire);
    }

    /// This process gets nothing any more, and may spend nothing.
    pub(super) fn over(&self) {
        self.reach.state.store(OVER, Ordering::Release);
    }

    pub(super) fn is_over(&self) -> bool {
        self.reach.state.load(Ordering::Acquire) == OVER
    }

    pub(super) fn count_nodes(&self, nodes: u32) {
        self.reach.nodes.store(u64::from(nodes.max(1)), Ordering::Relaxed);
    }

    /// How many nodes lived when the leader was last heard.
    pub(super) fn nodes(&self) -> u32 {
        u32::try_from(self.reach.nodes.load(Ordering::Relaxed)).unwrap_or(u32::MAX)
    }

    /// Whether the leader answers at present.
    pub(crate) fn is_in_reach(&self) -> bool {
        self.reach.state.load(Ordering::Acquire) == IN_REACH
    }

    /// Whether waiting for the leader is of no use: it is out of reach for longer than a change of leader takes.
    pub(super) fn is_cut_off(&self) -> bool {
        match self.reach.state.load(Ordering::Acquire) {
            IN_REACH => false,
            OUT_OF_REACH => {
                let lost = Duration::from_millis(self.reach.lost_ms.load(Ordering::Acquire));
                self.reach.born.elapsed() > lost + Duration::from_millis(caps::LEND_GRACE_MS)
            }
            _over => true,
        }
    }
}

/// Once, until it is cleared: so that a thing lies on the desk once.
#[derive(Debug, Default)]
pub(super) struct Once(AtomicBool);

impl Once {
    /// Whether it was not set before.
    pub(super) fn set(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    pub(super) fn clear(&self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A lock whose holder panicked guards plain values: each is right by itself.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take<K: Ord>(amounts: &Mutex<BTreeMap<K, Micros>>, most: usize) -> Vec<(K, Micros)> {
    let mut amounts = lock(amounts);
    std::iter::from_fn(|| amounts.pop_first()).take(most).collect()
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
