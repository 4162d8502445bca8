//! One cluster under one traffic, millisecond by millisecond, and the judge who counts what callers saw.

use aegis_limits::holder::{Holder, NodeId};
use aegis_model::money::Micros;

use crate::SECONDS;
use crate::leader::{Answer, Leader};
use crate::node::{Node, Verdict};
use crate::traffic::{COST, Traffic};

/// Until then leases are granted for the first time, and waits are not counted.
const WARM_MS: u64 = SECONDS * 1_000 / 3;

/// Then a node loses power; waits are counted no more.
const LOSS_MS: u64 = SECONDS * 1_000 * 5 / 6;

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) calls_per_second: f64,
    pub(crate) entries_per_second: f64,
    /// Of all decisions, those that waited for a grant.
    pub(crate) waits: f64,
    /// The same, where a node has a call per second or more of the agent, and its budget is that of a day.
    pub(crate) busy_waits: f64,
    /// How long they waited, in the mean.
    pub(crate) wait_ms: f64,
    /// Units that were granted and can no longer be spent.
    pub(crate) burned: f64,
    /// The same, of all budgets.
    pub(crate) burned_share: f64,
}

#[derive(Default)]
struct Tally {
    decisions: u64,
    waits: u64,
    busy_decisions: u64,
    busy_waits: u64,
    waited_ms: u64,
    waited: u64,
}

pub(crate) struct World {
    traffic: Traffic,
    leader: Leader,
    nodes: Vec<Node>,
    /// By agent, what its callers were allowed: the judge's own count.
    allowed: Vec<u64>,
    tally: Tally,
}

impl World {
    pub(crate) fn new(nodes: u32, agents: u32, seed: u64) -> Self {
        let traffic = Traffic::new(nodes, agents, seed);
        let leader = Leader::new(&traffic, nodes, agents);
        let holder = |node: u32| Holder {
            node: NodeId(u64::from(node)),
            incarnation: leader.incarnations[node as usize],
        };
        let nodes = (0..nodes).map(|node| Node::new(holder(node))).collect();
        Self { traffic, leader, nodes, allowed: vec![0; agents as usize], tally: Tally::default() }
    }

    pub(crate) fn run(mut self) -> Outcome {
        let end_ms = SECONDS * 1_000;
        for now_ms in 0..end_ms {
            if now_ms == LOSS_MS {
                self.lose_power();
            }
            for answer in self.leader.step(now_ms) {
                self.deliver(answer, now_ms);
            }
            for call in self.traffic.calls(now_ms) {
                self.call(call.agent, call.node, now_ms);
            }
            for node in &mut self.nodes {
                if let Some(command) = node.command(now_ms, &self.leader.recalls) {
                    self.leader.send(now_ms, command);
                }
            }
        }
        self.outcome(end_ms)
    }

    fn call(&mut self, agent: u32, node: u32, now_ms: u64) {
        let revision = self.leader.ledgers[agent as usize].revision;
        let verdict = self.nodes[node as usize].call(agent, now_ms, revision);
        if matches!(verdict, Verdict::Allowed) {
            self.allowed[agent as usize] += COST.0;
        }
        if (WARM_MS..LOSS_MS).contains(&now_ms) {
            let waits = u64::from(matches!(verdict, Verdict::Waits));
            self.tally.decisions += 1;
            self.tally.waits += waits;
            if self.traffic.rate_at(agent, node) >= 1.0 && agent % 10 != 3 {
                self.tally.busy_decisions += 1;
                self.tally.busy_waits += waits;
            }
        }
    }

    fn deliver(&mut self, answer: Answer, now_ms: u64) {
        let node = &mut self.nodes[answer.holder.node.0 as usize];
        // What was meant for an earlier life is lost with it.
        if node.holder != answer.holder {
            return;
        }
        for (agent, since_ms, allowed) in node.hear(answer, now_ms) {
            self.allowed[agent as usize] += if allowed { COST.0 } else { 0 };
            self.tally.waited += 1;
            self.tally.waited_ms += now_ms - since_ms;
        }
    }

    /// The first node loses power, and comes back with nothing.
    fn lose_power(&mut self) {
        let old = &self.nodes[0];
        let incarnation = self.leader.power_lost(0, old.agents());
        self.nodes[0] = Node::new(Holder { incarnation, ..old.holder });
    }

    fn outcome(mut self, end_ms: u64) -> Outcome {
        let entries = self.leader.entries;
        // Everything under way arrives, and everything goes back.
        for now_ms in end_ms..end_ms + 1_000 {
            for answer in self.leader.step(now_ms) {
                self.deliver(answer, now_ms);
            }
        }
        for node in &mut self.nodes {
            self.leader.send(end_ms + 1_000, node.close());
        }
        for now_ms in end_ms + 1_000..end_ms + 2_000 {
            self.leader.step(now_ms);
        }
        let (mut granted, mut allowed, mut budgets) = (0, 0, 0);
        for (ledger, seen) in self.leader.ledgers.iter().zip(&self.allowed) {
            assert!(Micros(*seen) <= ledger.limit, "overspent: callers saw {seen} of {ledger:?}");
            assert!(
                ledger.granted <= ledger.limit && *seen <= ledger.granted.0,
                "LIM-1: {seen} of {ledger:?}"
            );
            granted += ledger.granted.0;
            budgets += ledger.limit.0;
            allowed += seen;
        }
        let seconds = SECONDS as f64;
        let ratio = |part: u64, of: u64| if of == 0 { 0.0 } else { part as f64 / of as f64 };
        let tally = &self.tally;
        Outcome {
            calls_per_second: f64::from(self.traffic.calls_per_second),
            entries_per_second: entries as f64 / seconds,
            waits: ratio(tally.waits, tally.decisions),
            busy_waits: ratio(tally.busy_waits, tally.busy_decisions),
            wait_ms: ratio(tally.waited_ms, tally.waited),
            burned: (granted - allowed) as f64 / COST.0 as f64,
            burned_share: ratio(granted - allowed, budgets),
        }
    }
}
