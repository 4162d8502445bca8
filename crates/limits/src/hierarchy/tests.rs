//! All or nothing at four levels, and nothing lost whatever becomes of a call.

use proptest::prelude::*;

use super::*;
use crate::lease::Lease;
use crate::ledger::LeaseId;
use crate::pace::Pace;
use crate::reservation::{Charge, Settlement};

const NOW: Monotonic = Monotonic(Duration::from_secs(100));

fn account(burst: Option<u32>, budget: Option<u64>) -> Option<Arc<Account>> {
    let bucket = burst.map(|burst| Arc::new(Bucket::new(Pace::new(Micros(1_000_000), burst).unwrap())));
    let purse = budget.map(|amount| {
        let purse = Purse::default();
        purse.add(&Arc::new(Lease::open(LeaseId(1), Micros(amount)))).unwrap();
        Arc::new(purse)
    });
    Some(Arc::new(Account { bucket, purse }))
}

/// Four levels with `(burst, budget)` each.
fn hierarchy(limits: [(u32, u64); LEVELS]) -> Arc<Hierarchy> {
    Arc::new(Hierarchy::new(limits.map(|(burst, budget)| account(Some(burst), Some(budget)))))
}

fn rests(hierarchy: &Hierarchy) -> [u64; LEVELS] {
    Level::ALL.map(|level| hierarchy.account(level).unwrap().purse.as_ref().unwrap().rest().0)
}

/// Tokens left at each level; takes them all.
fn tokens(hierarchy: &Hierarchy) -> [usize; LEVELS] {
    Level::ALL.map(|level| {
        let bucket = hierarchy.account(level).unwrap().bucket.as_ref().unwrap();
        std::iter::from_fn(|| bucket.take(NOW).ok()).count()
    })
}

fn cost(cost: u64) -> Costs {
    Costs::same(Micros(cost))
}

#[test]
fn a_call_takes_from_every_level() {
    let hierarchy = hierarchy([(9, 100), (8, 90), (7, 80), (6, 70)]);
    let reservation = hierarchy.reserve(&Costs([1, 2, 3, 4].map(Micros)), NOW).unwrap();
    assert_eq!(Level::ALL.map(|level| reservation.paid(level).0), [1, 2, 3, 4]);
    let charge = reservation.commit();
    assert_eq!(charge.paid(Level::Entry), Micros(4));
    drop(charge);
    assert_eq!((rests(&hierarchy), tokens(&hierarchy)), ([99, 88, 77, 66], [8, 7, 6, 5]));
}

#[test]
fn a_refusal_names_the_first_level_that_refused_and_takes_nothing() {
    for (at, level) in Level::ALL.into_iter().enumerate() {
        let mut limits = [(9, 100); LEVELS];
        limits[at] = (9, 4);
        let poor = hierarchy(limits);
        let refusal = poor.reserve(&cost(5), NOW).unwrap_err();
        assert_eq!(refusal, Unfit { level, why: Why::Budget(Micros(5)) });
        assert_eq!((rests(&poor), tokens(&poor)), (limits.map(|(_, budget)| budget), [9; LEVELS]));

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
fn a_level_without_limits_is_not_asked() {
    let hierarchy: Arc<Hierarchy> =
        Arc::new(Hierarchy::new([None, account(None, None), account(Some(1), None), account(None, Some(5))]));
    let charge = hierarchy.reserve(&cost(5), NOW).unwrap().commit();
    assert_eq!(Level::ALL.map(|level| charge.paid(level).0), [0, 0, 0, 5]);
    assert_eq!(hierarchy.reserve(&cost(5), NOW).unwrap_err().level, Level::Agent);
}

#[test]
fn what_costs_nothing_needs_no_budget() {
    let empty = hierarchy([(9, 0); LEVELS]);
    assert!(empty.reserve(&cost(0), NOW).is_ok());
    let no_share: Arc<Hierarchy> = Arc::new(Hierarchy::new([
        Some(Arc::new(Account { bucket: Some(Arc::new(Bucket::new(Pace::NOTHING))), purse: None })),
        None,
        None,
        None,
    ]));
    assert_eq!(no_share.reserve(&cost(0), NOW).unwrap_err().why, Why::NoShare);
}

#[test]
fn a_reservation_that_is_dropped_or_refunded_leaves_nothing_behind() {
    let limits = [(9, 100); LEVELS];
    let dropped = hierarchy(limits);
    drop(dropped.reserve(&cost(30), NOW).unwrap());
    assert_eq!(rests(&dropped), [100; LEVELS]);
    let refunded = hierarchy(limits);
    refunded.reserve(&cost(30), NOW).unwrap().refund(NOW);
    assert_eq!((rests(&refunded), tokens(&refunded)), ([100; LEVELS], [9; LEVELS]));
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
    assert_eq!(settlement.debt.map(|debt| debt.0), [0, 0, 0, 7], "three were left in the lease of the entry");
    assert_eq!(rests(&hierarchy), [58, 58, 58, 0]);
}

#[test]
fn what_comes_back_after_the_rest_was_reported_stays_spent() {
    let hierarchy = hierarchy([(9, 100); LEVELS]);
    let purse = hierarchy.account(Level::Agent).unwrap().purse.clone().unwrap();
    let charge = hierarchy.reserve(&cost(30), NOW).unwrap().commit();
    let reservation = hierarchy.reserve(&cost(10), NOW).unwrap();
    assert_eq!(purse.all()[0].take_rest(), Some(Micros(60)));
    reservation.refund(NOW);
    let settlement = charge.settle(&cost(20));
    assert_eq!(settlement.late.map(|late| late.0), [0, 0, 10, 0]);
    assert_eq!(hierarchy.reserve(&cost(1), NOW).unwrap_err().level, Level::Agent);
}

#[test]
fn a_lease_that_came_is_found_by_the_next_call_and_one_that_was_closed_pays_none() {
    let hierarchy = hierarchy([(9, 100); LEVELS]);
    let purse = hierarchy.account(Level::Tenant).unwrap().purse.clone().unwrap();
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
        let hierarchy = Arc::new(Hierarchy::new(budgets.map(|budget| account(None, Some(budget)))));
        let mut spent = [0_u64; LEVELS];
        for (price, end) in calls {
            let Ok(reservation) = hierarchy.reserve(&cost(price), NOW) else {
                prop_assert!(rests(&hierarchy).iter().any(|rest| *rest < price));
                continue;
            };
            let charge: Charge = match end {
                End::Drop => { drop(reservation); continue }
                End::Refund => { reservation.refund(NOW); continue }
                End::Commit | End::Settle(_) => reservation.commit(),
            };
            let real = match end { End::Settle(real) if price > 0 => real, _ => price };
            let settlement = charge.settle(&cost(real));
            for (spent, debt) in spent.iter_mut().zip(settlement.debt) {
                *spent += real - debt.0;
            }
        }
        let rests = rests(&hierarchy);
        for ((budget, spent), rest) in budgets.iter().zip(spent).zip(rests) {
            prop_assert_eq!(spent + rest, *budget);
        }
    }
}
