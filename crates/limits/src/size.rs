//! How much one grant is: enough that a node rarely asks, little enough that no node keeps others waiting.

use aegis_model::caps::LEASE_SECONDS;
use aegis_model::money::Micros;

/// A lease made for a node's rate takes at most one of so many parts of the node's equal share.
const RATE_PARTS: u64 = 2;

/// The floor is at most one of so many parts of the node's equal share of the whole limit.
const FLOOR_PARTS_OF_LIMIT: u64 = 64;

/// The floor is at most one of so many parts of the node's equal share of what remains.
const FLOOR_PARTS_OF_REMAINING: u64 = 4;

/// What a node needs of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// The cost of all calls that wait for this grant; nothing when the node asks ahead of need.
    pub waiting: Micros,
    /// The cost of the cheapest of them, or of a usual call: less than this is of no use to the node, and stays.
    pub least: Micros,
    /// What the node has lately spent of this budget per second.
    pub per_second: Micros,
}

/// The amount of a grant, where `remaining` is what may still be granted of `limit` and `nodes` data nodes live:
///
/// ```text
/// amount = min(remaining, max(waiting, floor, min(rate x 30 s, remaining / (2 nodes))))
/// floor  = max(1, min(limit / (64 nodes), remaining / (4 nodes)))
/// ```
///
/// in millionths, divisions rounded down; the 1 is one millionth, so that no division ends in a grant of nothing.
/// Gives [`Micros::ZERO`] only where nothing remains.
pub fn amount(limit: Micros, remaining: Micros, nodes: u32, need: Need) -> Micros {
    let nodes = u64::from(nodes.max(1));
    let per_node = |amount: Micros, parts: u64| amount.0 / parts / nodes;
    let by_rate = need.per_second.0.saturating_mul(LEASE_SECONDS).min(per_node(remaining, RATE_PARTS));
    let floor =
        per_node(limit, FLOOR_PARTS_OF_LIMIT).min(per_node(remaining, FLOOR_PARTS_OF_REMAINING)).max(1);
    Micros(need.waiting.0.max(floor).max(by_rate)).min(remaining)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn units(units: u64) -> Micros {
        Micros::of_units(units).unwrap()
    }

    fn check(limit: u64, remaining: u64, nodes: u32, waiting: u64, per_second: u64, expected: Micros) {
        let need = Need { waiting: units(waiting), least: units(1), per_second: units(per_second) };
        assert_eq!(amount(units(limit), units(remaining), nodes, need), expected);
    }

    #[test]
    fn grants_are_sized_as_designed() {
        // By rate: 30 s of it.
        check(10_000, 10_000, 4, 1, 10, units(300));
        // By rate, but no more than half of an equal share.
        check(10_000, 10_000, 4, 1, 1_000, units(1_250));
        // By the floor: a node that spent nothing yet.
        check(10_000, 10_000, 4, 1, 0, Micros(39_062_500));
        // By the floor when little remains.
        check(10_000, 32, 4, 1, 0, units(2));
        // By the waiting calls.
        check(10_000, 10_000, 4, 5_000, 1, units(5_000));
        // By what remains.
        check(10_000, 3, 4, 5, 1, units(3));
        check(10_000, 0, 4, 5, 1, Micros::ZERO);
        // A fresh node is taken for one of at least one.
        check(64, 64, 0, 0, 0, units(1));
    }

    proptest! {
        #[test]
        fn a_grant_is_never_more_than_remains_and_never_nothing(
            limit in 0..=Micros::MAX.0, share in 0..=100_u64, nodes in 0..=u32::MAX,
            waiting in 0..=Micros::MAX.0, per_second in any::<u64>(),
        ) {
            let remaining = Micros((u128::from(limit) * u128::from(share) / 100) as u64);
            let need = Need { waiting: Micros(waiting), least: Micros(1), per_second: Micros(per_second) };
            let granted = amount(Micros(limit), remaining, nodes, need);
            prop_assert!(granted <= remaining);
            prop_assert_eq!(granted.is_zero(), remaining.is_zero());
            prop_assert!(granted >= need.waiting.min(remaining), "waiting calls are served if anything is left");
        }
    }
}
