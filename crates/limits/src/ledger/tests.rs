//! What a ledger grants, credits and refuses, alone and under any order of commands.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::epoch::Zone;
use crate::holder::NodeId;

const LEAST: Micros = Micros(250_000);

fn units(units: u64) -> Micros {
    Micros::of_units(units).unwrap()
}

fn ledger(limit: u64) -> Ledger {
    Ledger::open(Epoch::at(&Zone::utc(), 0).unwrap(), units(limit))
}

fn holder(node: u64, incarnation: u64) -> Holder {
    Holder { node: NodeId(node), incarnation: Incarnation(incarnation) }
}

fn waiting(amount: Micros) -> Need {
    Need { waiting: amount, least: amount, per_second: Micros::ZERO }
}

/// A lease of so many units for a node in its first life.
fn lend(ledger: &mut Ledger, node: u64, amount: u64) -> Loan {
    ledger.grant(holder(node, 1), Incarnation(1), 1, waiting(units(amount))).unwrap()
}

#[test]
fn a_grant_is_charged_in_full_and_comes_back_once() {
    let (mut ledger, one) = (ledger(20), holder(1, 1));
    let loan = ledger.grant(one, one.incarnation, 3, waiting(units(4))).unwrap();
    assert_eq!((loan.amount, ledger.granted, ledger.lent()), (units(4), units(4), units(4)));
    let credit =
        |ledger: &mut Ledger, unspent| ledger.credit(loan.id, one, one.incarnation, Ground::Stopped, unspent);
    assert_eq!(credit(&mut ledger, units(5)), Err(NoCredit::TooMuch), "more than it was");
    assert_eq!(credit(&mut ledger, units(3)), Ok(()));
    assert_eq!((ledger.granted, ledger.lent(), ledger.revision), (units(1), Micros::ZERO, 2));
    assert_eq!(credit(&mut ledger, units(3)), Err(NoCredit::Unknown), "LIM-1: a second time");
    assert_eq!(ledger.granted, units(1));
}

#[test]
fn a_lease_returns_from_its_own_holder_only() {
    let (mut ledger, one) = (ledger(20), holder(1, 1));
    let loan = ledger.grant(one, one.incarnation, 1, waiting(units(4))).unwrap();
    let before = ledger.clone();
    let mut refused = |by: Holder, current: u64, ground, why| {
        let answer = ledger.credit(loan.id, by, Incarnation(current), ground, units(1));
        assert_eq!((answer, &ledger), (Err(why), &before), "{by} {ground:?}");
    };
    refused(holder(2, 2), 2, Ground::Stopped, NoCredit::NotTheHolder);
    refused(holder(2, 1), 1, Ground::Stopped, NoCredit::NotTheHolder);
    // LIM-2: the process was replaced, perhaps by a copy of its disk. What it says counts no more.
    refused(one, 2, Ground::Stopped, NoCredit::Fenced);
    refused(one, 2, Ground::Recovered, NoCredit::Fenced);
    // Its successor has to say how it knows.
    refused(holder(1, 2), 2, Ground::Stopped, NoCredit::NotTheHolder);
    refused(one, 1, Ground::Recovered, NoCredit::NotTheHolder);
    assert_eq!(ledger.credit(loan.id, holder(1, 2), Incarnation(2), Ground::Recovered, units(1)), Ok(()));
}

#[test]
fn a_fenced_incarnation_gets_no_grant() {
    let mut ledger = ledger(20);
    let answer = ledger.grant(holder(1, 1), Incarnation(2), 1, waiting(LEAST));
    assert_eq!((answer, ledger.granted), (Err(NoGrant::Fenced), Micros::ZERO), "LIM-2");
}

#[test]
fn what_was_spent_can_be_forgiven_and_what_is_out_stays_charged() {
    let (mut ledger, one) = (ledger(20), holder(1, 1));
    let spent = ledger.grant(one, one.incarnation, 1, waiting(units(12))).unwrap();
    ledger.credit(spent.id, one, one.incarnation, Ground::Stopped, units(2)).unwrap();
    let out = ledger.grant(one, one.incarnation, 1, waiting(units(3))).unwrap();
    ledger.record_debt(units(9));
    let before = ledger.revision;
    ledger.forgive_spent();
    assert_eq!((ledger.granted, ledger.debt, ledger.revision), (out.amount, Micros::ZERO, before + 1));
    ledger.forgive_spent();
    assert_eq!(ledger.revision, before + 1, "there was nothing more to forgive");
    ledger.void();
    assert!(ledger.free().is_zero());
    ledger.forgive_spent();
    assert_eq!(ledger.free(), units(20));
}

#[test]
fn leases_that_are_charged_stay_charged() {
    let mut ledger = ledger(20);
    let (old, new, other) = (holder(1, 1), holder(1, 2), holder(2, 3));
    let lost = ledger.grant(old, old.incarnation, 1, waiting(units(3))).unwrap();
    ledger.grant(new, new.incarnation, 1, waiting(units(4))).unwrap();
    ledger.grant(other, other.incarnation, 1, waiting(units(5))).unwrap();
    assert_eq!(ledger.charge_all(old), units(3));
    assert_eq!((ledger.granted, ledger.lent()), (units(12), units(9)));
    let late = ledger.credit(lost.id, new, new.incarnation, Ground::Recovered, units(1));
    assert_eq!((late, ledger.charge_all(old)), (Err(NoCredit::Unknown), Micros::ZERO));
    ledger.void();
    assert_eq!((ledger.free(), ledger.leases.len()), (Micros::ZERO, 0), "a restored backup grants nothing");
}

#[test]
fn a_limit_below_what_is_granted_stops_grants_until_it_is_raised() {
    let (mut ledger, one) = (ledger(20), holder(1, 1));
    let loan = ledger.grant(one, one.incarnation, 1, waiting(units(15))).unwrap();
    ledger.set_limit(units(10));
    let refused = ledger.grant(one, one.incarnation, 1, waiting(LEAST));
    let exhausted = Exhausted { revision: 1, free: Micros::ZERO, lent: units(15) };
    assert_eq!(refused, Err(NoGrant::Exhausted(exhausted)));
    assert!(exhausted.refuses(LEAST, ledger.revision));
    ledger.set_limit(units(16));
    assert!(!exhausted.refuses(LEAST, ledger.revision), "what was remembered ends");
    assert_eq!(ledger.grant(one, one.incarnation, 1, waiting(units(1))).unwrap().amount, units(1));
    // A return below the lowered limit is grantable, and no more than that.
    ledger.set_limit(units(2));
    ledger.credit(loan.id, one, one.incarnation, Ground::Stopped, units(15)).unwrap();
    assert_eq!(ledger.free(), units(1));
}

#[test]
fn what_a_call_cost_less_can_be_granted_again_once_it_is_known() {
    let mut ledger = ledger(10);
    let first = lend(&mut ledger, 1, 10);
    assert!(ledger.free().is_zero());
    // Told while the rest of the lease is still on its way: both come back, each once.
    assert_eq!(ledger.save(first.id, units(4)), units(4));
    assert_eq!((ledger.granted, ledger.lent()), (units(6), units(6)));
    let too_much = ledger.credit(first.id, first.holder, first.holder.incarnation, Ground::Stopped, units(7));
    assert_eq!(too_much, Err(NoCredit::TooMuch));
    ledger.credit(first.id, first.holder, first.holder.incarnation, Ground::Stopped, units(1)).unwrap();
    assert_eq!((ledger.granted, ledger.lent()), (units(5), Micros::ZERO));
    let before = ledger.revision;
    assert_eq!((ledger.save(first.id, units(2)), ledger.free()), (units(2), units(7)));
    assert_eq!(ledger.revision, before + 1, "who found it exhausted asks again");
    // Never more than was spent, and of no lease that was never given.
    assert_eq!(ledger.save(LeaseId(99), units(1)), Micros::ZERO);
    assert_eq!((ledger.save(first.id, Micros::MAX), ledger.granted), (units(3), Micros::ZERO));
}

#[test]
fn nothing_is_saved_of_what_was_forgiven_or_is_not_known() {
    let mut ledger = ledger(10);
    let first = lend(&mut ledger, 1, 5);
    ledger.credit(first.id, first.holder, first.holder.incarnation, Ground::Stopped, Micros::ZERO).unwrap();
    ledger.forgive_spent();
    let second = lend(&mut ledger, 1, 5);
    ledger
        .credit(second.id, second.holder, second.holder.incarnation, Ground::Stopped, Micros::ZERO)
        .unwrap();
    // What the first lease spent is forgiven already: LIM-1 of what was spent since.
    assert_eq!((ledger.charged(), ledger.unproven()), (units(10), Micros::ZERO));
    assert_eq!((ledger.save(first.id, units(5)), ledger.granted), (Micros::ZERO, second.amount));
    assert_eq!((ledger.charged(), ledger.unproven()), (units(10), units(5)), "calls may say up to five less");
    ledger.void();
    assert_eq!((ledger.save(second.id, units(1)), ledger.free()), (Micros::ZERO, Micros::ZERO));
}

#[test]
fn debt_stops_grants_until_it_is_covered() {
    let (mut ledger, one) = (ledger(20), holder(1, 1));
    ledger.record_debt(units(30));
    assert!(matches!(ledger.grant(one, one.incarnation, 1, waiting(LEAST)), Err(NoGrant::Exhausted(_))));
    ledger.forgive_debt(units(15));
    assert_eq!((ledger.free(), ledger.revision), (units(5), 2));
    ledger.forgive_debt(Micros::MAX);
    assert_eq!((ledger.free(), ledger.debt), (units(20), Micros::ZERO));
}

#[test]
fn what_is_remembered_of_an_exhausted_budget_ends_with_any_credit() {
    let (mut ledger, one) = (ledger(1), holder(1, 1));
    let loan = ledger.grant(one, one.incarnation, 1, waiting(Micros(900_000))).unwrap();
    let Err(NoGrant::Exhausted(known)) = ledger.grant(one, one.incarnation, 1, waiting(LEAST)) else {
        panic!("100,000 millionths are no use to a call of 250,000")
    };
    assert_eq!((known.free, known.lent), (Micros(100_000), Micros(900_000)));
    assert!(known.refuses(LEAST, ledger.revision) && !known.refuses(Micros(100_000), ledger.revision));
    ledger.credit(loan.id, one, one.incarnation, Ground::Stopped, Micros(1)).unwrap();
    assert!(!known.refuses(LEAST, ledger.revision));
}

#[test]
fn leases_are_bounded() {
    let (mut ledger, one) = (ledger(1_000_000), holder(1, 1));
    for _ in 0..LEASES_PER_BUDGET_MAX {
        ledger.grant(one, one.incarnation, u32::MAX, waiting(Micros(1))).unwrap();
    }
    let more = ledger.grant(one, one.incarnation, u32::MAX, waiting(Micros(1)));
    assert_eq!(more, Err(NoGrant::TooManyLeases));
}

/// Three nodes, a budget of 20, calls of 0.25, in many interleavings: whoever waits while anything is left is served, if
/// need be after the others returned what they do not use. Exactly 80 calls go through.
#[test]
fn a_small_budget_on_three_nodes_never_stalls() {
    for seed in 0..200_u64 {
        assert_eq!(calls_through(20, LEAST, seed), 80, "seed {seed}");
    }
    for seed in 0..50_u64 {
        // Amounts that do not divide, and a budget smaller than one call.
        assert_eq!(calls_through(7, Micros(300_000), seed), 23, "seed {seed}");
        assert_eq!(calls_through(1, Micros(1_000_001), seed), 0, "seed {seed}");
    }
}

fn calls_through(limit: u64, cost: Micros, seed: u64) -> u32 {
    const NODES: u64 = 3;
    let mut ledger = ledger(limit);
    let mut held: [Vec<(Loan, Micros)>; NODES as usize] = Default::default();
    let (mut allowed, mut random) = (0, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for _ in 0..10_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let node = (random >> 33) % NODES;
        let own = holder(node, node + 1);
        if let Some((_, rest)) = held[node as usize].iter_mut().find(|(_, rest)| *rest >= cost) {
            *rest = rest.saturating_sub(cost);
            allowed += 1;
            continue;
        }
        let need = Need { waiting: cost, least: cost, per_second: Micros(cost.0 * (random >> 60)) };
        let exhausted = match ledger.grant(own, own.incarnation, NODES as u32, need) {
            Ok(loan) => {
                assert!(loan.amount >= cost, "a grant that serves nobody: {loan:?}");
                held[node as usize].push((loan, loan.amount));
                continue;
            }
            Err(NoGrant::Exhausted(exhausted)) => exhausted,
            Err(other) => panic!("{other}"),
        };
        assert!(exhausted.free < cost, "the ledger has {} for a call of {cost}", exhausted.free);
        if exhausted.lent.is_zero() {
            return allowed;
        }
        for (node, leases) in held.iter_mut().enumerate() {
            let by = holder(node as u64, node as u64 + 1);
            for (loan, rest) in leases.drain(..) {
                ledger.credit(loan.id, by, by.incarnation, Ground::Stopped, rest).unwrap();
            }
        }
    }
    panic!("seed {seed}: {allowed} calls went through, and it goes on: {ledger:?}")
}

#[derive(Debug, Clone)]
enum Act {
    Grant { node: u64, stale: bool, waiting: u64, per_second: u64 },
    Spend { lease: usize, amount: u64 },
    Credit { lease: usize, again: bool, excess: u64 },
    Restart { node: u64, power_lost: bool },
    Limit(u64),
    Debt(u64),
    Forgive(u64),
    Save { lease: usize, amount: u64 },
}

fn act() -> impl Strategy<Value = Act> {
    let some = 0..2_000_000_u64;
    prop_oneof![
        4 => (0..4_u64, prop::bool::weighted(0.1), some.clone(), some.clone())
            .prop_map(|(node, stale, waiting, per_second)| Act::Grant { node, stale, waiting, per_second }),
        6 => (any::<usize>(), some.clone()).prop_map(|(lease, amount)| Act::Spend { lease, amount }),
        3 => (any::<usize>(), any::<bool>(), prop_oneof![4 => Just(0), 1 => 1..1_000_u64])
            .prop_map(|(lease, again, excess)| Act::Credit { lease, again, excess }),
        1 => (0..4_u64, any::<bool>()).prop_map(|(node, power_lost)| Act::Restart { node, power_lost }),
        1 => (0..20_000_000_u64).prop_map(Act::Limit),
        1 => some.clone().prop_map(Act::Debt),
        1 => some.clone().prop_map(Act::Forgive),
        2 => (any::<usize>(), some).prop_map(|(lease, amount)| Act::Save { lease, amount }),
    ]
}

/// What the nodes really spent, kept apart from the ledger: the judge of it.
#[derive(Default)]
struct World {
    incarnation: BTreeMap<u64, u64>,
    /// Leases that a node holds, with what it spent of each.
    held: Vec<(Loan, Micros)>,
    /// Leases that were credited once, with what calls may still turn out to have spent less of each: nothing of a process
    /// that is gone.
    returned: Vec<(Loan, Micros)>,
    spent: u64,
    /// Real costs beyond.
    beyond: u64,
}

impl World {
    fn current(&self, node: u64) -> u64 {
        self.incarnation.get(&node).copied().unwrap_or(1)
    }

    fn apply(&mut self, ledger: &mut Ledger, act: &Act) {
        match *act {
            Act::Grant { node, stale, waiting, per_second } => {
                let current = Incarnation(self.current(node));
                let own = holder(node, current.0 - u64::from(stale));
                let need =
                    Need { waiting: Micros(waiting), least: Micros(1), per_second: Micros(per_second) };
                let free = ledger.free();
                match ledger.grant(own, current, 4, need) {
                    Ok(loan) => {
                        assert!(!stale && loan.amount <= free && !loan.amount.is_zero());
                        self.held.push((loan, Micros::ZERO));
                    }
                    Err(why) => assert!(stale && why == NoGrant::Fenced || free.is_zero()),
                }
            }
            Act::Spend { lease, amount } if !self.held.is_empty() => {
                let at = lease % self.held.len();
                let (loan, spent) = &mut self.held[at];
                let amount = Micros(amount).min(loan.amount.saturating_sub(*spent));
                *spent = spent.saturating_add(amount);
                self.spent += amount.0;
            }
            Act::Credit { lease, again, excess } => self.credit(ledger, lease, again, excess),
            Act::Restart { node, power_lost } => self.restart(ledger, node, power_lost),
            Act::Limit(limit) => ledger.set_limit(Micros(limit)),
            Act::Debt(amount) => {
                ledger.record_debt(Micros(amount));
                self.beyond += amount;
            }
            Act::Forgive(amount) => ledger.forgive_debt(Micros(amount)),
            Act::Save { lease, amount } if !self.returned.is_empty() => {
                let at = lease % self.returned.len();
                let (loan, spent) = &mut self.returned[at];
                let amount = Micros(amount).min(*spent);
                *spent = spent.saturating_sub(amount);
                assert_eq!(ledger.save(loan.id, amount), amount, "nothing is lost");
                self.spent -= amount.0;
            }
            Act::Spend { .. } | Act::Save { .. } => {}
        }
    }

    fn credit(&mut self, ledger: &mut Ledger, lease: usize, again: bool, excess: u64) {
        if again && !self.returned.is_empty() {
            let (loan, _) = self.returned[lease % self.returned.len()];
            let current = Incarnation(self.current(loan.holder.node.0));
            let by = Holder { incarnation: current, ..loan.holder };
            for ground in [Ground::Stopped, Ground::Recovered] {
                assert!(ledger.credit(loan.id, by, current, ground, loan.amount).is_err());
            }
        } else if !self.held.is_empty() {
            let at = lease % self.held.len();
            let (loan, spent) = self.held[at];
            let current = Incarnation(self.current(loan.holder.node.0));
            let rest = loan.amount.saturating_sub(spent);
            let claimed = Micros(if excess == 0 { rest.0 } else { loan.amount.0 + excess });
            let answer = ledger.credit(loan.id, loan.holder, current, Ground::Stopped, claimed);
            assert_eq!(answer.is_ok(), excess == 0);
            if answer.is_ok() {
                self.held.swap_remove(at);
                self.returned.push((loan, spent));
            }
        }
    }

    /// A node comes back: with its journal it returns the rests, without it they stay charged. Its earlier self is fenced.
    fn restart(&mut self, ledger: &mut Ledger, node: u64, power_lost: bool) {
        let old = holder(node, self.current(node));
        let new = Incarnation(old.incarnation.0 + 1);
        self.incarnation.insert(node, new.0);
        let (own, others): (Vec<_>, Vec<_>) = self.held.drain(..).partition(|(loan, _)| loan.holder == old);
        self.held = others;
        for (loan, spent) in &own {
            let rest = loan.amount.saturating_sub(*spent);
            assert!(ledger.credit(loan.id, old, new, Ground::Stopped, rest).is_err(), "LIM-2");
            if !power_lost {
                let by = Holder { incarnation: new, ..old };
                assert_eq!(ledger.credit(loan.id, by, new, Ground::Recovered, rest), Ok(()));
            }
        }
        ledger.charge_all(old);
        for (loan, spent) in &mut self.returned {
            *spent = if loan.holder == old { Micros::ZERO } else { *spent };
        }
        self.returned.extend(own.into_iter().map(|(loan, _)| (loan, Micros::ZERO)));
    }
}

proptest! {
    #[test]
    fn what_is_spent_is_covered_by_what_is_granted_and_that_by_the_limit(
        acts in prop::collection::vec(act(), 1..200),
    ) {
        let mut ledger = ledger(10);
        let mut world = World::default();
        let mut highest_limit = ledger.limit;
        for act in &acts {
            let (granted, free, revision) = (ledger.granted, ledger.free(), ledger.revision);
            world.apply(&mut ledger, act);
            highest_limit = highest_limit.max(ledger.limit);
            // LIM-1, twice: nothing is granted beyond the limit, nothing is spent beyond what is granted.
            let grew = ledger.granted > granted;
            prop_assert!(!grew || ledger.granted.0 + ledger.debt.0 <= ledger.limit.0);
            let out: u64 = world.held.iter().map(|(loan, spent)| loan.amount.0 - spent.0).sum();
            prop_assert!(world.spent + out <= ledger.granted.0, "{} + {out}: {ledger:?}", world.spent);
            prop_assert!(world.spent <= highest_limit.0);
            // What calls say that they cost is what was charged, but for what nobody can know.
            let (said, charged) = (world.spent + world.beyond, ledger.charged().0);
            prop_assert!(said <= charged && charged - said <= ledger.unproven().0, "{said}: {ledger:?}");
            prop_assert!(ledger.free() <= free || ledger.revision > revision, "more is free, unannounced");
            prop_assert!(ledger.leases.is_sorted_by_key(|loan| loan.id));
            prop_assert!(ledger.lent().0 == world.held.iter().map(|(loan, _)| loan.amount.0).sum::<u64>());
        }
    }
}
