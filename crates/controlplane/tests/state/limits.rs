//! LIM-1 and LIM-2 in the replicated state: whatever data nodes ask, repeat, forge and forget, they never hold or spend
//! more than what is charged, and a grant never passes the limit.

use std::collections::BTreeMap;

use aegis_controlplane::command::Request;
use aegis_controlplane::state::{budgets, limit_id::LimitId};
use aegis_controlplane::testing::World;
use aegis_proto::control::{
    AdjustBudget, BudgetStanding, Lend, Lent, NodeAnswer, NodeAsk, TakeLending, done,
};
use aegis_proto::v1::budget_answer::Outcome;
use aegis_proto::v1::{
    BudgetAsk, CostBeyond, LeaseGranted, LeaseReturn, LendAnswer, LendAsk, LimitKey, LimitStamp,
};
use proptest::prelude::*;
use prost::Message;

const NODES: u64 = 3;
const AGENTS: [&str; 2] = ["agent-0", "agent-1"];

/// What happens next. Nodes and leases are picked among those that are there.
#[derive(Debug, Clone)]
enum Event {
    /// A node asks for budgets, returns some of its leases and reports a cost beyond them.
    Ask {
        node: u64,
        needs: Vec<(usize, u64)>,
        limit: u64,
        newer: bool,
        returns: Vec<prop::sample::Index>,
        debt: u64,
    },
    /// A node sends its last ask again.
    Repeat { node: u64 },
    /// A node spends a part of a lease, in percent.
    Spend { lease: prop::sample::Index, percent: u64 },
    /// A node is killed, perhaps with an ask under way, starts again and, unless it lost its memory, returns what its journal
    /// proves.
    Restart { node: u64, power_lost: bool, asking: Option<usize> },
    /// A node, or its ghost, returns what it does not have.
    Forge { node: u64, lease: prop::sample::Index, unspent: u64, recovered: bool, ghost: bool },
    /// An administrator sets another limit.
    Adjust { agent: usize, limit: u64 },
    /// Time passes.
    Pass { hours: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    let needs = prop::collection::vec((0..AGENTS.len(), 1..60_u64), 0..3);
    let returns = prop::collection::vec(any::<prop::sample::Index>(), 0..3);
    let debt = prop_oneof![6 => Just(0_u64), 1 => 1..30_u64];
    let limit = prop_oneof![4 => Just(200_u64), 1 => 0..400_u64];
    let ask = (1..=NODES, needs, limit, prop::bool::weighted(0.1), returns, debt).prop_map(
        |(node, needs, limit, newer, returns, debt)| Event::Ask { node, needs, limit, newer, returns, debt },
    );
    let repeat = (1..=NODES).prop_map(|node| Event::Repeat { node });
    let spend = (any::<prop::sample::Index>(), 0..=100_u64)
        .prop_map(|(lease, percent)| Event::Spend { lease, percent });
    let restart = (1..=NODES, any::<bool>(), prop::option::of(0..AGENTS.len()))
        .prop_map(|(node, power_lost, asking)| Event::Restart { node, power_lost, asking });
    let forge = (1..=NODES, any::<prop::sample::Index>(), 0..100_u64, any::<bool>(), any::<bool>()).prop_map(
        |(node, lease, unspent, recovered, ghost)| Event::Forge { node, lease, unspent, recovered, ghost },
    );
    let adjust = (0..AGENTS.len(), 0..400_u64).prop_map(|(agent, limit)| Event::Adjust { agent, limit });
    let pass = (1..30_u64).prop_map(|hours| Event::Pass { hours });
    prop_oneof![12 => ask, 3 => repeat, 8 => spend, 2 => restart, 3 => forge, 1 => adjust, 1 => pass]
}

/// What a node really has of a lease, whatever anybody says.
#[derive(Debug, Clone)]
struct Held {
    node: u64,
    incarnation: u64,
    amount: u64,
    spent: u64,
    /// In the hands of a living process, which may spend more of it.
    open: bool,
    /// In the journal of a dead process, to be returned by the next one.
    journalled: bool,
}

/// The world, and an account of what nodes really hold and spent, kept beside it.
struct Judge {
    world: World,
    incarnations: BTreeMap<u64, u64>,
    numbers: BTreeMap<u64, u64>,
    last: BTreeMap<u64, (NodeAsk, Vec<u8>)>,
    held: BTreeMap<(u64, u64), Held>,
    /// Real costs beyond, by ledger.
    beyond: BTreeMap<u64, u64>,
    stamp: u64,
}

impl Judge {
    fn new() -> Self {
        let world = World::new();
        world.tenant("acme");
        world.done(TakeLending {}, &World::node());
        let mut judge = Self {
            world,
            incarnations: BTreeMap::new(),
            numbers: BTreeMap::new(),
            last: BTreeMap::new(),
            held: BTreeMap::new(),
            beyond: BTreeMap::new(),
            stamp: 1,
        };
        (1..=NODES).for_each(|node| judge.start(node));
        judge
    }

    fn start(&mut self, node: u64) {
        self.incarnations.insert(node, self.world.data_node(node).incarnation);
        self.numbers.insert(node, 0);
        self.last.remove(&node);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Ask { node, needs, limit, newer, returns, debt } => {
                self.stamp += u64::from(newer);
                let returns = self.stop(node, &returns);
                let ledger = self.held.keys().next_back().map_or(0, |(ledger, _)| *ledger);
                *self.beyond.entry(ledger).or_default() += debt;
                let debts = if debt > 0 { vec![CostBeyond { ledger, amount: debt }] } else { Vec::new() };
                let budgets = needs.into_iter().map(|(agent, cost)| self.need(agent, limit, cost)).collect();
                self.ask(node, LendAsk { budgets, returns, debts, ..LendAsk::default() });
            }
            Event::Repeat { node } => self.repeat(node),
            Event::Spend { lease, percent } => {
                let mut open: Vec<&mut Held> = self.held.values_mut().filter(|held| held.open).collect();
                if open.is_empty() {
                    return;
                }
                let at = lease.index(open.len());
                let held = &mut open[at];
                held.spent += (held.amount - held.spent) * percent / 100;
            }
            Event::Restart { node, power_lost, asking } => {
                // Whoever is dead takes nothing in.
                if let Some(agent) = asking {
                    self.ask_and_die(node, agent);
                }
                self.restart(node, power_lost);
            }
            Event::Forge { node, lease, unspent, recovered, ghost } => {
                self.forge(node, &lease, unspent, recovered, ghost);
            }
            Event::Adjust { agent, limit } => {
                let key = Some(World::budget_key("acme", AGENTS[agent], "usd"));
                // Refused while nobody has asked for it.
                let command = AdjustBudget { key, limit: Some(limit), ..AdjustBudget::default() };
                drop(self.world.apply(command, &World::root()));
            }
            Event::Pass { hours } => self.world.pass_seconds(hours * 3_600),
        }
        self.nobody_has_more_than_is_charged();
    }

    fn need(&self, agent: usize, limit: u64, cost: u64) -> BudgetAsk {
        let key = World::budget_key("acme", AGENTS[agent], "usd");
        let stamp = Some(LimitStamp { history: 1, number: self.stamp });
        BudgetAsk { stamp, ..World::need(&key, limit, cost) }
    }

    /// The node stops using some of its leases, and then reads what is left.
    fn stop(&mut self, node: u64, which: &[prop::sample::Index]) -> Vec<LeaseReturn> {
        let mut returns = Vec::new();
        for index in which {
            let open: Vec<(u64, u64)> = self
                .held
                .iter()
                .filter(|(_, held)| held.node == node && held.open)
                .map(|(id, _)| *id)
                .collect();
            if open.is_empty() {
                break;
            }
            let (ledger, lease) = open[index.index(open.len())];
            let held = self.held.get_mut(&(ledger, lease)).expect("it was just found");
            held.open = false;
            let unspent = held.amount - held.spent;
            held.amount = held.spent;
            returns.push(LeaseReturn { ledger, lease, unspent, recovered: false });
        }
        returns
    }

    fn ask(&mut self, node: u64, ask: LendAsk) {
        let number = self.numbers[&node] + 1;
        self.numbers.insert(node, number);
        let asked = NodeAsk {
            node,
            incarnation: self.incarnations[&node],
            ask: Some(LendAsk { number, ..ask }),
            epochs: Vec::new(),
        };
        let answer = self.lend(&asked);
        assert_eq!(answer.refused, "", "the newest process with the next number");
        let read = LendAnswer::decode(answer.answer.as_slice()).expect("an answer");
        assert_eq!(read.budgets.len(), asked.ask.as_ref().map_or(0, |ask| ask.budgets.len()));
        for budget in &read.budgets {
            if let Some(Outcome::Granted(granted)) = &budget.outcome {
                self.take(&asked, granted);
            }
        }
        self.last.insert(node, (asked, answer.answer));
    }

    fn take(&mut self, asked: &NodeAsk, granted: &LeaseGranted) {
        let held = Held {
            node: asked.node,
            incarnation: asked.incarnation,
            amount: granted.amount,
            spent: 0,
            open: true,
            journalled: false,
        };
        assert!(self.held.insert((granted.ledger, granted.lease), held).is_none(), "no lease is given twice");
    }

    fn lend(&self, asked: &NodeAsk) -> NodeAnswer {
        let before = self.standings();
        let lent = lent(&self.world, self.world.lend(vec![asked.clone()]));
        for (now, before) in self.standings().iter().zip(before) {
            let charged = now.granted + now.debt;
            // LIM-1: what was charged for grants stays within the limit; only debt, and a lowered limit, leave more behind.
            let grew = before.ledger == now.ledger && now.granted > before.granted;
            assert!(!grew || charged <= now.limit, "LIM-1: {before:?} {now:?}");
        }
        lent.answers.into_iter().next().expect("one answer")
    }

    /// The same ask again gets the same answer, to the byte, and changes nothing.
    fn repeat(&mut self, node: u64) {
        let Some((asked, answer)) = self.last.get(&node) else { return };
        let before = self.world.direct.digest();
        let again = self.lend(asked);
        assert_eq!((&again.answer, again.refused.as_str()), (answer, ""));
        assert_eq!(self.world.direct.digest(), before, "applied twice");
    }

    fn ask_and_die(&mut self, node: u64, agent: usize) {
        let budgets = vec![self.need(agent, 200, 40)];
        let ask = Some(LendAsk { number: self.numbers[&node] + 1, budgets, ..LendAsk::default() });
        let asked = NodeAsk { node, incarnation: self.incarnations[&node], ask, epochs: Vec::new() };
        assert_eq!(self.lend(&asked).refused, "");
    }

    fn restart(&mut self, node: u64, power_lost: bool) {
        for held in self.held.values_mut().filter(|held| held.node == node) {
            held.journalled = !power_lost && (held.open || held.journalled);
            held.open = false;
        }
        let old = self.incarnations[&node];
        self.start(node);
        // LIM-2: what the old process still has to say counts no more.
        let ghost = NodeAsk {
            node,
            incarnation: old,
            ask: Some(LendAsk { number: 1, ..LendAsk::default() }),
            epochs: Vec::new(),
        };
        assert_eq!(self.lend(&ghost).refused, "fenced");
        let mut returns = Vec::new();
        for ((ledger, lease), held) in &mut self.held {
            if held.node == node && held.journalled {
                held.journalled = false;
                let unspent = held.amount - held.spent;
                held.amount = held.spent;
                returns.push(LeaseReturn { ledger: *ledger, lease: *lease, unspent, recovered: true });
            }
        }
        self.ask(node, LendAsk { returns, recovered: true, complete: !power_lost, ..LendAsk::default() });
    }

    /// A return that is wrong in some way: by somebody else, on the wrong ground, of too much, or a second time. None of
    /// them may free anything that a node can still spend.
    fn forge(&mut self, node: u64, lease: &prop::sample::Index, unspent: u64, recovered: bool, ghost: bool) {
        let ids: Vec<(u64, u64)> = self.held.keys().copied().collect();
        if ids.is_empty() {
            return;
        }
        let (ledger, lease) = ids[lease.index(ids.len())];
        let held = &self.held[&(ledger, lease)];
        // What the holder may truly say is no forgery.
        let own = held.node == node && held.incarnation == self.incarnations[&node];
        let unspent = if own && held.open && !recovered { held.amount + 1 + unspent } else { unspent };
        // The rest of a lost lease cannot be told from a forgery, but by the proof that only a journal gives.
        if held.node == node && recovered && held.incarnation < self.incarnations[&node] && held.journalled {
            return;
        }
        let forged = LeaseReturn { ledger, lease, unspent, recovered };
        if ghost {
            let incarnation = self.incarnations[&node] - 1;
            let ask = Some(LendAsk { number: 1, returns: vec![forged], ..LendAsk::default() });
            let before = self.world.direct.digest();
            let answer = self.lend(&NodeAsk { node, incarnation, ask, epochs: Vec::new() });
            assert_eq!((answer.refused.as_str(), self.world.direct.digest()), ("fenced", before));
        } else {
            self.ask(node, LendAsk { returns: vec![forged], ..LendAsk::default() });
        }
    }

    fn standings(&self) -> Vec<BudgetStanding> {
        AGENTS
            .iter()
            .filter_map(|agent| standing(&self.world, &World::budget_key("acme", agent, "usd")))
            .collect()
    }

    /// What nodes have spent and can still spend of a ledger is charged to it.
    fn nobody_has_more_than_is_charged(&self) {
        for standing in self.standings() {
            let of = self.held.iter().filter(|((ledger, _), _)| *ledger == standing.ledger);
            let held: u64 = of.map(|(_, held)| held.amount).sum();
            assert!(held <= standing.granted, "LIM-1: {held} of {standing:?}");
            let open: u64 = self
                .held
                .iter()
                .filter(|((ledger, _), held)| *ledger == standing.ledger && (held.open || held.journalled))
                .map(|(_, held)| held.amount)
                .sum();
            assert!(open <= standing.lent, "what is out is lent: {open} of {standing:?}");
            // What calls say that they cost is what was charged, but for what nobody can know.
            let own = self.held.iter().filter(|((ledger, _), _)| *ledger == standing.ledger);
            let beyond = self.beyond.get(&standing.ledger).copied().unwrap_or_default();
            let said = own.map(|(_, held)| held.spent).sum::<u64>() + beyond;
            let charged = standing.granted + standing.debt + standing.written_off;
            let unproven = standing.lent + standing.lost;
            assert!(said <= charged && charged - said <= unproven, "{said}: {standing:?}");
        }
    }
}

fn standing(world: &World, key: &LimitKey) -> Option<BudgetStanding> {
    budgets::budget(&world.view(), &LimitId::budget(key).expect("a key")).expect("memory")
}

fn lent(world: &World, lend: Lend) -> Lent {
    match world.done(Request::from(lend), &World::node()).done.result {
        Some(done::Result::Lent(lent)) => lent,
        other => unreachable!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn nodes_never_hold_more_than_is_charged_nor_grants_pass_the_limit(events in prop::collection::vec(event(), 1..80)) {
        let mut judge = Judge::new();
        for event in events {
            judge.happen(event);
        }
    }
}
