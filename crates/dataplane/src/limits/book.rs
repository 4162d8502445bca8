//! All budgets and rates that this node has to do with.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aegis_model::caps;
use aegis_model::clock::Clock;
use aegis_model::ids::ClusterId;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::budget::Budget;
use super::desk::{BudgetId, Desk, RateId};
use super::key::{BudgetKey, BudgetTerms, RateKey, RateTerms};
use super::rate::Rate;
use crate::freshness::Freshness;

/// One per node; outlives snapshots.
#[derive(Debug)]
pub(crate) struct Book {
    budgets: Shards<BudgetKey, Budget>,
    rates: Shards<RateKey, Rate>,
    last_id: AtomicU64,
    pub(super) desk: Arc<Desk>,
    /// What the feed learned of who this process is.
    identity: watch::Sender<Option<Identity>>,
    end: watch::Sender<Wish>,
    /// Told when everything was returned, or cannot be.
    ended: Notify,
}

/// Who borrows: this process, as the feed had it registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The cluster that it belongs to.
    pub(crate) cluster: ClusterId,
    /// The node's id.
    pub(crate) node_id: u64,
    /// This life of it.
    pub(crate) incarnation: u64,
    /// The history in which that was given.
    pub(crate) history: u64,
}

/// What the node wants of its borrower. Later ones are greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    /// To go on.
    #[default]
    Lend,
    /// To say that the node is about to stop, and to go on.
    Leave,
    /// To return everything: no call comes any more.
    Return,
    /// Everything was returned, or cannot be.
    Ended,
}

/// As many limits as a node holds are there: `LimitsUnavailable`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node has as many limits as it can hold")]
pub(crate) struct TooMany;

impl Book {
    /// An empty book.
    pub(crate) fn new(clock: Clock, freshness: Arc<Freshness>) -> Self {
        Self {
            budgets: Shards::new(),
            rates: Shards::new(),
            last_id: AtomicU64::new(0),
            desk: Arc::new(Desk::new(clock, freshness)),
            identity: watch::Sender::new(None),
            end: watch::Sender::new(Wish::Lend),
            ended: Notify::new(),
        }
    }

    /// The budget of this name, under these terms or newer ones. Never waits.
    ///
    /// # Errors
    /// [`TooMany`], at [`caps::LIMITS_PER_NODE_MAX`].
    pub(crate) fn budget(&self, key: &BudgetKey, terms: &BudgetTerms) -> Result<Arc<Budget>, TooMany> {
        let make =
            || Budget::new(BudgetId(self.next_id()), key.clone(), terms.clone(), Arc::clone(&self.desk));
        let budget = self.budgets.get_or_make(key, make).ok_or(TooMany)?;
        budget.learn(terms);
        Ok(budget)
    }

    /// The rate of this name, under these terms or newer ones. Never waits.
    ///
    /// # Errors
    /// [`TooMany`], at [`caps::LIMITS_PER_NODE_MAX`].
    pub(crate) fn rate(&self, key: &RateKey, terms: &RateTerms) -> Result<Arc<Rate>, TooMany> {
        let make = || Rate::new(RateId(self.next_id()), key.clone(), *terms, Arc::clone(&self.desk));
        let rate = self.rates.get_or_make(key, make).ok_or(TooMany)?;
        rate.learn(*terms);
        Ok(rate)
    }

    fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Forgets what nobody has in hand and nobody asked for in a while: what has leases, a share or a call is in hand.
    pub(super) fn sweep(&self, now: Instant) {
        self.budgets.sweep(now, |_, unused| unused > UNUSED);
        self.rates.sweep(now, |rate, unused| unused > UNUSED && rate.is_full_after(unused));
    }

    /// The feed had this process registered: from now on it can borrow. Said again, it changes nothing.
    pub(crate) fn begin(&self, identity: Identity) {
        self.identity.send_if_modified(|known| match known {
            Some(_) => false,
            None => {
                *known = Some(identity);
                true
            }
        });
    }

    /// Who this process is, once the feed had it registered.
    pub(crate) fn known_identity(&self) -> Option<Identity> {
        self.identity.borrow().clone()
    }

    /// Waits until it is known who borrows.
    pub(crate) async fn identity(&self) -> Identity {
        let mut known = self.identity.subscribe();
        match known.wait_for(Option::is_some).await.map(|known| known.clone()) {
            Ok(Some(identity)) => identity,
            // The sender lives as long as `self`, and it waited for something.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Says to the leader that this node is about to stop, so that its slots are moved. Leases go on.
    pub(crate) fn leave(&self) {
        self.wish(Wish::Leave);
    }

    /// Returns everything, and waits for the leader to confirm that, at most [`caps::LEND_RETURN_SECONDS`]. To be called when
    /// no call can come any more.
    pub(crate) async fn close(&self) {
        let ended = self.ended.notified();
        if self.identity.borrow().is_none() || !self.wish(Wish::Return) {
            return;
        }
        if tokio::time::timeout(Duration::from_secs(caps::LEND_RETURN_SECONDS), ended).await.is_err() {
            tracing::warn!(
                "the leader did not confirm what was left of the leases; the next start returns it from the journal"
            );
        }
    }

    /// Whether the wish was not there before.
    fn wish(&self, wish: Wish) -> bool {
        self.end.send_if_modified(|known| {
            let grows = wish > *known;
            *known = (*known).max(wish);
            grows
        })
    }

    pub(super) fn wishes(&self) -> watch::Receiver<Wish> {
        self.end.subscribe()
    }

    /// Nothing is returned or lent any more.
    pub(super) fn ended(&self) {
        self.wish(Wish::Ended);
        self.ended.notify_waiters();
    }

    /// How many budgets and rates there are.
    pub(crate) fn limits(&self) -> (usize, usize) {
        (self.budgets.len(), self.rates.len())
    }

    /// What happened, for the metrics.
    pub(crate) fn counts(&self) -> &super::desk::Counts {
        &self.desk.counts
    }

    /// Whether the leader answers at present.
    pub(crate) fn is_in_reach(&self) -> bool {
        self.desk.is_in_reach()
    }
}

/// For so long a limit without leases or share is remembered after nobody has had it in hand.
const UNUSED: Duration = Duration::from_secs(caps::LEASE_IDLE_SECONDS);

/// Locks enough that calls hardly ever meet at one.
const SHARDS: usize = 64;

/// A map that is read by every call and written seldom. Values that are given out are counted by their `Arc`s, which are
/// made under the lock: one that only the map has in hand stays so while the lock is held.
#[derive(Debug)]
struct Shards<K, V> {
    shards: Vec<RwLock<HashMap<K, Entry<V>>>>,
    hasher: RandomState,
    entries: AtomicUsize,
}

#[derive(Debug)]
struct Entry<V> {
    value: Arc<V>,
    /// When somebody was last seen to have it in hand.
    used: Instant,
}

impl<K: Hash + Eq + Clone, V> Shards<K, V> {
    fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hasher: RandomState::new(),
            entries: AtomicUsize::new(0),
        }
    }

    fn get_or_make(&self, key: &K, make: impl FnOnce() -> V) -> Option<Arc<V>> {
        let shard = &self.shards[self.hasher.hash_one(key) as usize % SHARDS];
        if let Some(entry) = shard.read().unwrap_or_else(PoisonError::into_inner).get(key) {
            return Some(Arc::clone(&entry.value));
        }
        let mut entries = shard.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(key) {
            return Some(Arc::clone(&entry.value));
        }
        // Other shards may pass the bound by one each at the same moment.
        if self.entries.load(Ordering::Relaxed) >= caps::LIMITS_PER_NODE_MAX {
            return None;
        }
        self.entries.fetch_add(1, Ordering::Relaxed);
        let value = Arc::new(make());
        entries.insert(key.clone(), Entry { value: Arc::clone(&value), used: Instant::now() });
        Some(value)
    }

    fn sweep(&self, now: Instant, goes: impl Fn(&V, Duration) -> bool) {
        for shard in &self.shards {
            let mut entries = shard.write().unwrap_or_else(PoisonError::into_inner);
            let before = entries.len();
            entries.retain(|_, entry| {
                if Arc::strong_count(&entry.value) > 1 {
                    entry.used = now;
                }
                !goes(&entry.value, now.saturating_duration_since(entry.used))
            });
            self.entries.fetch_sub(before - entries.len(), Ordering::Relaxed);
        }
    }

    fn len(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }
}
