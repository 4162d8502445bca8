//! Who is called, and where: the same for the same seed.

use aegis_limits::holder::NodeId;
use aegis_limits::placement::place;
use aegis_model::ids::TenantId;
use aegis_model::money::Micros;
use aegis_model::slot::Slot;

use crate::SECONDS;

/// The cost of a call.
pub(crate) const COST: Micros = Micros(1_000_000);

/// Most calls per second, however many agents there are.
const CALLS_PER_SECOND_MAX: u32 = 50_000;

/// Of so many calls one comes to another node than the owner of the agent's slot.
const ASTRAY: u64 = 10;

/// One call.
pub(crate) struct Call {
    pub(crate) agent: u32,
    pub(crate) node: u32,
}

/// The calls of all agents.
pub(crate) struct Traffic {
    pub(crate) calls_per_second: u32,
    nodes: u32,
    agents: u32,
    /// By agent.
    owners: Vec<u32>,
    random: u64,
}

impl Traffic {
    pub(crate) fn new(nodes: u32, agents: u32, seed: u64) -> Self {
        let ids: Vec<NodeId> = (0..nodes).map(|node| NodeId(u64::from(node))).collect();
        let map = place(&ids);
        let tenant: TenantId = "acme".parse().expect("a name is valid");
        let owner = |agent: u32| {
            let agent = format!("agent-{agent}").parse().expect("a name is valid");
            map[usize::from(Slot::of(&tenant, &agent).number())].0 as u32
        };
        let owners = (0..agents).map(owner).collect();
        Self { calls_per_second: agents.min(CALLS_PER_SECOND_MAX), nodes, agents, owners, random: seed }
    }

    /// The calls of one millisecond.
    pub(crate) fn calls(&mut self, now_ms: u64) -> Vec<Call> {
        let until = |ms: u64| ms * u64::from(self.calls_per_second) / 1_000;
        let count = until(now_ms + 1) - until(now_ms);
        (0..count).map(|_| self.call()).collect()
    }

    fn call(&mut self) -> Call {
        // Ranks fall like 1/r: the logarithm of the rank is even.
        let even = self.number() as f64 / u64::MAX as f64;
        let rank = (even * f64::from(self.agents + 1).ln()).exp() - 1.0;
        let agent = (rank as u32).min(self.agents - 1);
        let node = match self.number() % ASTRAY {
            0 => (self.number() % u64::from(self.nodes)) as u32,
            _ => self.owners[agent as usize],
        };
        Call { agent, node }
    }

    /// Calls per second that an agent is asked for.
    pub(crate) fn rate(&self, agent: u32) -> f64 {
        let share = (f64::from(agent + 2) / f64::from(agent + 1)).ln() / f64::from(self.agents + 1).ln();
        share * f64::from(self.calls_per_second)
    }

    /// Calls per second that an agent is asked for at a node.
    pub(crate) fn rate_at(&self, agent: u32, node: u32) -> f64 {
        let astray = self.rate(agent) / ASTRAY as f64;
        let owned = if self.owners[agent as usize] == node { self.rate(agent) - astray } else { 0.0 };
        owned + astray / f64::from(self.nodes)
    }

    /// An agent's budget: two thirds of what it is asked for in a day, or what ends half-way through the simulation.
    pub(crate) fn budget(&self, agent: u32) -> Micros {
        let seconds = if agent % 10 == 3 { SECONDS as f64 / 2.0 } else { 86_400.0 / 1.5 };
        let calls = (self.rate(agent) * seconds).ceil().max(2.0);
        Micros::of_units(calls as u64).unwrap_or(Micros::MAX)
    }

    /// SplitMix64.
    pub(crate) fn number(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ self.random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}
