//! A data node: pays calls from its leases, and asks and returns in batches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aegis_limits::holder::Holder;
use aegis_limits::lease::Lease;
use aegis_limits::ledger::{Exhausted, LeaseId, Loan, NoGrant};
use aegis_limits::purse::Purse;
use aegis_limits::size::Need;
use aegis_model::caps::{LEASE_SECONDS, LEASE_TICK_MS};
use aegis_model::money::Micros;

use crate::leader::{Answer, Command};
use crate::traffic::COST;

/// A lease that paid nothing for so long goes back.
const IDLE_MS: u64 = LEASE_SECONDS * 1_000;

/// A call that waits longer than this is refused.
const WAIT_MS_MAX: u64 = 500;

/// What became of a call.
pub(crate) enum Verdict {
    Allowed,
    Refused,
    /// It waits for a grant.
    Waits,
}

#[derive(Default)]
struct Pocket {
    purse: Purse,
    waiting: Vec<u64>,
    exhausted: Option<Exhausted>,
    asked: bool,
    used_ms: u64,
    spent: u64,
    since_ms: u64,
}

impl Pocket {
    fn pay(&mut self, now_ms: u64) -> bool {
        let paid = self.purse.spend(COST).is_ok();
        if paid {
            self.used_ms = now_ms;
            self.spent += COST.0;
        }
        paid
    }

    fn need(&mut self, now_ms: u64) -> Need {
        let elapsed_ms = (now_ms - self.since_ms).max(1_000);
        let per_second = Micros(self.spent * 1_000 / elapsed_ms);
        if elapsed_ms > 10_000 {
            (self.spent, self.since_ms) = (self.spent / 2, now_ms - elapsed_ms / 2);
        }
        self.asked = true;
        Need { waiting: Micros(COST.0 * self.waiting.len() as u64), least: COST, per_second }
    }
}

pub(crate) struct Node {
    pub(crate) holder: Holder,
    pockets: BTreeMap<u32, Pocket>,
    /// Agents whose calls wait, and those that may need the next lease.
    urgent: BTreeSet<u32>,
    low: BTreeSet<u32>,
    /// What was stopped at the last tick and is returned at the next one.
    stopped: Vec<(u32, Arc<Lease>)>,
    in_flight: bool,
    /// A tick came; it is heeded as soon as no command is under way.
    tick: bool,
}

impl Node {
    pub(crate) fn new(holder: Holder) -> Self {
        Self {
            holder,
            pockets: BTreeMap::new(),
            urgent: BTreeSet::new(),
            low: BTreeSet::new(),
            stopped: Vec::new(),
            in_flight: false,
            tick: false,
        }
    }

    /// The agents of which it holds or held leases.
    pub(crate) fn agents(&self) -> impl Iterator<Item = u32> + '_ {
        self.pockets.keys().copied()
    }

    pub(crate) fn call(&mut self, agent: u32, now_ms: u64, revision: u64) -> Verdict {
        let pocket =
            self.pockets.entry(agent).or_insert_with(|| Pocket { since_ms: now_ms, ..Pocket::default() });
        if pocket.waiting.is_empty() && pocket.pay(now_ms) {
            if pocket.purse.is_low() {
                self.low.insert(agent);
            }
            return Verdict::Allowed;
        }
        let known = pocket.exhausted.filter(|known| known.refuses(COST, revision));
        if known.is_some_and(|known| known.lent.is_zero()) {
            return Verdict::Refused;
        }
        pocket.waiting.push(now_ms);
        self.urgent.insert(agent);
        Verdict::Waits
    }

    /// The next command, if there is reason and none is under way.
    pub(crate) fn command(&mut self, now_ms: u64, recalls: &BTreeMap<u32, u64>) -> Option<Command> {
        self.tick |= (now_ms + self.holder.node.0).is_multiple_of(LEASE_TICK_MS);
        if self.in_flight {
            return None;
        }
        let mut needs = Vec::new();
        for agent in std::mem::take(&mut self.urgent) {
            let Some(pocket) = self.pockets.get_mut(&agent) else { continue };
            if !pocket.asked && !pocket.waiting.is_empty() {
                needs.push((agent, pocket.need(now_ms)));
            }
        }
        let returns = match std::mem::take(&mut self.tick) {
            true => self.tick(now_ms, recalls, &mut needs),
            false => Vec::new(),
        };
        self.in_flight = !needs.is_empty() || !returns.is_empty();
        self.in_flight.then_some(Command { holder: self.holder, returns, needs })
    }

    fn tick(
        &mut self,
        now_ms: u64,
        recalls: &BTreeMap<u32, u64>,
        needs: &mut Vec<(u32, Need)>,
    ) -> Vec<(u32, LeaseId, Micros)> {
        for agent in std::mem::take(&mut self.low) {
            let Some(pocket) = self.pockets.get_mut(&agent) else { continue };
            if !pocket.asked && pocket.purse.is_low() && pocket.exhausted.is_none() {
                needs.push((agent, pocket.need(now_ms)));
            }
        }
        let returns =
            self.stopped.drain(..).filter_map(|(agent, lease)| Some((agent, lease.id(), lease.take_rest()?)));
        let returns = returns.collect();
        for agent in recalls.keys() {
            self.stop_all(*agent);
        }
        if now_ms % 1_000 < LEASE_TICK_MS {
            let idle = |pocket: &Pocket| now_ms > pocket.used_ms + IDLE_MS && pocket.waiting.is_empty();
            let idle: Vec<u32> =
                self.pockets.iter().filter(|(_, pocket)| idle(pocket)).map(|(agent, _)| *agent).collect();
            idle.into_iter().for_each(|agent| self.stop_all(agent));
            self.pockets.retain(|_, pocket| {
                pocket.asked || !pocket.purse.all().is_empty() || !pocket.waiting.is_empty()
            });
        }
        returns
    }

    fn stop_all(&mut self, agent: u32) {
        let Some(pocket) = self.pockets.get_mut(&agent) else { return };
        for lease in pocket.purse.all() {
            lease.stop();
            pocket.purse.remove(&lease);
            self.stopped.push((agent, lease));
        }
    }

    /// Takes in what was granted, and gives what became of the calls that waited: agent, moment of the call, and whether it
    /// is allowed.
    pub(crate) fn hear(&mut self, answer: Answer, now_ms: u64) -> Vec<(u32, u64, bool)> {
        self.in_flight = false;
        let mut decided = Vec::new();
        for (agent, granted) in answer.grants {
            let Some(pocket) = self.pockets.get_mut(&agent) else { continue };
            pocket.asked = false;
            match granted {
                Ok(loan) => {
                    pocket.exhausted = None;
                    self.stopped.extend(add(pocket, &loan).into_iter().map(|lease| (agent, lease)));
                }
                Err(NoGrant::Exhausted(exhausted)) => pocket.exhausted = Some(exhausted),
                Err(NoGrant::Fenced | NoGrant::TooManyLeases) => {}
            }
            let waiting = std::mem::take(&mut pocket.waiting);
            for since_ms in waiting {
                let over = pocket.exhausted.is_some_and(|known| known.lent.is_zero());
                if pocket.pay(now_ms) {
                    decided.push((agent, since_ms, true));
                } else if over || now_ms >= since_ms + WAIT_MS_MAX {
                    decided.push((agent, since_ms, false));
                } else {
                    pocket.waiting.push(since_ms);
                }
            }
            if !pocket.waiting.is_empty() {
                self.urgent.insert(agent);
            }
        }
        decided
    }

    /// The end of the simulation: everything goes back.
    pub(crate) fn close(&mut self) -> Command {
        let agents: Vec<u32> = self.agents().collect();
        agents.into_iter().for_each(|agent| self.stop_all(agent));
        let rest = |(agent, lease): (u32, Arc<Lease>)| Some((agent, lease.id(), lease.take_rest()?));
        let returns = self.stopped.drain(..).filter_map(rest).collect();
        Command { holder: self.holder, returns, needs: Vec::new() }
    }
}

/// Adds a lease and stops those before it: what they have left is too little to keep. Gives what goes back.
fn add(pocket: &mut Pocket, loan: &Loan) -> Vec<Arc<Lease>> {
    let lease = Arc::new(Lease::open(loan.id, loan.amount));
    let mut back = Vec::new();
    for older in pocket.purse.all() {
        if older.rest() < COST {
            older.stop();
            pocket.purse.remove(&older);
            back.push(older);
        }
    }
    if pocket.purse.add(&lease).is_err() {
        back.push(lease);
    }
    back
}
