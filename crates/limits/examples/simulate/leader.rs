//! The control plane: ledgers, and the log in which the nodes' commands are replicated.

use std::collections::{BTreeMap, VecDeque};

use aegis_limits::epoch::{Epoch, Zone};
use aegis_limits::holder::{Holder, Incarnation, NodeId};
use aegis_limits::ledger::{Ground, LeaseId, Ledger, Loan, NoGrant};
use aegis_limits::size::Need;
use aegis_model::caps::{ENTRIES_IN_FLIGHT_MAX, LEASE_TICK_MS};
use aegis_model::money::Micros;

use crate::traffic::Traffic;

/// From a node's command to its answer: a hop each way, and the commit of an entry.
const HOP_MS: u64 = 1;
const COMMIT_MS: u64 = 5;

/// What comes within so many milliseconds becomes one entry, so that their number is bounded whatever nodes ask for.
const GATHER_MS: u64 = 5;

/// Every node has had a tick within that time, even if a command was under way.
const RECALL_MS: u64 = 2 * LEASE_TICK_MS;

/// What one node asks for at once: one batched command.
pub(crate) struct Command {
    pub(crate) holder: Holder,
    pub(crate) returns: Vec<(u32, LeaseId, Micros)>,
    pub(crate) needs: Vec<(u32, Need)>,
}

/// What it is told.
pub(crate) struct Answer {
    pub(crate) holder: Holder,
    pub(crate) grants: Vec<(u32, Result<Loan, NoGrant>)>,
}

pub(crate) struct Leader {
    pub(crate) ledgers: Vec<Ledger>,
    /// By node.
    pub(crate) incarnations: Vec<Incarnation>,
    pub(crate) entries: u64,
    /// Agents whose leases are called back, since somebody waits for what is out; and until when nodes are told.
    pub(crate) recalls: BTreeMap<u32, u64>,
    arriving: VecDeque<(u64, Command)>,
    committing: VecDeque<(u64, Vec<Command>)>,
}

impl Leader {
    pub(crate) fn new(traffic: &Traffic, nodes: u32, agents: u32) -> Self {
        let epoch = Epoch::at(&Zone::utc(), 0).expect("1970 is within the calendar");
        Self {
            ledgers: (0..agents).map(|agent| Ledger::open(epoch, traffic.budget(agent))).collect(),
            incarnations: (0..nodes).map(|node| Incarnation(u64::from(node))).collect(),
            entries: 0,
            recalls: BTreeMap::new(),
            arriving: VecDeque::new(),
            committing: VecDeque::new(),
        }
    }

    pub(crate) fn send(&mut self, now_ms: u64, command: Command) {
        self.arriving.push_back((now_ms + HOP_MS, command));
    }

    /// One millisecond: what waits becomes an entry, what is committed is applied.
    pub(crate) fn step(&mut self, now_ms: u64) -> Vec<Answer> {
        if now_ms.is_multiple_of(GATHER_MS) && self.committing.len() < ENTRIES_IN_FLIGHT_MAX {
            let due = self.arriving.iter().take_while(|(arrives, _)| *arrives <= now_ms).count();
            let batch: Vec<Command> = self.arriving.drain(..due).map(|(_, command)| command).collect();
            if !batch.is_empty() {
                self.entries += 1;
                self.committing.push_back((now_ms + COMMIT_MS + HOP_MS, batch));
            }
        }
        self.recalls.retain(|_, until| now_ms < *until);
        let mut answers = Vec::new();
        while self.committing.front().is_some_and(|(done, _)| *done <= now_ms) {
            let batch = self.committing.pop_front().map(|(_, batch)| batch).unwrap_or_default();
            answers.extend(batch.into_iter().map(|command| self.apply(command, now_ms)));
        }
        answers
    }

    fn apply(&mut self, command: Command, now_ms: u64) -> Answer {
        let Command { holder, returns, needs } = command;
        let current = self.incarnations[holder.node.0 as usize];
        for (agent, lease, rest) in returns {
            // Refused where the node lost power in between: then the lease is charged.
            let _ = self.ledgers[agent as usize].credit(lease, holder, current, Ground::Stopped, rest);
        }
        let nodes = self.incarnations.len() as u32;
        let mut grants = Vec::with_capacity(needs.len());
        for (agent, need) in needs {
            let granted = self.ledgers[agent as usize].grant(holder, current, nodes, need);
            if let Err(NoGrant::Exhausted(exhausted)) = granted
                && !exhausted.lent.is_zero()
                && !need.waiting.is_zero()
            {
                self.recalls.insert(agent, now_ms + RECALL_MS);
            }
            grants.push((agent, granted));
        }
        Answer { holder, grants }
    }

    /// A node lost power: what it held stays charged, and its earlier life is fenced.
    pub(crate) fn power_lost(&mut self, node: u32, agents: impl Iterator<Item = u32>) -> Incarnation {
        let incarnation = &mut self.incarnations[node as usize];
        let old = Holder { node: NodeId(u64::from(node)), incarnation: *incarnation };
        incarnation.0 += 1_000;
        for agent in agents {
            self.ledgers[agent as usize].charge_all(old);
        }
        *incarnation
    }
}
