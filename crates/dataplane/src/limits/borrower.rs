//! What this node has borrowed, what it needs, and what it gives back. Decides; sends nothing and waits for nothing.
//!
//! ```text
//!  wanted ──▶ asked ──▶ held ── recalled, idle, spent, its epoch over ──▶ stopped ── a tick later ──▶ returned ──▶ answered
//! ```
//!
//! One ask is under way at a time, kept as it is until it is answered: whoever leads next gets it again, equal to the byte, and
//! applies it once.

mod asked;
mod pocket;
mod using;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aegis_limits::lease::Lease;
use aegis_limits::ledger::LeaseId;
use aegis_model::caps;
use aegis_model::money::Micros;
use aegis_proto::v1;
use aegis_proto::v1::budget_answer::Outcome;
use tokio::time::Instant;

use super::book::{Book, Identity};
use super::budget::Budget;
use super::cell::LeaseCell;
use super::desk::{BudgetId, Desk, count};
use super::journal::{Entry, Journal, Recovered, Slot};
use asked::{Asked, Return};
use pocket::{Held, Pocket};
use using::RatesInUse;

/// Everything that one life of a node has borrowed.
#[derive(Debug)]
pub(super) struct Borrower {
    book: Arc<Book>,
    desk: Arc<Desk>,
    identity: Identity,
    /// Without one, nothing is borrowed.
    journal: Option<Arc<Journal>>,
    /// Budgets of which there are leases.
    pockets: BTreeMap<BudgetId, Pocket>,
    /// Budgets to ask for: at once if calls wait, otherwise with the tick.
    wants: BTreeMap<BudgetId, Arc<Budget>>,
    /// The same, but not before the next tick.
    later: BTreeMap<BudgetId, Arc<Budget>>,
    /// Budgets whose leases ran low; looked at each tick.
    low: BTreeSet<BudgetId>,
    /// Leases that pay no more, and since when. Calls under way may still give back to them.
    stopped: VecDeque<(Instant, BudgetId, LeaseId, u64)>,
    /// What goes back with the next ask.
    returns: VecDeque<Return>,
    /// Debts and savings are to be told.
    settlements: bool,
    /// Slots of leases that were returned, until no call has the lease in hand.
    lingering: Vec<(Slot, Option<Arc<Lease<LeaseCell>>>)>,
    asked: Option<Asked>,
    last_number: u64,
    /// Whether everything that earlier lives left was returned or is about to be, and was said.
    recovered: bool,
    /// The budget from which the next look at all of them goes on.
    cursor: BudgetId,
    swept: Instant,
    pub(super) rates: RatesInUse,
}

/// Between two ticks.
pub(super) const TICK: Duration = Duration::from_millis(caps::LEASE_TICK_MS);

/// A look at all budgets takes so many ticks: a second.
const LOOK_TICKS: usize = (1_000 / caps::LEASE_TICK_MS) as usize;

/// Between two looks for limits that nobody uses.
const SWEEP: Duration = Duration::from_secs(5);

impl Borrower {
    /// Nothing is borrowed yet.
    pub(super) fn new(book: Arc<Book>, identity: Identity, now: Instant) -> Self {
        let desk = Arc::clone(&book.desk);
        Self {
            rates: RatesInUse::new(Arc::clone(&desk), now),
            book,
            desk,
            identity,
            journal: None,
            pockets: BTreeMap::new(),
            wants: BTreeMap::new(),
            later: BTreeMap::new(),
            low: BTreeSet::new(),
            stopped: VecDeque::new(),
            returns: VecDeque::new(),
            settlements: false,
            lingering: Vec::new(),
            asked: None,
            last_number: 0,
            recovered: false,
            cursor: BudgetId(0),
            swept: now,
        }
    }

    /// From now on leases can be kept. What earlier lives left goes back first.
    pub(super) fn keep_in(&mut self, journal: Arc<Journal>, recovered: Vec<Recovered>) {
        if !recovered.is_empty() {
            tracing::info!(
                leases = recovered.len(),
                "returning what an earlier life of this node left of its leases"
            );
        }
        self.returns.extend(recovered.into_iter().map(Return::of_earlier_life));
        self.journal = Some(journal);
        self.desk.can_keep();
    }

    /// Takes what lies on the desk.
    pub(super) fn look(&mut self, now: Instant) {
        for budget in self.desk.take_wanted() {
            budget.wanted.clear();
            self.wants.insert(budget.id(), budget);
        }
        self.low.extend(self.desk.take_low());
        self.settlements = self.desk.has_settlements();
        self.rates.look(now);
    }

    /// To be called every [`TICK`].
    pub(super) fn tick(&mut self, now: Instant) {
        self.take_rests(now, TICK / 2);
        self.free_slots();
        let still = std::mem::take(&mut self.later).into_iter().filter(|(_, budget)| budget.is_waited_for());
        self.wants.extend(still);
        self.ask_ahead(now);
        self.look_after_some(now);
        self.rates.tick(now);
        if now >= self.swept + SWEEP {
            self.swept = now;
            self.book.sweep(now);
        }
    }

    /// The next ask, if there is reason and none is under way. With `all` whatever is to be said; otherwise only if calls wait.
    pub(super) fn ask(&mut self, all: bool) -> Option<v1::LendAsk> {
        if self.asked.is_some() || self.journal.is_none() {
            return None;
        }
        let nothing = self.returns.is_empty() && self.wants.is_empty() && !self.settlements && self.recovered;
        let urgent = || self.wants.values().any(|budget| budget.is_waited_for());
        if nothing || !(all || urgent()) {
            return None;
        }
        let asked = self.next_ask();
        let message = asked.message.clone();
        self.asked = Some(asked);
        count(&self.desk.counts.asks);
        Some(message)
    }

    /// The ask that is under way, to be sent again to whoever leads now.
    pub(super) fn unanswered(&self) -> Option<v1::LendAsk> {
        self.asked.as_ref().map(|asked| asked.message.clone())
    }

    fn next_ask(&mut self) -> Asked {
        let now = Instant::now();
        let returns: Vec<Return> =
            self.returns.drain(..self.returns.len().min(caps::LEND_RETURNS_MAX)).collect();
        self.recovered |= !self.returns.iter().any(Return::is_of_earlier_life);
        let mut budgets = Vec::new();
        // Those that calls wait for first: the others can wait for the next one.
        for waited_for in [true, false] {
            let room = caps::LEND_BUDGETS_MAX - budgets.len();
            let fits = |budget: &Arc<Budget>| budget.is_waited_for() == waited_for;
            let ids: Vec<BudgetId> =
                self.wants.iter().filter(|(_, budget)| fits(budget)).map(|(id, _)| *id).take(room).collect();
            budgets.extend(ids.iter().filter_map(|id| self.wants.remove(id)));
        }
        self.last_number += 1;
        let asks = budgets.iter().map(|budget| {
            let per_second = self.pockets.get_mut(&budget.id()).map(|pocket| pocket.per_second(now));
            budget.ask(per_second.unwrap_or(Micros::ZERO))
        });
        let debts = self.desk.take_debts(caps::LEND_DEBTS_MAX);
        let savings = self.desk.take_savings(caps::LEND_SAVINGS_MAX);
        self.settlements = self.desk.has_settlements();
        let message = v1::LendAsk {
            number: self.last_number,
            budgets: asks.collect(),
            returns: returns.iter().map(Return::to_proto).collect(),
            debts: debts
                .into_iter()
                .map(|(ledger, debt)| v1::CostBeyond { ledger, amount: debt.0 })
                .collect(),
            savings: savings
                .into_iter()
                .map(|((ledger, lease), saved)| v1::CostBelow { ledger, lease: lease.0, amount: saved.0 })
                .collect(),
            recovered: self.recovered,
            complete: self.recovered && self.journal.as_ref().is_some_and(|journal| journal.is_complete()),
        };
        Asked { message, budgets, returns }
    }

    /// The answer to the ask under way; one to another ask is skipped.
    pub(super) fn hear(&mut self, answer: v1::LendAnswer, now: Instant) {
        self.desk.count_nodes(answer.nodes);
        let Some(asked) = self.asked.take_if(|asked| asked.message.number == answer.number) else { return };
        if let Some(journal) = self.journal.as_ref().filter(|_| asked.message.recovered) {
            journal.settle();
        }
        for back in asked.returns {
            self.returned(back);
        }
        self.free_slots();
        let mut outcomes = answer.budgets.into_iter().map(|answer| answer.outcome);
        for (budget, ask) in asked.budgets.into_iter().zip(&asked.message.budgets) {
            let least = Micros(ask.least);
            match outcomes.next().flatten() {
                Some(Outcome::Granted(granted)) => {
                    if !self.take(&budget, &granted, least, now) {
                        budget.refused(now);
                        continue;
                    }
                }
                Some(Outcome::Exhausted(told)) => {
                    if budget.is_waited_for() {
                        self.stop_short(budget.id(), least, now);
                    }
                    budget.exhausted(&told, now);
                    // What this and other nodes give back is there by then.
                    self.later.insert(budget.id(), budget);
                    continue;
                }
                Some(Outcome::Refused(refused)) if refused.code == EPOCH_OVER => {}
                // An answer that this version does not understand is none.
                Some(Outcome::Refused(_)) | None => {
                    budget.refused(now);
                    continue;
                }
            }
            if budget.is_waited_for() {
                self.wants.insert(budget.id(), budget);
            }
        }
    }

    /// A return was answered: whatever the ledger made of it, it is out no longer, and its slot is free as soon as no call has it
    /// in hand.
    fn returned(&mut self, back: Return) {
        if let Some(slot) = back.slot {
            self.lingering.push((slot, back.held));
        }
        let Some(id) = back.budget else { return };
        let Some(pocket) = self.pockets.get_mut(&id) else { return };
        pocket.returning -= 1;
        if pocket.returning == 0 {
            pocket.budget.comes_back(false);
        }
        if pocket.is_empty() {
            self.pockets.remove(&id);
        }
    }

    /// Frees the slots of returned leases. A call that looked at a lease before it was stopped, and had no turn since, would find
    /// another lease's word in its place, and pay from that: such a slot has to wait.
    fn free_slots(&mut self) {
        let Some(journal) = &self.journal else { return };
        self.lingering.retain(|(slot, lease)| {
            let in_hand = lease.as_ref().is_some_and(|lease| Arc::strong_count(lease) > 1);
            if !in_hand {
                journal.leave(slot);
            }
            in_hand
        });
    }

    /// Takes in a lease; those before it that are of no use any more stop. Whether there was room for it: otherwise it goes back.
    fn take(
        &mut self,
        budget: &Arc<Budget>,
        granted: &v1::LeaseGranted,
        least: Micros,
        now: Instant,
    ) -> bool {
        let amount = Micros(granted.amount).min(Micros::MAX);
        let id = budget.id();
        let (ledger, lease) = (granted.ledger, granted.lease);
        let entry = Entry { ledger, lease, amount, incarnation: self.identity.incarnation };
        let slot = self.journal.as_ref().and_then(|journal| journal.enter(entry).ok());
        let Some(slot) = slot else {
            tracing::warn!("the journal of leases is full: a lease goes back unspent");
            self.returns.push_back(Return::unspent(ledger, lease, amount));
            return false;
        };
        let cell = LeaseCell::in_journal(slot.lease_word(), amount, id, Arc::clone(&self.desk));
        let lease = Arc::new(Lease::in_cell(LeaseId(lease), amount, cell));
        self.make_room(id, now);
        let pocket = self.pockets.entry(id).or_insert_with(|| Pocket::new(Arc::clone(budget), now));
        let taken_in = budget.purse().add_of(&lease, ledger).is_ok();
        let held = Held::new(ledger, lease, slot, granted.epoch_end_ms, now);
        self.desk.counts.leases.fetch_add(1, Ordering::Relaxed);
        let newer = (held.lease.id(), ledger);
        pocket.leases.push(held);
        let stops: Vec<_> = match taken_in {
            true => pocket.outdone(newer, least).collect(),
            false => vec![newer],
        };
        for (lease, ledger) in stops {
            self.stop(id, lease, ledger, now);
        }
        if taken_in {
            budget.granted(ledger, Micros(granted.free).min(Micros::MAX));
        }
        taken_in
    }

    /// Others wait for what is left in these ledgers.
    pub(super) fn recall(&mut self, ledgers: &[u64], now: Instant) {
        let ledgers: BTreeSet<u64> = ledgers.iter().copied().collect();
        let of_these = |pocket: &Pocket| pocket.in_ledgers(&ledgers).collect::<Vec<_>>();
        let stops: Vec<_> = self.pockets.iter().map(|(id, pocket)| (*id, of_these(pocket))).collect();
        for (id, leases) in stops {
            for (lease, ledger) in leases {
                self.stop(id, lease, ledger, now);
            }
        }
    }

    /// Stops what has too little for the cheapest call that waits: together with what is free it may do.
    fn stop_short(&mut self, id: BudgetId, least: Micros, now: Instant) {
        let Some(pocket) = self.pockets.get(&id) else { return };
        for (lease, ledger) in pocket.shorter_than(least).collect::<Vec<_>>() {
            self.stop(id, lease, ledger, now);
        }
    }

    /// Stops a lease. Its rest is taken with a later tick, since calls under way may give back what it paid.
    fn stop(&mut self, id: BudgetId, lease: LeaseId, ledger: u64, now: Instant) {
        let Some(pocket) = self.pockets.get_mut(&id) else { return };
        let Some(held) = pocket.find_mut(lease, ledger).filter(|held| held.lease.is_open()) else { return };
        held.lease.stop();
        pocket.returning += 1;
        pocket.budget.comes_back(true);
        self.stopped.push_back((now, id, lease, ledger));
    }

    /// Takes the rests of the leases that were stopped at least `age` ago.
    fn take_rests(&mut self, now: Instant, age: Duration) {
        while let Some((at, id, lease, ledger)) = self.stopped.front().copied()
            && now >= at + age
        {
            self.stopped.pop_front();
            self.take_rest(id, lease, ledger);
        }
    }

    fn take_rest(&mut self, id: BudgetId, lease: LeaseId, ledger: u64) {
        let Some(pocket) = self.pockets.get_mut(&id) else { return };
        let Some(held) = pocket.remove(lease, ledger) else { return };
        let rest = held.lease.take_rest().unwrap_or(Micros::ZERO);
        pocket.budget.purse().remove(&held.lease);
        self.desk.counts.leases.fetch_sub(1, Ordering::Relaxed);
        self.returns.push_back(Return::of(id, &held, rest));
    }

    /// Lets go of leases that pay no more, if a purse is full of them: what would still come back to them stays spent.
    fn make_room(&mut self, id: BudgetId, now: Instant) {
        let Some(pocket) = self.pockets.get(&id) else { return };
        if pocket.leases.len() < caps::LEASES_PER_PURSE_MAX {
            return;
        }
        for (lease, ledger) in pocket.useless().collect::<Vec<_>>() {
            self.stop(id, lease, ledger, now);
            self.take_rest(id, lease, ledger);
        }
    }

    /// Asks for the next lease of budgets of whose present one half is spent.
    fn ask_ahead(&mut self, now: Instant) {
        for id in std::mem::take(&mut self.low) {
            let Some(pocket) = self.pockets.get_mut(&id) else { continue };
            let budget = Arc::clone(&pocket.budget);
            if !budget.purse().is_low() {
                continue;
            }
            self.look_after(id, now);
            if budget.is_dry() {
                // It is asked for again when calls come.
                continue;
            }
            self.low.insert(id);
            if !self.is_asked_for(id) {
                self.wants.insert(id, budget);
            }
        }
    }

    fn is_asked_for(&self, id: BudgetId) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.budgets.iter().any(|budget| budget.id() == id))
    }

    /// Looks at some of all budgets, so that each is looked at once a second.
    fn look_after_some(&mut self, now: Instant) {
        let some = self.pockets.len().div_ceil(LOOK_TICKS);
        let from = self.cursor;
        let ids: Vec<BudgetId> = self.pockets.range(from..).map(|(id, _)| *id).take(some).collect();
        self.cursor = match ids.last() {
            Some(last) if ids.len() == some => BudgetId(last.0 + 1),
            Some(_) | None => BudgetId(0),
        };
        for id in ids {
            self.look_after(id, now);
        }
    }

    fn look_after(&mut self, id: BudgetId, now: Instant) {
        let Some(pocket) = self.pockets.get_mut(&id) else { return };
        for (lease, ledger) in pocket.look_after(now, self.desk.log_time_ms()) {
            self.stop(id, lease, ledger, now);
        }
    }

    /// The process was replaced (LIM-2), or everything that was lent is void: nothing may be spent or used any more.
    pub(super) fn over(&mut self, now: Instant) {
        self.desk.over();
        self.stop_all(now);
        self.rates.end();
    }

    fn stop_all(&mut self, now: Instant) {
        let all = |pocket: &Pocket| pocket.all().collect::<Vec<_>>();
        for (id, leases) in self.pockets.iter().map(|(id, pocket)| (*id, all(pocket))).collect::<Vec<_>>() {
            for (lease, ledger) in leases {
                self.stop(id, lease, ledger, now);
            }
        }
    }

    /// No call comes any more: everything goes back at once.
    pub(super) fn give_all_back(&mut self, now: Instant) {
        self.wants.clear();
        self.later.clear();
        self.low.clear();
        self.stop_all(now);
        self.take_rests(now, Duration::ZERO);
    }

    /// Whether nothing is out any more.
    pub(super) fn owes_nothing(&self) -> bool {
        self.pockets.is_empty() && self.returns.is_empty() && self.asked.is_none() && !self.settlements
    }
}

/// The code of a refusal that goes away by asking again.
const EPOCH_OVER: &str = "epoch_over";
