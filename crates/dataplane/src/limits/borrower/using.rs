//! The rates that calls use: what is asked for each, and what becomes of the answers.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use aegis_limits::term::usable_until;
use aegis_model::caps;
use aegis_model::clock::Monotonic;
use aegis_proto::v1;
use tokio::time::Instant;

use super::super::desk::{Desk, RateId, count};
use super::super::rate::Rate;

/// The rates in use.
#[derive(Debug)]
pub(in super::super) struct RatesInUse {
    desk: Arc<Desk>,
    rates: BTreeMap<RateId, InUse>,
    /// Each rate once, unless it is asked for: the one to ask for next first, and when.
    due: VecDeque<(Instant, RateId)>,
    /// The same, of those whose demand moves.
    soon: VecDeque<(Instant, RateId)>,
    under_way: VecDeque<Ticked>,
    last_number: u64,
    /// When the last tick was sent.
    ticked: Instant,
    /// When those without a leader were last let go on alone.
    alone: Instant,
}

#[derive(Debug)]
struct InUse {
    rate: Arc<Rate>,
    demand: Demand,
    /// The calls that had come when it was looked whether it is used, and when more had come.
    calls: u64,
    used: Instant,
    /// When the demand or the share was last seen to change.
    moved: Instant,
    /// Whether it is among those that are due, and not asked for.
    queued: bool,
}

/// Calls per second, as an exponentially weighted mean.
#[derive(Debug)]
struct Demand {
    calls: u64,
    measured: Instant,
    /// In millionths; nothing before the first measurement.
    per_second: Option<u64>,
    /// Whether it was another lately than chance would make it.
    moves: bool,
}

/// A tick that was not answered.
#[derive(Debug)]
struct Ticked {
    number: u64,
    /// Read before it was sent.
    sent: Monotonic,
    rates: Vec<RateId>,
}

const TICK: Duration = Duration::from_millis(caps::RATE_TICK_MS);

/// The next tick of a rate whose demand or share has changed: who has less from now on has to confirm it, and who is to have more
/// asks again.
const SOON: Duration = Duration::from_millis(2 * caps::LEASE_TICK_MS);

/// For so long after a change: until calls at once that somebody gave up may be given to another.
const RESTLESS: Duration = Duration::from_millis(caps::RATE_WINDOW_MS + 500);

/// The leader hears something at least so often.
const SILENCE: Duration = Duration::from_secs(1);

/// Ticks under way, where one does not hold all rates.
const UNDER_WAY_MAX: usize = 4;

impl RatesInUse {
    pub(super) fn new(desk: Arc<Desk>, now: Instant) -> Self {
        Self {
            desk,
            rates: BTreeMap::new(),
            due: VecDeque::new(),
            soon: VecDeque::new(),
            under_way: VecDeque::new(),
            last_number: 0,
            ticked: now,
            alone: now,
        }
    }

    /// Takes what lies on the desk: to be asked for at once.
    pub(super) fn look(&mut self, now: Instant) {
        for rate in self.desk.take_rates() {
            let demand = Demand { calls: rate.calls(), measured: now, per_second: None, moves: true };
            if self.desk.is_cut_off() {
                self.let_go_on(&rate);
            }
            let id = rate.id();
            let in_use = InUse { calls: rate.calls(), rate, demand, used: now, moved: now, queued: true };
            if let Entry::Vacant(place) = self.rates.entry(id) {
                place.insert(in_use);
                self.due.push_front((now, id));
            }
        }
    }

    /// To be called often. Without a leader, rates go on alone.
    pub(super) fn tick(&mut self, now: Instant) {
        if now < self.alone + TICK || !self.desk.is_cut_off() || self.desk.is_over() {
            return;
        }
        self.alone = now;
        let ids: Vec<RateId> = self.rates.keys().copied().collect();
        for id in ids {
            let Some(in_use) = self.rates.get_mut(&id) else { continue };
            let rate = Arc::clone(&in_use.rate);
            match in_use.is_unused(now) {
                true => self.give_up(id),
                false => self.let_go_on(&rate),
            }
        }
    }

    /// For two ticks: the next one is there by then, and a leader that comes back takes over before long.
    fn let_go_on(&self, rate: &Rate) {
        let Monotonic(now) = self.desk.clock.monotonic();
        rate.go_alone(self.desk.nodes(), Monotonic(now + 2 * TICK));
    }

    fn give_up(&mut self, id: RateId) {
        if let Some(in_use) = self.rates.remove(&id) {
            in_use.rate.wanted.clear();
        }
    }

    /// The next tick, if rates are due or nothing was said for long.
    pub(in super::super) fn next_tick(&mut self, now: Instant) -> Option<v1::RateTick> {
        if self.under_way.len() >= UNDER_WAY_MAX {
            return None;
        }
        let (mut ids, mut asks) = (Vec::new(), Vec::new());
        while ids.len() < caps::LEND_RATES_MAX
            && let Some(id) = self.next_due(now)
        {
            // One that was given up meanwhile, and perhaps wanted again.
            let Some(in_use) = self.rates.get_mut(&id).filter(|in_use| in_use.queued) else { continue };
            in_use.queued = false;
            if in_use.is_unused(now) {
                self.give_up(id);
                continue;
            }
            let demand = in_use.demand.measure(in_use.rate.calls(), now);
            asks.push(in_use.rate.ask(demand));
            ids.push(id);
        }
        if ids.is_empty() && now < self.ticked + SILENCE {
            return None;
        }
        self.last_number += 1;
        self.ticked = now;
        let (number, sent) = (self.last_number, self.desk.clock.monotonic());
        self.under_way.push_back(Ticked { number, sent, rates: ids });
        count(&self.desk.counts.ticks);
        Some(v1::RateTick { number, rates: asks })
    }

    /// The next rate to be asked for, if its time has come.
    fn next_due(&mut self, now: Instant) -> Option<RateId> {
        let is_due = |next: &mut (Instant, RateId)| next.0 <= now;
        let next = self.soon.pop_front_if(is_due).or_else(|| self.due.pop_front_if(is_due));
        next.map(|(_, id)| id)
    }

    /// The answer to a tick.
    pub(in super::super) fn hear(&mut self, told: &v1::RateShares, now: Instant) {
        self.desk.count_nodes(told.nodes);
        let Some(at) = self.under_way.iter().position(|ticked| ticked.number == told.number) else { return };
        let Some(ticked) = self.under_way.remove(at) else { return };
        let until = usable_until(ticked.sent);
        let mut shares = told.shares.iter();
        for id in ticked.rates {
            let share = shares.next();
            let Some(in_use) = self.rates.get_mut(&id) else { continue };
            if let Some(share) = share
                && in_use.rate.take(share, until, now)
            {
                in_use.moved = now;
            }
            if in_use.demand.moves {
                in_use.moved = now;
            }
            if !std::mem::replace(&mut in_use.queued, true) {
                match now < in_use.moved + RESTLESS {
                    true => self.soon.push_back((now + SOON, id)),
                    false => self.due.push_back((now + TICK, id)),
                }
            }
        }
    }

    /// Whether a tick is under way.
    pub(in super::super) fn awaits(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// A stream begins: ticks count from 1, and everything is asked for at once.
    pub(in super::super) fn begin(&mut self, now: Instant) {
        self.under_way.clear();
        self.last_number = 0;
        self.rates.values_mut().for_each(|in_use| in_use.queued = true);
        self.due = self.rates.keys().map(|id| (now, *id)).collect();
        self.soon.clear();
        self.ticked = now;
    }

    /// Nothing may be used any more.
    pub(super) fn end(&mut self) {
        for in_use in self.rates.values() {
            in_use.rate.end();
        }
        self.rates.clear();
    }
}

impl InUse {
    fn is_unused(&mut self, now: Instant) -> bool {
        let calls = self.rate.calls();
        if std::mem::replace(&mut self.calls, calls) != calls {
            self.used = now;
        }
        now > self.used + Duration::from_secs(caps::RATE_IDLE_SECONDS)
    }
}

impl Demand {
    /// Calls per second by now, in millionths, where so many ever came.
    fn measure(&mut self, calls: u64, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.measured);
        let came = u128::from(calls.saturating_sub(self.calls)) * 1_000_000;
        // The call for which a rate is asked first may have come at this very moment.
        let latest =
            came * 1_000 / elapsed.as_millis().max(if self.per_second.is_none() { 1_000 } else { 1 });
        let latest = u64::try_from(latest).unwrap_or(u64::MAX);
        let expected = self.per_second.map(|before| u128::from(before) * elapsed.as_millis() / 1_000);
        self.moves = expected.is_none_or(|expected| is_no_chance(came, expected));
        if let Some(before) = self.per_second.filter(|_| !self.moves && elapsed < TICK * 4 / 5) {
            // Too short a time to say more than that: chance would be taken for a change.
            return before;
        }
        let per_second = match self.per_second {
            None => latest.max(1_000_000),
            // The load has moved here, or away.
            Some(_) if self.moves => latest,
            Some(before) => before / 2 + latest / 2,
        };
        (self.calls, self.measured, self.per_second) = (calls, now, Some(per_second));
        per_second
    }
}

/// Whether as many calls as came are more than four standard deviations away from as many as were expected, all in millionths
/// of a call, where calls come by chance (Poisson).
fn is_no_chance(came: u128, expected: u128) -> bool {
    const CALL: u128 = 1_000_000;
    let off = came.abs_diff(expected);
    off.saturating_mul(off) > 16 * CALL * (expected + CALL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_moves_nothing_and_a_load_that_goes_elsewhere_does() {
        let is = |came: u128, expected: u128| is_no_chance(came * 1_000_000, expected * 1_000_000);
        assert!(!is(0, 0) && !is(4, 0) && !is(13, 10) && !is(0, 10) && !is(1_100, 1_000));
        assert!(is(5, 0) && is(30, 10) && is(0, 20) && is(1_200, 1_000) && is(800, 1_000));
    }

    #[tokio::test(start_paused = true)]
    async fn demand_follows_the_calls() {
        let start = Instant::now();
        let mut demand = Demand { calls: 0, measured: start, per_second: None, moves: true };
        assert_eq!(demand.measure(1, start), 1_000_000, "one call is at least one a second");
        let mut calls = 1;
        for tick in 1..=10 {
            calls += 50;
            demand.measure(calls, start + TICK * tick);
        }
        let steady = demand.per_second.unwrap();
        assert!((99_000_000..=100_000_000).contains(&steady), "{steady}");
        for tick in 11..=14 {
            demand.measure(calls, start + TICK * tick);
        }
        let after = demand.per_second.unwrap();
        assert!(after < 7_000_000, "two seconds later: {after}");
    }
}
