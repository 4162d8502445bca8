//! What an ask is answered, and what becomes of a ledger over days, restores, dead nodes and new policies.

use aegis_audit::control::{Entry, LedgerAccount, What};
use aegis_limits::epoch::{Epoch, Zone};
use aegis_model::caps;
use aegis_proto::control::{
    AdjustBudget, AdvanceHistory, BudgetStanding, Lend, Lent, NodeAsk, Rate, RetireDataNode, RetireTenant,
    SweepLimits, TakeLending, done,
};
use aegis_proto::v1::budget_answer::Outcome;
use aegis_proto::v1::{
    BudgetAsk, CostBelow, CostBeyond, LeaseGranted, LeaseReturn, LendAnswer, LendAsk, LimitKey, LimitLevel,
    LimitStamp,
};
use prost::Message;

use crate::command::{Code, Request};
use crate::state::budgets::{self, epoch_row};
use crate::state::limit_id::LimitId;
use crate::state::page::PageQuery;
use crate::state::{borrowers, control_log, control_tree, lender, meta, rates, tenants};
use crate::testing::World;

const DAY: u64 = 24 * 3_600;

/// A world in which a tenant has a budget, and a control node lends.
fn world() -> World {
    let world = World::new();
    world.tenant("acme");
    world.done(TakeLending {}, &World::node());
    world
}

fn key() -> LimitKey {
    World::budget_key("acme", "crawler", "usd")
}

fn lent(world: &World, lend: Lend) -> Lent {
    match world.done(Request::from(lend), &World::node()).done.result {
        Some(done::Result::Lent(lent)) => lent,
        other => unreachable!("{other:?}"),
    }
}

/// A data node that counts its asks.
struct Node {
    id: u64,
    incarnation: u64,
    number: u64,
}

impl Node {
    fn start(world: &World, id: u64) -> Self {
        Self { id, incarnation: world.data_node(id).incarnation, number: 0 }
    }

    fn asks(&mut self, ask: LendAsk) -> NodeAsk {
        self.number += 1;
        let ask = Some(LendAsk { number: self.number, ..ask });
        NodeAsk { node: self.id, incarnation: self.incarnation, ask, epochs: Vec::new() }
    }

    fn say(&mut self, world: &World, ask: LendAsk) -> LendAnswer {
        let lent = lent(world, world.lend(vec![self.asks(ask)]));
        assert_eq!(lent.answers[0].refused, "");
        LendAnswer::decode(lent.answers[0].answer.as_slice()).expect("an answer")
    }

    fn need(&mut self, world: &World, need: BudgetAsk) -> Outcome {
        let answer = self.say(world, LendAsk { budgets: vec![need], ..LendAsk::default() });
        answer.budgets.into_iter().next().and_then(|it| it.outcome).expect("an outcome")
    }

    /// A call of `cost` waits for a budget of `limit`.
    fn wants(&mut self, world: &World, limit: u64, cost: u64) -> Outcome {
        self.need(world, World::need(&key(), limit, cost))
    }

    fn gets(&mut self, world: &World, limit: u64, cost: u64) -> LeaseGranted {
        match self.wants(world, limit, cost) {
            Outcome::Granted(granted) => granted,
            other => unreachable!("{other:?}"),
        }
    }

    fn returns(&mut self, world: &World, lease: &LeaseGranted, unspent: u64, recovered: bool) {
        let lease = LeaseReturn { ledger: lease.ledger, lease: lease.lease, unspent, recovered };
        self.say(world, LendAsk { returns: vec![lease], ..LendAsk::default() });
    }
}

fn standing(world: &World) -> BudgetStanding {
    let id = LimitId::budget(&key()).expect("a key");
    budgets::budget(&world.view(), &id).expect("memory").expect("a budget")
}

fn free(outcome: Outcome) -> u64 {
    match outcome {
        Outcome::Exhausted(exhausted) => exhausted.free,
        other => unreachable!("{other:?}"),
    }
}

fn code(outcome: Outcome) -> String {
    match outcome {
        Outcome::Refused(refused) => refused.code,
        other => unreachable!("{other:?}"),
    }
}

fn stamped(need: BudgetAsk, number: u64) -> BudgetAsk {
    BudgetAsk { stamp: Some(LimitStamp { history: 1, number }), ..need }
}

#[test]
fn a_lease_is_charged_granted_and_credited_once() {
    let world = world();
    let (mut one, mut two) = (Node::start(&world, 1), Node::start(&world, 2));
    let lease = one.gets(&world, 100, 60);
    assert_eq!((lease.amount, lease.free), (60, 40));
    let exhausted = match two.wants(&world, 100, 50) {
        Outcome::Exhausted(exhausted) => exhausted,
        other => unreachable!("{other:?}"),
    };
    assert_eq!((exhausted.free, exhausted.recalled, exhausted.ledger), (40, 60, lease.ledger));
    one.returns(&world, &lease, 55, false);
    one.returns(&world, &lease, 55, false);
    let standing = standing(&world);
    assert_eq!((standing.granted, standing.lent), (5, 0), "LIM-1: credited once");
    assert!(standing.revision > exhausted.revision, "the other node may ask again");
    assert_eq!(two.gets(&world, 100, 50).amount, 50);
}

#[test]
fn a_repeated_ask_is_answered_alike_and_applied_once() {
    let world = world();
    let mut node = Node::start(&world, 1);
    let asked = node.asks(LendAsk { budgets: vec![World::need(&key(), 100, 10)], ..LendAsk::default() });
    let first = lent(&world, world.lend(vec![asked.clone()]));
    let digest = world.direct.digest();
    world.pass_seconds(2 * DAY);
    let again = lent(&world, world.lend(vec![asked.clone()]));
    assert_eq!((again.answers, again.alerts.len()), (first.answers, 0));
    assert_eq!(world.direct.digest(), digest);
    for number in [0, 3, 9] {
        let ask = asked.ask.clone().map(|ask| LendAsk { number, ..ask });
        let refused = lent(&world, world.lend(vec![NodeAsk { ask, ..asked.clone() }])).answers;
        assert!(matches!(refused[0].refused.as_str(), "number" | "invalid"), "{number}");
    }
    assert_eq!(world.direct.digest(), digest, "nothing of it was applied");
}

#[test]
fn a_process_that_was_replaced_gets_nothing_and_brings_nothing_back() {
    let world = world();
    let mut old = Node::start(&world, 1);
    let lease = old.gets(&world, 100, 60);
    let mut new = Node::start(&world, 1);
    let back = LeaseReturn { ledger: lease.ledger, lease: lease.lease, unspent: 60, recovered: false };
    let ask =
        LendAsk { returns: vec![back], budgets: vec![World::need(&key(), 100, 1)], ..LendAsk::default() };
    let refused = lent(&world, world.lend(vec![old.asks(ask)])).answers;
    assert_eq!((refused[0].refused.as_str(), refused[0].answer.len()), ("fenced", 0), "LIM-2");
    assert_eq!(standing(&world).granted, 60);
    // Nor may its successor without a proof, another node at all, or anybody more than it was.
    new.returns(&world, &lease, 60, false);
    Node::start(&world, 2).returns(&world, &lease, 60, true);
    new.returns(&world, &lease, 61, true);
    assert_eq!(standing(&world).granted, 60);
    new.returns(&world, &lease, 45, true);
    assert_eq!((standing(&world).granted, standing(&world).lent), (15, 0));
    world.done(RetireDataNode { id: 1 }, &World::root());
    let refused = lent(&world, world.lend(vec![new.asks(LendAsk::default())])).answers;
    assert_eq!(refused[0].refused, "fenced");
}

#[test]
fn what_a_dead_process_cannot_prove_is_spent_and_no_longer_lent() {
    let world = world();
    let mut old = Node::start(&world, 1);
    let (proven, lost) = (old.gets(&world, 100, 30), old.gets(&world, 100, 20));
    let mut new = Node::start(&world, 1);
    assert_eq!(standing(&world).lent, 50, "it may still come back");
    let back = LeaseReturn { ledger: proven.ledger, lease: proven.lease, unspent: 25, recovered: true };
    new.say(&world, LendAsk { returns: vec![back], recovered: true, ..LendAsk::default() });
    assert_eq!((standing(&world).granted, standing(&world).lent), (25, 0), "read before it is touched");
    new.returns(&world, &lost, 20, true);
    assert_eq!(standing(&world).granted, 25, "too late to be proven");
    let exhausted = Node::start(&world, 2).wants(&world, 100, 90);
    let Outcome::Exhausted(exhausted) = exhausted else { unreachable!("{exhausted:?}") };
    assert_eq!((exhausted.free, exhausted.recalled), (75, 0), "nobody can call it back");
    // A node that was retired brings nothing back either.
    new.gets(&world, 100, 5);
    world.done(RetireDataNode { id: 1 }, &World::root());
    assert_eq!((standing(&world).granted, standing(&world).lent), (30, 0));
    assert!(borrowers::borrower(&world.view(), 1).expect("memory").is_none());
}

#[test]
fn a_lease_that_a_dead_process_never_took_in_comes_back_whole() {
    let world = world();
    let told = |complete| LendAsk { recovered: true, complete, ..LendAsk::default() };
    let mut first = Node::start(&world, 1);
    first.gets(&world, 100, 10);
    // The machine loses power: nobody knows.
    let mut second = Node::start(&world, 1);
    second.say(&world, told(false));
    let taken = second.gets(&world, 100, 20);
    // Killed before the answer came: the journal does not know of it.
    second.gets(&world, 100, 30);
    let mut third = Node::start(&world, 1);
    assert_eq!((standing(&world).granted, standing(&world).lent), (60, 50));
    let back = LeaseReturn { ledger: taken.ledger, lease: taken.lease, unspent: 15, recovered: true };
    third.say(&world, LendAsk { returns: vec![back], ..told(true) });
    assert_eq!((standing(&world).granted, standing(&world).lent), (15, 0), "10 of the first life, and 5");
    let before = standing(&world).revision;
    let lease = third.gets(&world, 100, 85);
    assert_eq!((lease.amount, lease.free, lease.revision), (85, 0, before), "it was read as it is written");
    // Saying it again, or later that something was lost, changes nothing of what is known.
    third.say(&world, told(false));
    let mut fourth = Node::start(&world, 1);
    fourth.say(&world, told(false));
    assert_eq!((standing(&world).granted, standing(&world).lent), (100, 0), "what the third had is spent");
    let known = borrowers::borrower(&world.view(), 1).expect("memory").expect("a borrower");
    assert_eq!(known.recovered_incarnation, known.complete_incarnation);
}

#[test]
fn a_new_day_opens_a_ledger_and_the_one_before_still_takes_leases_back() {
    let world = world();
    let mut node = Node::start(&world, 1);
    let yesterday = node.gets(&world, 100, 60);
    node.say(
        &world,
        LendAsk { debts: vec![CostBeyond { ledger: yesterday.ledger, amount: 7 }], ..LendAsk::default() },
    );
    world.pass_seconds(DAY);
    let today = node.gets(&world, 100, 80);
    assert_ne!(today.ledger, yesterday.ledger);
    assert_eq!((today.amount, standing(&world).debt), (80, 0), "debt stays in its day");
    node.returns(&world, &yesterday, 60, false);
    let before = budgets::by_number(&world.view(), yesterday.ledger).expect("memory").expect("kept");
    assert_eq!((before.ledger.granted, before.ledger.debt, before.ledger.loans.len()), (0, 7, 0));
    assert_eq!(standing(&world).granted, 80, "a return counts in its own day");
    world.pass_seconds(DAY);
    node.gets(&world, 100, 1);
    assert!(budgets::by_number(&world.view(), yesterday.ledger).expect("memory").is_none(), "two days ago");
    node.returns(&world, &yesterday, 60, false);
    node.returns(&world, &today, 80, false);
    assert_eq!(standing(&world).granted, 1);
    assert_eq!(meta::counters(&world.view()).expect("memory").budgets, 1, "one budget all the time");
}

#[test]
fn an_epoch_that_does_not_follow_is_refused() {
    let world = world();
    let mut node = Node::start(&world, 1);
    let propose = |node: &mut Node, epoch: Epoch| {
        let budgets = vec![World::need(&key(), 100, 1)];
        let asked = NodeAsk {
            epochs: vec![epoch_row(epoch)],
            ..node.asks(LendAsk { budgets, ..LendAsk::default() })
        };
        let Lend { history, lender_term, .. } = world.lend(Vec::new());
        let lend = Lend { history, lender_term, asks: vec![asked], ..Lend::default() };
        let answer = lent(&world, lend).answers.remove(0);
        let answer = LendAnswer::decode(answer.answer.as_slice()).expect("an answer");
        answer.budgets.into_iter().next().and_then(|it| it.outcome).expect("an outcome")
    };
    let now_ms = world.now_ms() as i64;
    let of = |hours_from: i64, hours_to: i64| Epoch {
        day: 0,
        start_ms: now_ms + hours_from * 3_600_000,
        end_ms: now_ms + hours_to * 3_600_000,
    };
    for wrong in [of(-5, 0), of(1, 25), of(2, -2)] {
        assert_eq!(code(propose(&mut node, wrong)), "epoch_over", "{wrong:?}");
    }
    assert!(matches!(propose(&mut node, of(-1, 2)), Outcome::Granted(_)));
    // While it runs, whatever else is proposed does not count; a zone that changed begins where it ends.
    assert!(matches!(propose(&mut node, of(-20, 4)), Outcome::Granted(_)));
    assert_eq!(standing(&world).epoch, Some(epoch_row(of(-1, 2))));
    world.pass_seconds(3 * 3_600);
    assert_eq!(code(propose(&mut node, of(1, 24))), "epoch_over", "it would overlap the last one");
    assert!(matches!(propose(&mut node, of(2, 24)), Outcome::Granted(_)));
    let wrong_zone = Epoch::at(&Zone::utc(), 0).expect("1970");
    assert!(matches!(propose(&mut node, wrong_zone), Outcome::Granted(_)), "the running one counts");
}

#[test]
fn the_newest_policy_counts_and_of_equally_new_ones_the_lowest_limit() {
    let world = world();
    let mut node = Node::start(&world, 1);
    let limit_after = |node: &mut Node, limit, number| {
        node.need(&world, stamped(World::need(&key(), limit, 1), number));
        standing(&world).limit
    };
    assert_eq!(limit_after(&mut node, 100, 5), 100);
    assert_eq!(limit_after(&mut node, 300, 4), 100, "an older policy");
    assert_eq!(limit_after(&mut node, 80, 5), 80, "a canary");
    assert_eq!(limit_after(&mut node, 100, 5), 80, "the enforced version beside it");
    let before = standing(&world).revision;
    assert_eq!(limit_after(&mut node, 120, 6), 120);
    assert!(standing(&world).revision > before, "more can be granted");
    // A new day begins with the newest limit, also if a node that missed it asks first.
    world.pass_seconds(DAY);
    assert_eq!(limit_after(&mut node, 900, 2), 120);
    let of_tomorrow =
        BudgetAsk { stamp: Some(LimitStamp { history: 2, number: 0 }), ..World::need(&key(), 1, 1) };
    assert_eq!(code(node.need(&world, of_tomorrow)), "invalid", "a history that has not begun");
}

#[test]
fn a_limit_below_what_is_granted_stops_grants_and_a_higher_one_lets_them_go_on() {
    let world = world();
    let mut node = Node::start(&world, 1);
    let lease = node.gets(&world, 100, 90);
    assert_eq!(free(node.need(&world, stamped(World::need(&key(), 50, 1), 2))), 0);
    assert_eq!(standing(&world).granted, 90, "nothing is taken back");
    assert_eq!(free(node.need(&world, stamped(World::need(&key(), 50, 1), 2))), 0);
    node.returns(&world, &lease, 60, false);
    let granted = node.need(&world, stamped(World::need(&key(), 50, 1), 2));
    assert!(matches!(granted, Outcome::Granted(_)));
    let granted = node.need(&world, stamped(World::need(&key(), 200, 100), 3));
    assert!(matches!(granted, Outcome::Granted(_)), "{granted:?}");
}

#[test]
fn amounts_at_the_ends_of_their_range() {
    let world = world();
    let mut node = Node::start(&world, 1);
    assert_eq!(free(node.wants(&world, 0, 1)), 0, "a limit of nothing");
    assert_eq!(free(node.need(&world, stamped(World::need(&key(), 0, 0), 2))), 0);
    let most = aegis_model::money::Micros::MAX.0;
    let lease = match node.need(&world, stamped(World::need(&key(), most, most), 3)) {
        Outcome::Granted(granted) => granted,
        other => unreachable!("{other:?}"),
    };
    assert_eq!((lease.amount, lease.free), (most, 0));
    for need in [World::need(&key(), u64::MAX, 1), World::need(&key(), 1, u64::MAX)] {
        assert_eq!(code(node.need(&world, need)), "invalid");
    }
    let debt = CostBeyond { ledger: lease.ledger, amount: u64::MAX };
    node.say(&world, LendAsk { debts: vec![debt, debt], ..LendAsk::default() });
    assert_eq!(standing(&world).debt, most, "as much as there can be");
    node.returns(&world, &lease, u64::MAX, false);
    assert_eq!(standing(&world).granted, most);
    assert!(free(node.need(&world, stamped(World::need(&key(), most, 1), 3))) == 0);
}

#[test]
fn a_cost_beyond_every_lease_is_debt_and_stops_grants() {
    let world = world();
    let mut node = Node::start(&world, 1);
    let lease = node.gets(&world, 100, 10);
    node.say(
        &world,
        LendAsk { debts: vec![CostBeyond { ledger: lease.ledger, amount: 95 }], ..LendAsk::default() },
    );
    assert_eq!((standing(&world).debt, standing(&world).granted), (95, 10));
    assert_eq!(free(node.wants(&world, 100, 1)), 0);
    node.say(&world, LendAsk { debts: vec![CostBeyond { ledger: 99, amount: 95 }], ..LendAsk::default() });
}

#[test]
fn what_calls_cost_less_comes_back_after_their_lease_and_once_per_ask() {
    let world = world();
    let mut node = Node::start(&world, 1);
    let lease = node.gets(&world, 100, 10);
    let save = |amount| {
        let saving = CostBelow { ledger: lease.ledger, lease: lease.lease, amount };
        LendAsk { savings: vec![saving], ..LendAsk::default() }
    };
    node.returns(&world, &lease, 0, false);
    assert_eq!(standing(&world).granted, 10);
    node.say(&world, save(4));
    assert_eq!((standing(&world).granted, standing(&world).lent), (6, 0));
    // Never more than was spent of it, and of no ledger that is not known.
    node.say(&world, save(u64::MAX));
    assert_eq!(standing(&world).granted, 0);
    let nowhere = CostBelow { ledger: 99, lease: 1, amount: 1 };
    node.say(&world, LendAsk { savings: vec![nowhere], ..LendAsk::default() });
    assert_eq!(standing(&world).granted, 0);
}

#[test]
fn after_a_restore_what_was_not_reset_is_spent() {
    let world = world();
    let mut node = Node::start(&world, 1);
    let lease = node.gets(&world, 100, 10);
    world.pass_seconds(60);
    let old = world.lend(Vec::new());
    world.done(AdvanceHistory { from: 1, to: 0 }, &World::node());
    let refused = world.refused(old, &World::node());
    assert_eq!((refused.code, refused.detail("of")), (Code::PreconditionFailed, Some("history")));
    assert!(standing(&world).void && standing(&world).granted == 100, "read before it is touched");
    let mut node = Node::start(&world, 1);
    node.returns(&world, &lease, 10, true);
    let now = standing(&world);
    assert_eq!((now.void, now.granted, now.lent), (true, 100, 0), "also what was out");
    // A higher limit says nothing of what was spent meanwhile.
    let raised =
        BudgetAsk { stamp: Some(LimitStamp { history: 2, number: 1 }), ..World::need(&key(), 150, 1) };
    assert_eq!(free(node.need(&world, raised)), 0);
    // A budget that the backup does not know was perhaps spent, if its day had begun.
    let other = World::budget_key("acme", "other", "usd");
    assert_eq!(free(node.need(&world, World::need(&other, 100, 1))), 0);
    let reset = AdjustBudget { key: Some(key()), reset_spent: true, ..AdjustBudget::default() };
    world.done(reset, &World::root());
    assert!(matches!(node.wants(&world, 100, 20), Outcome::Granted(_)), "somebody vouches for it");
    world.pass_seconds(DAY);
    assert!(matches!(node.need(&world, World::need(&other, 100, 1)), Outcome::Granted(_)), "another day");
    assert!(!standing(&world).void);
}

#[test]
fn only_the_newest_lender_lends() {
    let world = world();
    let mut node = Node::start(&world, 1);
    let late = world
        .lend(vec![node.asks(LendAsk { budgets: vec![World::need(&key(), 100, 1)], ..LendAsk::default() })]);
    world.done(TakeLending {}, &crate::command::actor::Actor::ControlNode(2));
    let refused = world.refused(late, &World::node());
    assert_eq!((refused.detail("of"), refused.detail("current")), (Some("lender term"), Some("2")));
    let row = lender::lender(&world.view()).expect("memory");
    assert_eq!((row.term, row.node), (2, 2));
    assert!(
        budgets::budget(&world.view(), &LimitId::budget(&key()).expect("a key")).expect("memory").is_none()
    );
}

#[test]
fn a_node_of_one_tenant_has_to_do_with_that_tenants_limits_only() {
    let world = world();
    world.tenant("globex");
    let sidecar = aegis_proto::control::RegisterDataNode {
        id: 9,
        name: "side-9".to_owned(),
        tenant: "globex".to_owned(),
        ..Default::default()
    };
    let registered = world.done(sidecar, &World::node());
    let Some(done::Result::DataNode(row)) = registered.done.result else { unreachable!("a node") };
    let mut sidecar = Node { id: 9, incarnation: row.incarnation, number: 0 };
    let of = |level: LimitLevel, owner: &str| LimitKey {
        level: level.into(),
        owner: owner.to_owned(),
        unit: "usd".to_owned(),
        ..LimitKey::default()
    };
    for (key, may) in [
        (of(LimitLevel::Tenant, "globex"), true),
        (of(LimitLevel::Organization, "globex"), true),
        (of(LimitLevel::Tenant, "acme"), false),
        (of(LimitLevel::Organization, "acme"), false),
        (of(LimitLevel::Tenant, "nobody"), false),
    ] {
        let outcome = sidecar.need(&world, World::need(&key, 100, 1));
        assert_eq!(matches!(outcome, Outcome::Granted(_)), may, "TEN-1: {key:?}");
    }
    // Nor does it put debt on another tenant, or bring back its leases.
    let mut full = Node::start(&world, 1);
    let lease = full.gets(&world, 100, 10);
    let debts = vec![CostBeyond { ledger: lease.ledger, amount: 5 }];
    sidecar.say(&world, LendAsk { debts, ..LendAsk::default() });
    sidecar.returns(&world, &lease, 10, false);
    assert_eq!((standing(&world).debt, standing(&world).granted), (0, 10));
    assert_eq!(code(full.need(&world, World::need(&of(LimitLevel::Tenant, "nobody"), 9, 1))), "invalid");
    world.done(RetireTenant { tenant: "acme".to_owned() }, &World::root());
    assert_eq!(code(full.wants(&world, 100, 1)), "invalid", "nothing is lent of a retired tenant");
}

#[test]
fn alerts_are_told_once_a_day_and_recorded() {
    let world = world();
    let mut node = Node::start(&world, 1);
    let mut percents = Vec::new();
    for cost in [49, 1, 20, 10, 19, 1] {
        let asked =
            node.asks(LendAsk { budgets: vec![World::need(&key(), 100, cost)], ..LendAsk::default() });
        percents.push(
            lent(&world, world.lend(vec![asked])).alerts.iter().map(|it| it.percent).collect::<Vec<_>>(),
        );
    }
    assert_eq!(percents, [vec![], vec![50], vec![], vec![80], vec![], vec![100]]);
    let acme = "acme".parse().expect("a name");
    let records = control_log::of_tenant(&world.view(), &acme, &PageQuery::first()).expect("memory").rows;
    let alerts: Vec<_> = records.iter().filter(|it| it.command == "BudgetAlert").collect();
    assert_eq!(alerts.len(), 3);
    assert_eq!((alerts[0].actor.as_str(), alerts[0].refused.as_str()), ("control-node:1", ""));
    assert_eq!(alerts[0].summary, "budget `usd` of agent `crawler`: 100 % are charged, 0.0001 of 0.0001");
    // What comes back and is spent again is not told anew; the next day is.
    let lease = LeaseGranted { ledger: standing(&world).ledger, lease: 1, ..LeaseGranted::default() };
    node.returns(&world, &lease, 49, false);
    node.gets(&world, 100, 49);
    assert_eq!(standing(&world).alerted, 100);
    world.pass_seconds(DAY);
    node.gets(&world, 100, 80);
    assert_eq!(standing(&world).alerted, 80);
    assert_eq!(tenants::counters(&world.view(), &acme).expect("memory").alerts, 1, "of this day");
}

#[test]
fn ledgers_and_rates_are_forgotten_when_nothing_can_come_back() {
    let world = world();
    let mut node = Node::start(&world, 1);
    let lease = node.gets(&world, 100, 10);
    world.pass_seconds(DAY);
    node.gets(&world, 100, 10);
    let rate_key = LimitKey { unit: String::new(), ..key() };
    let part = Rate { key: Some(rate_key.clone()), last_number: 7, ..Rate::default() };
    world.done(Lend { rates: vec![part.clone()], ..world.lend(Vec::new()) }, &World::node());
    let removed = || match world.done(SweepLimits {}, &World::node()).done.result {
        Some(done::Result::Swept(swept)) => swept.removed,
        other => unreachable!("{other:?}"),
    };
    assert_eq!(removed(), 0);
    world.pass_seconds(caps::RATE_KEPT_SECONDS - 1);
    // In use, and noted again.
    world.done(Lend { rates: vec![part], ..world.lend(Vec::new()) }, &World::node());
    world.pass_seconds(1);
    assert_eq!(removed(), 0);
    // World begins at eight in the morning: the first day ends sixteen hours later.
    world.pass_seconds(caps::LEDGER_KEPT_SECONDS - DAY);
    assert_eq!(removed(), 2, "the first day, and the rate");
    assert!(budgets::by_number(&world.view(), lease.ledger).expect("memory").is_none());
    let rate = LimitId::rate(&rate_key).expect("a key");
    assert!(rates::rate(&world.view(), &rate).expect("memory").is_none());
    world.pass_seconds(DAY);
    assert_eq!([removed(), removed()], [1, 0]);
    let counters = meta::counters(&world.view()).expect("memory");
    assert_eq!((counters.budgets, counters.rates), (0, 0));
    node.returns(&world, &lease, 10, false);
    assert!(node.gets(&world, 100, 10).ledger > lease.ledger, "a number is never used again");
}

/// What the control log says of ledgers: agent or owner, number, charged and unproven in millionths, void.
fn written_down(world: &World) -> Vec<(u64, u64, u64, bool)> {
    let mut found = Vec::new();
    for history in 1..=2 {
        let entries = control_tree::entries(&world.view(), history, 0, caps::PAGE_ROWS_MAX).expect("memory");
        for entry in entries.iter().filter(|entry| !entry.text.is_empty()) {
            if let What::Ledgers(it) = Entry::read(&entry.text).expect("an entry").what {
                let of = |it: LedgerAccount| (it.ledger, it.charged.0, it.unproven.0, it.void);
                found.extend(it.accounts.into_iter().map(of));
            }
        }
    }
    found
}

#[test]
fn what_became_of_a_ledger_is_written_into_the_control_log_before_it_is_forgotten() {
    let world = world();
    let (mut node, mut lost) = (Node::start(&world, 1), Node::start(&world, 2));
    let sweep = || world.done(SweepLimits {}, &World::node());
    let first = node.gets(&world, 100, 10);
    node.returns(&world, &first, first.amount - 7, false);
    node.say(
        &world,
        LendAsk {
            debts: vec![CostBeyond { ledger: first.ledger, amount: 5 }],
            savings: vec![CostBelow { ledger: first.ledger, lease: first.lease, amount: 1 }],
            ..LendAsk::default()
        },
    );
    let gone = lost.gets(&world, 100, 20);
    world.done(RetireDataNode { id: 2 }, &World::root());
    world.pass_seconds(DAY);
    let second = node.gets(&world, 100, 10);
    sweep();
    assert_eq!(written_down(&world), [], "it may still come back");
    // A third day makes room, and the rest go two days after their end.
    world.pass_seconds(DAY);
    let third = node.gets(&world, 100, 10);
    node.returns(&world, &third, 0, false);
    sweep();
    let amounts = (first.ledger, 7 + 5 - 1 + gone.amount, gone.amount, false);
    assert_eq!(written_down(&world), [amounts]);
    world.pass_seconds(DAY + caps::LEDGER_KEPT_SECONDS);
    sweep();
    let rest = [
        amounts,
        (second.ledger, second.amount, second.amount, false),
        (third.ledger, third.amount, 0, false),
    ];
    assert_eq!(written_down(&world), rest);
    sweep();
    assert_eq!(written_down(&world), rest, "once");
    control_tree::check(&world.view()).expect("a sound log");
}

#[test]
fn of_a_restored_day_the_control_log_says_that_nobody_knows_and_no_number_comes_back() {
    let world = world();
    let mut node = Node::start(&world, 1);
    let before = node.gets(&world, 100, 10);
    world.done(AdvanceHistory { from: 1, to: 0 }, &World::node());
    let mut node = Node::start(&world, 1);
    world.pass_seconds(DAY);
    let after = node.gets(&world, 100, 10);
    assert!(after.ledger > 2 << 29, "numbers after the backup may have been given before the restore");
    world.pass_seconds(2 * DAY + caps::LEDGER_KEPT_SECONDS);
    world.done(SweepLimits {}, &World::node());
    let void = written_down(&world).iter().map(|it| (it.0, it.3)).collect::<Vec<_>>();
    assert_eq!(void, [(before.ledger, true), (after.ledger, false)]);
}

#[test]
fn of_so_many_ledgers_a_day_the_control_log_says_only_that_they_were() {
    let world = world();
    let mut node = Node::start(&world, 1);
    let agents = caps::LEDGER_ACCOUNTS_PER_DAY_MAX + 7;
    let keys = (0..agents).map(|agent| World::budget_key("acme", &format!("agent-{agent}"), "usd"));
    let needs: Vec<BudgetAsk> = keys.map(|key| World::need(&key, 100, 10)).collect();
    for part in needs.chunks(caps::LEND_BUDGETS_MAX) {
        node.say(&world, LendAsk { budgets: part.to_vec(), ..LendAsk::default() });
    }
    world.pass_seconds(DAY + caps::LEDGER_KEPT_SECONDS);
    for _ in 0..=agents as usize / caps::SWEEP_ROWS_MAX {
        world.done(SweepLimits {}, &World::node());
    }
    let (mut accounts, mut left_out) = (0, 0);
    for entry in control_tree::entries(&world.view(), 1, 0, caps::PAGE_ROWS_MAX).expect("memory") {
        if let What::Ledgers(it) = Entry::read(&entry.text).expect("an entry").what {
            accounts += it.accounts.len() as u64;
            left_out += it.left_out;
        }
    }
    assert_eq!((accounts, left_out), (caps::LEDGER_ACCOUNTS_PER_DAY_MAX, 7));
}

#[test]
fn of_two_notes_of_a_rate_the_later_one_stays() {
    let world = world();
    let rate_key = LimitKey { unit: String::new(), ..key() };
    let part = |number| Rate { key: Some(rate_key.clone()), last_number: number, ..Rate::default() };
    for number in [7, 9, 8] {
        world.done(Lend { rates: vec![part(number)], ..world.lend(Vec::new()) }, &World::node());
    }
    let id = LimitId::rate(&rate_key).expect("a key");
    assert_eq!(rates::rate(&world.view(), &id).expect("memory").expect("a rate").last_number, 9);
    let bad = Rate { key: Some(key()), ..part(10) };
    assert_eq!(
        world.refused(Lend { rates: vec![bad], ..world.lend(Vec::new()) }, &World::node()).code,
        Code::Invalid
    );
}

#[test]
fn an_ask_beyond_its_bounds_is_refused_alone() {
    let world = world();
    let (mut one, mut two) = (Node::start(&world, 1), Node::start(&world, 2));
    let many = vec![World::need(&key(), 100, 1); caps::LEND_BUDGETS_MAX + 1];
    let asks = vec![
        one.asks(LendAsk { budgets: many, ..LendAsk::default() }),
        two.asks(LendAsk { budgets: vec![World::need(&key(), 100, 1)], ..LendAsk::default() }),
        NodeAsk {
            node: 3,
            incarnation: 1,
            ask: Some(LendAsk { number: 1, ..LendAsk::default() }),
            epochs: Vec::new(),
        },
        NodeAsk { node: 4, ..NodeAsk::default() },
    ];
    let refused: Vec<String> =
        lent(&world, world.lend(asks)).answers.into_iter().map(|answer| answer.refused).collect();
    assert_eq!(refused, ["invalid", "", "fenced", "invalid"]);
}
