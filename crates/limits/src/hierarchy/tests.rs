//! All or nothing at all accounts, and nothing lost whatever becomes of a call.

use proptest::prelude::*;

use super::*;
use crate::lease::Lease;
use crate::ledger::LeaseId;
use crate::pace::Pace;
use crate::reservation::{Charge, Debt, Saving, Settlement};

const NOW: Monotonic = Monotonic(Duration::from_secs(100));

const LEVELS: usize = Level::ALL.len();

fn account(level: Level, burst: Option<u32>, budget: Option<u64>) -> Account {
    let bucket = burst.map(|burst| Arc::new(Bucket::new(Pace::new(Micros(1_000_000), burst).unwrap())));
    let purse = budget.map(|amount| {
        let purse = Purse::default();
        purse.add(&Arc::new(Lease::open(LeaseId(1), Micros(amount)))).unwrap();
        Arc::new(purse)
    });
    Account { level, bucket, purse }
}

/// One account per level with `(burst, budget)` each.
fn hierarchy(limits: [(u32, u64); LEVELS]) -> Arc<Hierarchy> {
    let accounts = Level::ALL.into_iter().zip(limits);
    Arc::new(Hierarchy::new(
        accounts.map(|(level, (burst, budget))| account(level, Some(burst), Some(budget))).collect(),
    ))
}

fn purse(hierarchy: &Hierarchy, at: usize) -> Arc<Purse> {
    hierarchy.accounts()[at].purse.clone().unwrap()
}

fn rests(hierarchy: &Hierarchy) -> Vec<u64> {
    hierarchy.accounts().iter().map(|account| account.purse.as_ref().unwrap().rest().0).collect()
}

/// Tokens left at each account; takes them all.
fn tokens(hierarchy: &Hierarchy) -> Vec<usize> {
    let left = |account: &Account| {
        let bucket = account.bucket.as_ref().unwrap();
        std::iter::from_fn(|| bucket.take(NOW).ok()).count()
    };
    hierarchy.accounts().iter().map(left).collect()
}

/// The same at each of four accounts.
fn cost(cost: u64) -> Costs {
    Costs(vec![Micros(cost); LEVELS])
}

#[test]
fn a_call_takes_from_every_account() {
    let hierarchy = hierarchy([(9, 100), (8, 90), (7, 80), (6, 70)]);
    let reservation = hierarchy.reserve(&Costs([1, 2, 3, 4].map(Micros).to_vec()), NOW).unwrap();
    assert_eq!([0, 1, 2, 3].map(|at| reservation.paid(at).0), [1, 2, 3, 4]);
    let charge = reservation.commit();
    assert_eq!(charge.paid(3), Micros(4));
    drop(charge);
    assert_eq!((rests(&hierarchy), tokens(&hierarchy)), (vec![99, 88, 77, 66], vec![8, 7, 6, 5]));
}

#[test]
fn a_refusal_names_the_first_level_that_refused_and_takes_nothing() {
    for (at, level) in Level::ALL.into_iter().enumerate() {
        let mut limits = [(9, 100); LEVELS];
        limits[at] = (9, 4);
        let poor = hierarchy(limits);
        let refusal = poor.reserve(&cost(5), NOW).unwrap_err();
        assert_eq!(refusal, Unfit { account: at, level, why: Why::Budget(Micros(5)) });
        assert_eq!(
            (rests(&poor), tokens(&poor)),
            (limits.map(|(_, budget)| budget).to_vec(), vec![9; LEVELS])
        );

        let mut limits = [(9, 100); LEVELS];
        limits[at] = (1, 100);
        let slow = hierarchy(limits);
        let _first = slow.reserve(&cost(5), NOW).unwrap().commit();
        let refusal = slow.reserve(&cost(5), NOW).unwrap_err();
        assert_eq!((refusal.level, refusal.retry_after()), (level, Some(Duration::from_secs(1))));
        assert_eq!(rests(&slow), [95; LEVELS]);
        let mut left = [8; LEVELS];
        left[at] = 0;
        assert_eq!(tokens(&slow), left);
    }
}

#[test]
fn an_account_without_limits_is_not_asked() {
    let hierarchy: Arc<Hierarchy> = Arc::new(Hierarchy::new(vec![
        account(Level::Tenant, None, None),
        account(Level::Agent, Some(1), None),
        account(Level::Entry, None, Some(5)),
    ]));
    let costs = hierarchy.costs(|_| Micros(5));
    let charge = hierarchy.reserve(&costs, NOW).unwrap().commit();
    assert_eq!([0, 1, 2].map(|at| charge.paid(at).0), [0, 0, 5]);
    let refusal = hierarchy.reserve(&costs, NOW).unwrap_err();
    assert_eq!((refusal.account, refusal.level), (1, Level::Agent));
    let none: Arc<Hierarchy> = Arc::new(Hierarchy::new(vec![]));
    assert!(none.reserve(&none.costs(|_| Micros(5)), NOW).is_ok());
}

#[test]
fn a_level_has_as_many_accounts_as_it_likes() {
    let levels = [[Level::Tenant; 3].as_slice(), &[Level::Agent; 4], &[Level::Entry; 5]].concat();
    let accounts: Vec<_> = levels.iter().map(|level| account(*level, Some(9), Some(100))).collect();
    let hierarchy: Arc<Hierarchy> = Arc::new(Hierarchy::new(accounts));
    let costs = hierarchy.costs(|at| Micros(at as u64 + 1));
    let charge = hierarchy.reserve(&costs, NOW).unwrap().commit();
    assert_eq!((0..12).map(|at| charge.paid(at).0).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    purse(&hierarchy, 10).spend(Micros(80)).unwrap();
    let refusal = hierarchy.reserve(&costs, NOW).unwrap_err();
    assert_eq!((refusal.account, refusal.level), (10, Level::Entry), "the one that refused is named");
    drop(hierarchy.reserve(&hierarchy.costs(|_| Micros(1)), NOW).unwrap());
    let settlement = charge.settle(&hierarchy.costs(|at| Micros(if at == 11 { 150 } else { 0 })));
    assert_eq!(
        settlement,
        Settlement { debt: vec![Debt { account: 11, ledger: 0, amount: Micros(50) }], late: vec![] }
    );
    let mut rests_after = vec![100; 12];
    (rests_after[10], rests_after[11]) = (20, 0);
    assert_eq!(rests(&hierarchy), rests_after);
    // The token of the dropped one stays taken, that of the refused one came back.
    assert_eq!(tokens(&hierarchy), [7; 12]);
}

#[test]
#[should_panic(expected = "from the top")]
fn accounts_in_another_order_are_a_fault() {
    Hierarchy::new(vec![account(Level::Entry, None, Some(5)), account(Level::Agent, None, Some(5))]);
}

#[test]
fn what_costs_nothing_needs_no_budget() {
    let empty = hierarchy([(9, 0); LEVELS]);
    assert!(empty.reserve(&cost(0), NOW).is_ok());
    let bucket = Some(Arc::new(Bucket::new(Pace::NOTHING)));
    let no_share: Arc<Hierarchy> =
        Arc::new(Hierarchy::new(vec![Account { level: Level::Organization, bucket, purse: None }]));
    assert_eq!(no_share.reserve(&no_share.costs(|_| Micros(0)), NOW).unwrap_err().why, Why::NoShare);
}

#[test]
fn a_reservation_that_is_dropped_or_refunded_leaves_nothing_behind() {
    let limits = [(9, 100); LEVELS];
    let dropped = hierarchy(limits);
    drop(dropped.reserve(&cost(30), NOW).unwrap());
    assert_eq!(rests(&dropped), [100; LEVELS]);
    let refunded = hierarchy(limits);
    assert!(refunded.reserve(&cost(30), NOW).unwrap().refund(NOW).is_empty());
    assert_eq!((rests(&refunded), tokens(&refunded)), (vec![100; LEVELS], vec![9; LEVELS]));
}

#[test]
fn a_settlement_goes_down_to_the_lease_and_up_to_debt() {
    let hierarchy = hierarchy([(9, 100), (9, 100), (9, 100), (9, 35)]);
    let charge = |cost_: u64| hierarchy.reserve(&cost(cost_), NOW).unwrap().commit();
    assert_eq!(charge(30).settle(&cost(12)), Settlement::default());
    assert_eq!(rests(&hierarchy), [88, 88, 88, 23]);
    assert_eq!(charge(10).settle(&cost(10)), Settlement::default());
    assert_eq!(rests(&hierarchy), [78, 78, 78, 13]);
    let settlement = charge(10).settle(&cost(20));
    let debt = Debt { account: 3, ledger: 0, amount: Micros(7) };
    assert_eq!(settlement.debt, [debt], "three were left in the lease of the entry");
    assert_eq!(rests(&hierarchy), [58, 58, 58, 0]);
}

#[test]
fn what_comes_back_after_the_rest_was_reported_is_for_the_ledger() {
    let hierarchy = hierarchy([(9, 100); LEVELS]);
    let purse = purse(&hierarchy, 2);
    let charge = hierarchy.reserve(&cost(30), NOW).unwrap().commit();
    let reservation = hierarchy.reserve(&cost(10), NOW).unwrap();
    assert_eq!(purse.all()[0].take_rest(), Some(Micros(60)));
    let late: Vec<_> = reservation.refund(NOW);
    assert_eq!(late, [Saving { account: 2, ledger: 0, lease: LeaseId(1), amount: Micros(10) }]);
    let settlement = charge.settle(&cost(20));
    let saving = Saving { account: 2, ledger: 0, lease: LeaseId(1), amount: Micros(10) };
    assert_eq!(settlement.late, [saving]);
    assert_eq!(hierarchy.reserve(&cost(1), NOW).unwrap_err().level, Level::Agent);
}

#[test]
fn a_lease_that_came_is_found_by_the_next_call_and_one_that_was_closed_pays_none() {
    let hierarchy = hierarchy([(9, 100); LEVELS]);
    let purse = purse(&hierarchy, 1);
    let reserve = |price| hierarchy.reserve(&cost(price), NOW).map(|reservation| drop(reservation.commit()));
    assert_eq!(reserve(60), Ok(()));
    let first = purse.all().remove(0);
    assert_eq!(first.take_rest(), Some(Micros(40)));
    assert_eq!(reserve(1).unwrap_err().level, Level::Tenant);
    purse.add(&Arc::new(Lease::open(LeaseId(2), Micros(30)))).unwrap();
    assert_eq!(reserve(20), Ok(()));
    purse.remove(&first);
    assert_eq!((reserve(10), reserve(1).unwrap_err().level), (Ok(()), Level::Tenant));
    assert_eq!(rests(&hierarchy), [10, 0, 10, 10]);
}

#[test]
fn a_charge_that_is_kept_has_no_lease_in_hand_once_they_are_forgotten() {
    let hierarchy = hierarchy([(9, 100); LEVELS]);
    let purse = purse(&hierarchy, 2);
    let charge = hierarchy.reserve(&cost(30), NOW).unwrap().commit();
    let lease = purse.all().remove(0);
    hierarchy.forget();
    purse.remove(&lease);
    assert_eq!(Arc::strong_count(&lease), 1);
    purse.add(&lease).unwrap();
    assert!(hierarchy.reserve(&cost(70), NOW).is_ok(), "the next call looks anew");
    assert!(hierarchy.reserve(&cost(71), NOW).is_err(), "and pays");
    drop(charge);
}

#[derive(Debug, Clone)]
enum End {
    Drop,
    Refund,
    Commit,
    Settle(u64),
}

proptest! {
    /// LIM-1 at a node: at every level, what is spent and what is left are what was granted, debt aside.
    #[test]
    fn no_way_out_of_a_call_leaks(
        budgets in prop::array::uniform4(0..500_u64),
        calls in prop::collection::vec((0..60_u64, prop_oneof![
            Just(End::Drop), Just(End::Refund), Just(End::Commit), (0..120_u64).prop_map(End::Settle),
        ]), 0..60),
    ) {
        let accounts = Level::ALL.into_iter().zip(budgets);
        let accounts = accounts.map(|(level, budget)| account(level, None, Some(budget)));
        let hierarchy: Arc<Hierarchy> = Arc::new(Hierarchy::new(accounts.collect()));
        let mut spent = [0_u64; LEVELS];
        for (price, end) in calls {
            let Ok(reservation) = hierarchy.reserve(&cost(price), NOW) else {
                prop_assert!(rests(&hierarchy).iter().any(|rest| *rest < price));
                continue;
            };
            let charge: Charge = match end {
                End::Drop => { drop(reservation); continue }
                End::Refund => { prop_assert!(reservation.refund(NOW).is_empty()); continue }
                End::Commit | End::Settle(_) => reservation.commit(),
            };
            let real = match end { End::Settle(real) if price > 0 => real, _ => price };
            let settlement = charge.settle(&cost(real));
            for (at, spent) in spent.iter_mut().enumerate() {
                let debt = settlement.debt.iter().find(|debt| debt.account == at);
                *spent += real - debt.map_or(0, |debt| debt.amount.0);
            }
        }
        let rests = rests(&hierarchy);
        for ((budget, spent), rest) in budgets.iter().zip(spent).zip(rests) {
            prop_assert_eq!(spent + rest, *budget);
        }
    }
}
