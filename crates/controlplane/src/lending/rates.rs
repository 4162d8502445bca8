//! What of each rate is given out: in memory at the lender, and replicated before anybody is told.

use std::collections::BTreeMap;
use std::time::Duration;

use aegis_limits::holder::{Holder, Incarnation, NodeId};
use aegis_limits::pace::Pace;
use aegis_limits::shares::{Granted, Holding, Shares};
use aegis_limits::split::{Demand, split};
use aegis_limits::term::burst_regrantable_at;
use aegis_model::caps;
use aegis_model::clock::Monotonic;
use aegis_model::money::Micros;
use aegis_model::slot::Slot;
use aegis_proto::control::{DataNode, Rate, RateHolding};
use aegis_proto::v1::{LimitStamp, RateAsk, RateShare};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::live::Living;
use crate::state::limit_id::{LimitId, LimitOwner};
use crate::state::{borrowers, meta, rates, tenants};

/// The rates that this lender knows; others are adopted from the state when somebody asks.
#[derive(Debug)]
pub(super) struct Rates {
    /// Read after this node had become the newest lender.
    led_since: Monotonic,
    known: BTreeMap<LimitId, Known>,
}

#[derive(Debug)]
struct Known {
    shares: Shares,
    stamp: LimitStamp,
    /// What nodes asked for lately.
    demands: BTreeMap<NodeId, (Micros, Monotonic)>,
    /// The number up to which everything is replicated, and since when.
    saved: u64,
    saved_at: Monotonic,
}

/// The share of a node that has none.
const NOTHING: RateShare = RateShare { rate: 0, burst: 0, number: 0 };

/// What is known when a tick is answered.
pub(super) struct Moment<'m, S> {
    /// The newest applied state.
    pub(super) state: &'m S,
    pub(super) living: &'m Living,
    /// Log time, in milliseconds.
    pub(super) log_time_ms: u64,
    /// Read after the tick came in.
    pub(super) now: Monotonic,
}

impl Rates {
    pub(super) fn new(led_since: Monotonic) -> Self {
        Self { led_since, known: BTreeMap::new() }
    }

    /// The share of one rate for `node`, and the rate that has to be replicated before it is told of it.
    pub(super) fn share<S: StateRead>(
        &mut self,
        moment: &Moment<'_, S>,
        node: &DataNode,
        ask: &RateAsk,
    ) -> Result<(RateShare, Option<LimitId>), StoreError> {
        let read = ask.key.as_ref().and_then(|key| LimitId::rate(key).ok());
        let whole = Pace::new(Micros(ask.rate), ask.burst).ok();
        let (Some(id), Some(whole), Some(stamp)) = (read, whole, ask.stamp) else {
            return Ok((NOTHING, None));
        };
        if !self.is_permitted(moment.state, node, &id)? {
            return Ok((NOTHING, None));
        }
        let Some(known) = self.known_or_adopted(moment, &id, whole, stamp)? else {
            return Ok((NOTHING, None));
        };
        known.instruct(whole, stamp);
        let holder = Holder { node: NodeId(node.id), incarnation: Incarnation(node.incarnation) };
        known.shares.confirm(holder, ask.using, moment.now);
        known.demand(holder.node, Micros(ask.demand), moment.now);
        let target = known.kept(holder, known.target(&id, moment, holder.node));
        let Granted { share, number } = known.shares.grant(holder, target, moment.now);
        // A rate that nobody changes has to be noted now and then, or it is forgotten while it is in use.
        let stale = moment.now.since(known.saved_at) >= NOTED;
        let unsaved = known.saved < known.shares.last_number() || stale;
        let share = RateShare { rate: share.rate().0, burst: share.burst(), number };
        Ok((share, unsaved.then_some(id)))
    }

    /// A rate that is known was asked for by a node that may see every tenant, or by one of its own.
    fn is_permitted(
        &self,
        state: &impl StateRead,
        node: &DataNode,
        id: &LimitId,
    ) -> Result<bool, StoreError> {
        if node.tenant.is_empty() && self.known.contains_key(id) {
            return Ok(true);
        }
        borrowers::may_ask(state, node, id)
    }

    fn known_or_adopted<S: StateRead>(
        &mut self,
        moment: &Moment<'_, S>,
        id: &LimitId,
        whole: Pace,
        stamp: LimitStamp,
    ) -> Result<Option<&mut Known>, StoreError> {
        if !self.known.contains_key(id) {
            let row = rates::rate(moment.state, id)?;
            if row.is_none() && !has_room(moment.state, id)? {
                return Ok(None);
            }
            let known = match row {
                Some(row) => Known::adopted(&row, whole, stamp, self.led_since),
                None => Known::new(moment, whole, stamp),
            };
            self.known.insert(id.clone(), known);
        }
        Ok(self.known.get_mut(id))
    }

    /// A rate as it is to be replicated, and the number that is replicated with it.
    pub(super) fn row(&self, id: &LimitId) -> Option<(Rate, u64)> {
        let known = self.known.get(id)?;
        let holdings = known.shares.holdings().iter().map(holding_row).collect();
        let (whole, last_number) = (known.shares.whole(), known.shares.last_number());
        let row = Rate {
            key: Some(id.key().clone()),
            rate: whole.rate().0,
            burst: whole.burst(),
            stamp: Some(known.stamp),
            last_number,
            holdings,
            used_ms: 0,
        };
        Some((row, last_number))
    }

    /// Everything up to this number is replicated.
    pub(super) fn saved(&mut self, id: &LimitId, number: u64, now: Monotonic) {
        if let Some(known) = self.known.get_mut(id) {
            (known.saved, known.saved_at) = (known.saved.max(number), now);
        }
    }

    /// The state has no room for it: nobody was told of a part of it.
    pub(super) fn refused(&mut self, id: &LimitId) {
        self.known.remove(id);
    }

    /// Forgets rates of which nobody can have a part any more.
    pub(super) fn pass(&mut self, now: Monotonic) {
        self.known.retain(|_, known| {
            known.demands.retain(|_, (_, at)| now.since(*at) < DEMAND);
            let over =
                |holding: &Holding| burst_regrantable_at(holding.until.max(holding.before_until)) <= now;
            !known.demands.is_empty() || !known.shares.holdings().iter().all(over)
        });
    }
}

impl Known {
    /// A rate of which nobody has a part. Its numbers begin where none of an earlier row of it can have been: a rate is given
    /// out anew less than a thousand times in a millisecond.
    fn new<S>(moment: &Moment<'_, S>, whole: Pace, stamp: LimitStamp) -> Self {
        let first = moment.log_time_ms << NUMBER_BITS;
        let shares = Shares::adopt(whole, first, [], moment.now);
        Self { shares, stamp, demands: BTreeMap::new(), saved: first, saved_at: moment.now }
    }

    /// A rate as lenders before have given it out: each part counts for a whole term from now on.
    fn adopted(row: &Rate, whole: Pace, stamp: LimitStamp, led_since: Monotonic) -> Self {
        let holdings = row.holdings.iter().map(|row| holding(row, led_since));
        let known = Pace::new(Micros(row.rate), row.burst).unwrap_or(whole);
        Self {
            shares: Shares::adopt(known, row.last_number, holdings, led_since),
            stamp: row.stamp.unwrap_or(stamp),
            demands: BTreeMap::new(),
            saved: row.last_number,
            saved_at: led_since,
        }
    }

    /// The newest policy counts, and of equally new ones, as with a canary, the strictest.
    fn instruct(&mut self, whole: Pace, stamp: LimitStamp) {
        let known = self.shares.whole();
        let order = (stamp.history, stamp.number).cmp(&(self.stamp.history, self.stamp.number));
        let counts = match order {
            std::cmp::Ordering::Less => return,
            std::cmp::Ordering::Greater => whole,
            std::cmp::Ordering::Equal => {
                let (rate, burst) = (known.rate().min(whole.rate()), known.burst().min(whole.burst()));
                Pace::new(rate, burst).unwrap_or(whole)
            }
        };
        self.stamp = stamp;
        if counts != known {
            self.shares.set_whole(counts);
        }
    }

    /// Notes what a node is asked for. Small changes are left out: each change of the parts costs an entry.
    fn demand(&mut self, node: NodeId, rate: Micros, now: Monotonic) {
        let noted = self.demands.entry(node).or_insert((rate, now));
        noted.1 = now;
        if noted.0.0.abs_diff(rate.0) > noted.0.0 / DEMAND_PARTS {
            noted.0 = rate;
        }
    }

    /// `target`, or the part that the holder has already where that is nearly the same: a change has to be confirmed before others
    /// may use the difference.
    fn kept(&self, holder: Holder, target: Pace) -> Pace {
        let holds = self.shares.holdings().iter().find(|holding| holding.holder == holder);
        let near = |share: Pace| {
            let off = share.rate().0.abs_diff(target.rate().0);
            share.burst() == target.burst() && off <= target.rate().0 / NEAR_PARTS
        };
        holds.map(|holding| holding.share).filter(|share| near(*share)).unwrap_or(target)
    }

    /// The part that `node` should have.
    fn target<S>(&self, id: &LimitId, moment: &Moment<'_, S>, node: NodeId) -> Pace {
        let owner = slot(id).and_then(|slot| moment.living.owner(slot)).unwrap_or(node);
        let lately = self.demands.iter().filter(|(_, (_, at))| moment.now.since(*at) < DEMAND);
        let mut demands: Vec<Demand> =
            lately.map(|(node, (rate, _))| Demand { node: *node, rate: *rate }).collect();
        // Who was asked a moment ago keeps a little: if the load comes back, it has calls at once, which would have to rest before they
        // are given to a node that has none.
        let asked = demands.iter().fold(0_u64, |sum, demand| sum.saturating_add(demand.rate.0));
        for idle in demands.iter_mut().filter(|demand| demand.rate.is_zero()) {
            idle.rate = Micros(asked / IDLE_PARTS);
        }
        let parts = split(self.shares.whole(), owner, &demands);
        parts.into_iter().find(|(of, _)| *of == node).map_or(Pace::NOTHING, |(_, part)| part)
    }
}

/// A part that differs by at most one of so many of its own parts is the same.
const NEAR_PARTS: u64 = 64;

/// A node without calls counts like one with one of so many parts of all.
const IDLE_PARTS: u64 = 64;

/// A change of demand by one of so many parts is no change: counts of calls differ by chance, and each change keeps a part of the
/// rate unused until its holder has confirmed that it uses less.
const DEMAND_PARTS: u64 = 4;

/// Bits of a number that count within a millisecond.
const NUMBER_BITS: u32 = 10;

const DEMAND: Duration = Duration::from_secs(caps::RATE_DEMAND_SECONDS);

const NOTED: Duration = Duration::from_secs(caps::RATE_NOTED_SECONDS);

/// Where the calls of an agent belong; those of all agents of a tenant or an organization belong to a fixed place, too.
fn slot(id: &LimitId) -> Option<Slot> {
    let owner = match id.owner() {
        LimitOwner::Tenant(tenant) => tenant.clone(),
        // Names of organizations are spelled as those of tenants are.
        LimitOwner::Organization(organization) => organization.as_str().parse().ok()?,
    };
    let agent = if id.key().agent.is_empty() { "limits" } else { &id.key().agent };
    Some(Slot::of(&owner, &agent.parse().ok()?))
}

fn has_room(state: &impl StateRead, id: &LimitId) -> Result<bool, StoreError> {
    if meta::counters(state)?.rates >= caps::RATES_MAX {
        return Ok(false);
    }
    match id.owner() {
        LimitOwner::Tenant(tenant) => {
            Ok(tenants::counters(state, tenant)?.rates < caps::RATES_PER_TENANT_MAX)
        }
        LimitOwner::Organization(_) => Ok(true),
    }
}

fn holding_row(holding: &Holding) -> RateHolding {
    RateHolding {
        node: holding.holder.node.0,
        incarnation: holding.holder.incarnation.0,
        rate: holding.share.rate().0,
        burst: holding.share.burst(),
        number: holding.number,
        rate_before: holding.before.rate().0,
        burst_before: holding.before.burst(),
    }
}

fn holding(row: &RateHolding, until: Monotonic) -> Holding {
    // A row holds what was a pace when it was written.
    let pace = |rate, burst| Pace::new(Micros(rate), burst).unwrap_or(Pace::NOTHING);
    Holding {
        holder: Holder { node: NodeId(row.node), incarnation: Incarnation(row.incarnation) },
        share: pace(row.rate, row.burst),
        number: row.number,
        until,
        before: pace(row.rate_before, row.burst_before),
        before_until: until,
    }
}

#[cfg(test)]
mod tests {
    use aegis_model::clock::Clock;
    use aegis_proto::v1::LimitKey;

    use super::*;
    use crate::testing::World;

    /// Ticks once a second, for `seconds`, of a node that is alone: how often something had to be replicated.
    fn tick(world: &World, rates: &mut Rates, living: &Living, seconds: u64) -> u64 {
        let (view, row) = (world.view(), DataNode { id: 1, incarnation: 1, ..DataNode::default() });
        let clock = &world.clock;
        let mut unsaved = 0;
        for _ in 0..seconds {
            let moment = Moment { state: &view, living, log_time_ms: world.now_ms(), now: clock.monotonic() };
            let (share, id) = rates.share(&moment, &row, &ask()).expect("memory");
            assert!(share.rate > 0);
            if let Some(id) = id {
                let (_, number) = rates.row(&id).expect("a rate");
                rates.saved(&id, number, clock.monotonic());
                unsaved += 1;
            }
            clock.advance(Duration::from_secs(1));
        }
        unsaved
    }

    fn ask() -> RateAsk {
        let key = LimitKey { unit: String::new(), ..World::budget_key("acme", "crawler", "") };
        let stamp = Some(LimitStamp { history: 1, number: 1 });
        RateAsk { key: Some(key), rate: 10_000_000, burst: 5, stamp, demand: 1, using: 0 }
    }

    fn world() -> World {
        let world = World::new();
        world.tenant("acme");
        world
    }

    #[test]
    fn a_rate_in_use_is_noted_once_an_hour_and_forgotten_when_it_is_over() {
        let world = world();
        let mut living = Living::new(world.clock.monotonic(), 0);
        living.joined(&DataNode { id: 1, ..DataNode::default() });
        let mut rates = Rates::new(world.clock.monotonic());
        assert_eq!(tick(&world, &mut rates, &living, 60), 1, "the share itself");
        assert_eq!(tick(&world, &mut rates, &living, 2 * caps::RATE_NOTED_SECONDS), 2);
        rates.pass(world.clock.monotonic());
        assert_eq!(rates.known.len(), 1);
        // Its holder stopped long ago, and so did the burst of that.
        world.clock.advance(Duration::from_secs(2 * caps::SHARE_SECONDS));
        rates.pass(world.clock.monotonic());
        assert!(rates.known.is_empty());
    }

    #[test]
    fn small_changes_of_demand_change_no_share() {
        let clock: Clock = World::new().clock;
        let mut known = Known::adopted(
            &Rate { rate: 100, burst: 10, ..Rate::default() },
            Pace::NOTHING,
            LimitStamp::default(),
            clock.monotonic(),
        );
        let noted = |known: &mut Known, rate| {
            known.demand(NodeId(1), Micros(rate), clock.monotonic());
            known.demands[&NodeId(1)].0.0
        };
        assert_eq!(
            [1_600, 2_000, 1_200, 2_001].map(|rate| noted(&mut known, rate)),
            [1_600, 1_600, 1_600, 2_001]
        );
    }

    /// A rate that was forgotten and comes back uses no number twice, however busy it was.
    #[test]
    fn numbers_begin_beyond_all_that_came_before() {
        let world = world();
        let mut living = Living::new(world.clock.monotonic(), 0);
        living.joined(&DataNode { id: 1, ..DataNode::default() });
        let mut last = 0;
        for _ in 0..3 {
            let mut rates = Rates::new(world.clock.monotonic());
            tick(&world, &mut rates, &living, 1);
            let known = rates.known.values().next().expect("a rate");
            assert!(
                known.shares.last_number() > last + 1_000 * 1_000,
                "a second of a thousand in each of its milliseconds"
            );
            last = known.shares.last_number();
        }
    }
}
