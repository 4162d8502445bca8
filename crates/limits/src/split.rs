//! Dividing a rate among nodes by what is asked of them.

use aegis_model::money::Micros;

use crate::holder::NodeId;
use crate::pace::Pace;

/// What a node is asked for of one rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// The node.
    pub node: NodeId,
    /// Calls per second that lately came to it, refused ones included, in millionths of a call.
    pub rate: Micros,
}

/// The parts of `whole` for those that ask, the largest demand first, and what is left for `owner`.
///
/// - The rates sum up to that of `whole` exactly, and so do the bursts: the owner has what division leaves over.
/// - Whoever has a part has at least one call at once, since without one it admits nothing. So at most as many nodes have
///   parts as the burst has calls, the owner among them; where more want one, those with the largest demand get it.
/// - Without demand elsewhere the owner has the whole.
///
/// The order of `demands` changes nothing; of a node that stands there twice the larger demand counts.
pub fn split(whole: Pace, owner: NodeId, demands: &[Demand]) -> Vec<(NodeId, Pace)> {
    let parties = parties(whole, owner, demands);
    let asked: u128 = parties.iter().map(|demand| u128::from(demand.rate.0)).sum();
    let owner_asked = parties.iter().any(|demand| demand.node == owner && !demand.rate.is_zero());
    let others: Vec<&Demand> = parties.iter().filter(|demand| demand.node != owner).collect();
    let mut left = whole;
    let mut parts = Vec::with_capacity(others.len() + 1);
    // Each has one call at once ahead of what is divided; the owner too.
    let spare = u128::from(whole.burst()).saturating_sub(others.len() as u128 + 1);
    for demand in others {
        let part = |of: u128| (of * u128::from(demand.rate.0)).checked_div(asked).unwrap_or(0) as u64;
        // An owner that nobody asks still keeps a part, to serve the first call that comes to it.
        let kept = if owner_asked { 0 } else { whole.rate().0 / OWNER_PARTS };
        let rate = Micros(part(u128::from(whole.rate().0 - kept)));
        let burst = 1 + part(spare) as u32;
        let given = less(&mut left, rate, burst);
        parts.push((demand.node, given));
    }
    parts.push((owner, left));
    parts
}

/// The owner keeps one of so many parts while all demand is elsewhere.
const OWNER_PARTS: u64 = 64;

/// Those who get a part: the owner, and of those who ask the ones who ask for most.
fn parties(whole: Pace, owner: NodeId, demands: &[Demand]) -> Vec<Demand> {
    let mut asking: Vec<Demand> = Vec::with_capacity(demands.len() + 1);
    for demand in demands {
        match asking.iter_mut().find(|other| other.node == demand.node) {
            Some(other) => other.rate = other.rate.max(demand.rate),
            None => asking.push(*demand),
        }
    }
    let (own, mut others): (Vec<_>, Vec<_>) = asking.into_iter().partition(|demand| demand.node == owner);
    others.retain(|demand| !demand.rate.is_zero());
    others.sort_by_key(|demand| (std::cmp::Reverse(demand.rate), demand.node));
    others.truncate(whole.burst().saturating_sub(1) as usize);
    others.extend(own);
    others
}

/// Takes a part out of what is left.
fn less(left: &mut Pace, rate: Micros, burst: u32) -> Pace {
    let (rate, burst) = (rate.min(left.rate()), burst.min(left.burst()));
    let rest = Pace::new(left.rate().saturating_sub(rate), left.burst() - burst);
    // A part of what is within the bounds is within the bounds.
    *left = rest.unwrap_or(Pace::NOTHING);
    Pace::new(rate, burst).unwrap_or(Pace::NOTHING)
}

/// What each of `nodes` may admit on its own while no leader can be reached: its equal part. Before long, others do so too,
/// so that together with what the last leader gave they stay below twice the whole.
pub fn alone(whole: Pace, nodes: u32) -> Pace {
    let nodes = nodes.max(1);
    let burst = (whole.burst() / nodes).max(whole.burst().min(1));
    Pace::new(Micros(whole.rate().0 / u64::from(nodes)), burst).unwrap_or(Pace::NOTHING)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pace(rate: u64, burst: u32) -> Pace {
        Pace::new(Micros(rate), burst).unwrap()
    }

    fn parts(whole: Pace, demands: &[(u64, u64)]) -> Vec<(u64, u64, u32)> {
        let demands: Vec<_> =
            demands.iter().map(|(node, rate)| Demand { node: NodeId(*node), rate: Micros(*rate) }).collect();
        let parts = split(whole, NodeId(0), &demands);
        parts.into_iter().map(|(node, pace)| (node.0, pace.rate().0, pace.burst())).collect()
    }

    #[test]
    fn the_owner_has_it_all_while_nobody_else_is_asked() {
        let all = [(0, 5_000_000, 5)];
        assert_eq!(parts(pace(5_000_000, 5), &[]), all);
        assert_eq!(parts(pace(5_000_000, 5), &[(0, 3_000_000)]), all);
        assert_eq!(parts(pace(5_000_000, 5), &[(0, 3_000_000), (1, 0)]), all);
    }

    #[test]
    fn parts_follow_demand() {
        assert_eq!(
            parts(pace(100_000_000, 12), &[(0, 20_000_000), (1, 20_000_000)]),
            [(1, 50_000_000, 6), (0, 50_000_000, 6)]
        );
        assert_eq!(
            parts(pace(10_000_000, 3), &[(1, 1), (0, 1), (2, 1)]),
            [(1, 3_333_333, 1), (2, 3_333_333, 1), (0, 3_333_334, 1)]
        );
    }

    #[test]
    fn as_many_nodes_have_parts_as_calls_come_at_once() {
        let whole = pace(5_000_000, 2);
        assert_eq!(
            parts(whole, &[(1, 10), (2, 30), (3, 20), (0, 10)]),
            [(2, 3_750_000, 1), (0, 1_250_000, 1)]
        );
        assert_eq!(parts(pace(5_000_000, 1), &[(1, 10)]), [(0, 5_000_000, 1)]);
    }

    #[test]
    fn alone_a_node_takes_its_equal_part() {
        assert_eq!(alone(pace(10_000_000, 9), 4), pace(2_500_000, 2));
        assert_eq!(alone(pace(10_000_000, 1), 4), pace(2_500_000, 1), "without burst nothing is admitted");
        assert_eq!(alone(pace(10_000_000, 9), 0), pace(10_000_000, 9));
        assert_eq!(alone(Pace::NOTHING, 4), Pace::NOTHING);
    }

    proptest! {
        #[test]
        fn parts_sum_up_to_the_whole(
            rate in 0..=1_000_000_000_000_u64, burst in 0..=200_u32,
            demands in prop::collection::vec((0..40_u64, 0..2_000_000_000_000_u64), 0..60),
        ) {
            let whole = pace(rate, burst);
            let given = parts(whole, &demands);
            prop_assert_eq!(given.iter().map(|(_, rate, _)| rate).sum::<u64>(), rate);
            prop_assert_eq!(given.iter().map(|(.., burst)| u64::from(*burst)).sum::<u64>(), u64::from(burst));
            prop_assert!(burst == 0 || given.iter().all(|(.., burst)| *burst > 0));
            let mut nodes: Vec<u64> = given.iter().map(|(node, ..)| *node).collect();
            nodes.sort_unstable();
            nodes.dedup();
            prop_assert_eq!(nodes.len(), given.len());
            let mut turned = demands.clone();
            turned.reverse();
            prop_assert_eq!(parts(whole, &turned), given);
        }
    }
}
