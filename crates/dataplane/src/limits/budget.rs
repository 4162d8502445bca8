//! One budget at this node: its leases, who waits for the next one, and what is known of there being none.
//!
//! ```text
//!  paid by a lease ── none has enough ──▶ known to be dry? ── yes ──▶ refused, nobody is asked
//!        ▲                                      │ no
//!        └── a lease came ◀── waits ◀───────────┘
//!                               └── its time is over, or no leader in reach ──▶ refused
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aegis_limits::purse::Purse;
use aegis_limits::reservation::{Debt, Saving};
use aegis_limits::size::Need;
use aegis_model::caps;
use aegis_model::money::Micros;
use aegis_proto::v1;
use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::cell::LeaseCell;
use super::desk::{BudgetId, Desk, Once, count, lock};
use super::key::{BudgetKey, BudgetTerms};

/// A budget, as far as this node has to do with it.
#[derive(Debug)]
pub(crate) struct Budget {
    id: BudgetId,
    key: BudgetKey,
    terms: ArcSwap<BudgetTerms>,
    purse: Arc<Purse<LeaseCell>>,
    known: Mutex<Known>,
    /// Told whenever calls that wait may find something new.
    news: Notify,
    /// Lies on the desk.
    pub(super) wanted: Once,
    desk: Arc<Desk>,
}

/// Why no lease comes that could pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Dry {
    /// The budget has less than the call costs: `BudgetExceeded`.
    #[error("the budget has less than the call costs")]
    Exhausted,
    /// No leader is within reach: `LimitsUnavailable`.
    #[error("the control plane's leader cannot be reached")]
    CutOff,
    /// The leader did not answer in time, or cannot lend at present: `LimitsUnavailable`.
    #[error("no part of the budget was lent in time")]
    Late,
}

/// What this node knows of the budget.
#[derive(Debug, Default)]
struct Known {
    /// The calls that wait, by their cost.
    waiting: BTreeMap<Micros, usize>,
    /// The cost of the last call that found no lease.
    usual: Micros,
    /// The newest ledger.
    ledger: u64,
    /// What could still be granted when the leader was last heard.
    free: Micros,
    /// Since when it is known to be dry.
    dry: Option<Drought>,
    /// Something of this node's own is on its way back, so that more may be granted soon.
    coming_back: bool,
    /// The leader lends nothing until then, whatever is free.
    refused_until: Option<Instant>,
}

/// The budget has less than was asked.
#[derive(Debug, Clone, Copy)]
struct Drought {
    /// Calls that cost more get nothing.
    free: Micros,
    /// Others are called upon to give back what they hold.
    recalled: bool,
    /// When its epoch ends, and the drought with it.
    epoch_end_ms: u64,
    /// When the leader was last asked, or is going to be.
    asked: Instant,
}

/// What a call may expect.
enum Standing {
    Pays,
    Dry(Dry),
    Open,
}

impl Budget {
    pub(super) fn new(id: BudgetId, key: BudgetKey, terms: BudgetTerms, desk: Arc<Desk>) -> Self {
        Self {
            id,
            key,
            terms: ArcSwap::from_pointee(terms),
            purse: Arc::default(),
            known: Mutex::default(),
            news: Notify::new(),
            wanted: Once::default(),
            desk,
        }
    }

    /// Its leases, from which calls are paid.
    pub(crate) fn purse(&self) -> &Arc<Purse<LeaseCell>> {
        &self.purse
    }

    /// Waits until a lease came that may pay `cost`, or it is known that none will; at most until `deadline`, and never
    /// longer than [`caps::LEND_WAIT_MS`]. Another call may be faster than the one that waited, which then asks again.
    ///
    /// # Errors
    /// [`Dry`]. At once where that is known.
    pub(crate) async fn more(self: &Arc<Self>, cost: Micros, deadline: Instant) -> Result<(), Dry> {
        let now = Instant::now();
        let found = match self.standing(cost, now) {
            Standing::Pays => Ok(()),
            Standing::Dry(dry) => Err(dry),
            Standing::Open => {
                count(&self.desk.counts.waits);
                let longest = now + Duration::from_millis(caps::LEND_WAIT_MS);
                self.wait(cost, deadline.min(longest)).await
            }
        };
        if let Err(dry) = found {
            let counts = &self.desk.counts;
            count(match dry {
                Dry::Exhausted => &counts.exhausted,
                Dry::CutOff => &counts.cut_off,
                Dry::Late => &counts.late,
            });
        }
        found
    }

    async fn wait(self: &Arc<Self>, cost: Micros, deadline: Instant) -> Result<(), Dry> {
        let _counted = Waits::begin(self, cost);
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            // From here on no news is missed.
            news.as_mut().enable();
            match self.standing(cost, Instant::now()) {
                Standing::Pays => return Ok(()),
                Standing::Dry(dry) => return Err(dry),
                Standing::Open => {}
            }
            if tokio::time::timeout_at(deadline, news).await.is_err() {
                return match self.standing(cost, Instant::now()) {
                    Standing::Pays => Ok(()),
                    Standing::Dry(dry) => Err(dry),
                    Standing::Open if !self.desk.is_in_reach() => Err(Dry::CutOff),
                    // What others were called upon to give back did not come in time.
                    Standing::Open if self.is_short_of(cost) => Err(Dry::Exhausted),
                    Standing::Open => Err(Dry::Late),
                };
            }
        }
    }

    /// What a call of this cost may expect at this moment.
    fn standing(self: &Arc<Self>, cost: Micros, now: Instant) -> Standing {
        if self.purse.pays(cost) {
            return Standing::Pays;
        }
        if cost > self.terms.load().limit {
            // Nobody else has to give anything back for a call that never fits.
            return Standing::Dry(Dry::Exhausted);
        }
        if self.desk.is_cut_off() {
            return Standing::Dry(Dry::CutOff);
        }
        if self.desk.is_unkept() {
            return Standing::Dry(Dry::Late);
        }
        let log_time_ms = self.desk.log_time_ms();
        let mut known = lock(&self.known);
        known.usual = cost;
        if known.refused_until.is_some_and(|until| now < until) {
            return Standing::Dry(Dry::Late);
        }
        if known.dry.is_some_and(|dry| log_time_ms >= dry.epoch_end_ms) {
            known.dry = None;
        }
        let coming = known.coming_back;
        let Some(dry) = known.dry.as_mut().filter(|dry| cost > dry.free) else { return Standing::Open };
        if dry.recalled || coming {
            return Standing::Open;
        }
        // Nobody tells this node of what others give back, so it looks again while calls come.
        if now >= dry.asked + Duration::from_millis(caps::LEND_AGAIN_MS) {
            dry.asked = now;
            drop(known);
            self.want(false);
        }
        Standing::Dry(Dry::Exhausted)
    }

    /// Whether the leader said last that less than this was free.
    fn is_short_of(&self, cost: Micros) -> bool {
        lock(&self.known).dry.is_some_and(|dry| cost > dry.free)
    }

    /// What is left as far as this node knows: what its leases have, and what was last heard to be free.
    pub(crate) fn remaining(&self) -> Micros {
        self.purse.rest().saturating_add(lock(&self.known).free)
    }

    /// A real cost that no lease covers: reported with the next ask. It counts in the ledger that the call was charged in, and stops
    /// further grants of it until it is covered.
    pub(crate) fn beyond(&self, debt: &Debt) {
        self.desk.owe(debt.ledger, debt.amount);
    }

    /// What a call cost less than it was charged, or was refused after it paid, of a lease whose rest went back before: reported with the next ask, and can
    /// be granted again.
    pub(crate) fn below(&self, saving: &Saving) {
        self.desk.save(saving.ledger, saving.lease, saving.amount);
    }

    /// Takes over terms that are newer, or stricter and as new.
    pub(super) fn learn(&self, terms: &BudgetTerms) {
        let known = self.terms.load();
        let counts = known.or(terms);
        if counts == **known {
            return;
        }
        let newer = terms.stamp > known.stamp;
        // Another thread may learn at the same time: what it learned counts as well.
        self.terms.rcu(|known| known.or(terms));
        if newer {
            let mut known = lock(&self.known);
            (known.dry, known.refused_until) = (None, None);
        }
    }

    fn want(self: &Arc<Self>, now: bool) {
        if self.wanted.set() {
            self.desk.want(self);
        }
        if now {
            self.desk.bell.notify_one();
        }
    }
}

/// What the borrower needs.
impl Budget {
    pub(super) fn id(&self) -> BudgetId {
        self.id
    }

    /// What to ask for.
    pub(super) fn ask(&self, per_second: Micros) -> v1::BudgetAsk {
        let (terms, need) = (self.terms.load(), self.need(per_second));
        v1::BudgetAsk {
            key: Some(self.key.to_proto()),
            limit: terms.limit.0,
            zone: terms.zone.as_deref().unwrap_or_default().to_owned(),
            stamp: Some(terms.stamp.to_proto()),
            waiting: need.waiting.0,
            least: need.least.0,
            per_second: need.per_second.0,
        }
    }

    /// What is needed, for waiting calls or ahead of need.
    pub(super) fn need(&self, per_second: Micros) -> Need {
        let known = lock(&self.known);
        let waiting = known.waiting.iter().fold(Micros::ZERO, |sum, (cost, calls)| {
            sum.saturating_add(Micros(cost.0.saturating_mul(*calls as u64).min(Micros::MAX.0)))
        });
        let least = known.waiting.keys().next().copied().unwrap_or(known.usual);
        Need { waiting, least: least.max(Micros(1)), per_second }
    }

    /// Whether a call waits that no lease here can pay.
    pub(super) fn is_waited_for(&self) -> bool {
        let cheapest = lock(&self.known).waiting.keys().next().copied();
        cheapest.is_some_and(|cost| !self.purse.pays(cost)) || self.most_waited_for()
    }

    /// Whether the dearest call that waits cannot be paid here.
    fn most_waited_for(&self) -> bool {
        let dearest = lock(&self.known).waiting.keys().next_back().copied();
        dearest.is_some_and(|cost| !self.purse.pays(cost))
    }

    /// Whether it is known to have less than a usual call costs.
    pub(super) fn is_dry(&self) -> bool {
        let known = lock(&self.known);
        known.dry.is_some_and(|dry| known.usual > dry.free)
    }

    /// A lease came, and is in the purse.
    pub(super) fn granted(&self, ledger: u64, free: Micros) {
        {
            let mut known = lock(&self.known);
            (known.ledger, known.free, known.dry) = (ledger, free, None);
            known.refused_until = None;
        }
        self.news.notify_waiters();
    }

    /// There is too little.
    pub(super) fn exhausted(&self, told: &v1::BudgetExhausted, now: Instant) {
        {
            let mut known = lock(&self.known);
            let free = Micros(told.free.min(Micros::MAX.0));
            (known.ledger, known.free) = (told.ledger, free);
            known.refused_until = None;
            known.dry = Some(Drought {
                free,
                recalled: told.recalled > 0,
                epoch_end_ms: told.epoch_end_ms,
                asked: now,
            });
        }
        self.news.notify_waiters();
    }

    /// The leader lends nothing at present, or what it lent cannot be kept: nobody waits for it.
    pub(super) fn refused(&self, now: Instant) {
        lock(&self.known).refused_until = Some(now + Duration::from_millis(caps::LEND_AGAIN_MS));
        self.news.notify_waiters();
    }

    /// Whether something of this node's own is on its way back. What came back may be granted again.
    pub(super) fn comes_back(&self, coming_back: bool) {
        {
            let mut known = lock(&self.known);
            if known.coming_back && !coming_back {
                known.dry = None;
            }
            known.coming_back = coming_back;
        }
        self.news.notify_waiters();
    }
}

/// Counts a call among those that wait, until it is dropped.
struct Waits<'b> {
    budget: &'b Budget,
    cost: Micros,
}

impl<'b> Waits<'b> {
    fn begin(budget: &'b Arc<Budget>, cost: Micros) -> Self {
        *lock(&budget.known).waiting.entry(cost).or_insert(0) += 1;
        budget.want(true);
        Self { budget, cost }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let mut known = lock(&self.budget.known);
        if let Some(calls) = known.waiting.get_mut(&self.cost) {
            *calls -= 1;
            if *calls == 0 {
                known.waiting.remove(&self.cost);
            }
        }
    }
}
