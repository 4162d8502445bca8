//! Which data node owns which slot: rendezvous hashing, a pure function of the nodes that live.
//!
//! For each slot every node has a score, a hash of both, and the highest owns it. So a node that leaves moves its own slots
//! only, and one that joins moves slots to itself only; nobody has to remember where slots were.

use aegis_model::slot::Slot;
use sha2::{Digest, Sha256};

use crate::holder::NodeId;

/// The owner of a slot among `nodes`; none without nodes. The order of the nodes does not matter.
pub fn owner(slot: Slot, nodes: &[NodeId]) -> Option<NodeId> {
    nodes.iter().copied().max_by_key(|node| (score(slot, *node), *node))
}

/// The owners of all slots, by the slot's number; empty without nodes.
pub fn place(nodes: &[NodeId]) -> Vec<NodeId> {
    Slot::all().filter_map(|slot| owner(slot, nodes)).collect()
}

/// The first 8 bytes of `SHA-256(node slot)`, both big-endian. Node ids are random, and still no hash table's hash will do:
/// nodes of different software have to agree.
fn score(slot: Slot, node: NodeId) -> u64 {
    let mut hash = Sha256::new();
    hash.update(node.0.to_be_bytes());
    hash.update(slot.number().to_be_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use aegis_model::caps::SLOTS;
    use proptest::prelude::*;

    use super::*;

    fn nodes(least: usize, most: usize) -> impl Strategy<Value = Vec<NodeId>> {
        prop::collection::btree_set(any::<u64>(), least..=most)
            .prop_map(|ids| ids.into_iter().map(NodeId).collect())
    }

    #[test]
    fn the_owner_is_that_of_the_definition() {
        // Computed with another implementation, Python's `hashlib`.
        let nodes = [NodeId(1), NodeId(2), NodeId(3)];
        let owners: Vec<u64> = place(&nodes).into_iter().map(|node| node.0).collect();
        assert_eq!(owners[..16], [1, 3, 1, 1, 2, 3, 1, 1, 3, 1, 3, 3, 3, 3, 2, 2]);
        assert_eq!(
            owners.iter().fold(0_u64, |sum, node| sum.wrapping_mul(31).wrapping_add(*node)),
            6_677_181_531_838_896_799
        );
    }

    #[test]
    fn without_nodes_nobody_owns_anything() {
        assert_eq!(place(&[]), []);
        assert_eq!(place(&[NodeId(7)]), [NodeId(7); SLOTS as usize]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn slots_are_spread_evenly(nodes in nodes(2, 64)) {
            let mut owned: BTreeMap<NodeId, u32> = nodes.iter().map(|node| (*node, 0)).collect();
            place(&nodes).into_iter().for_each(|owner| *owned.entry(owner).or_default() += 1);
            prop_assert_eq!(owned.len(), nodes.len());
            let mean = f64::from(SLOTS) / nodes.len() as f64;
            // Slots fall like dice: five standard deviations and a half are not seen in a lifetime of runs.
            let spread = 5.5 * mean.sqrt();
            for (node, slots) in owned {
                prop_assert!((f64::from(slots) - mean).abs() <= spread, "{node} owns {slots} of {mean}");
            }
        }

        #[test]
        fn a_node_that_leaves_moves_its_own_slots_only(nodes in nodes(2, 16), at in any::<prop::sample::Index>()) {
            let leaving = nodes[at.index(nodes.len())];
            let rest: Vec<NodeId> = nodes.iter().copied().filter(|node| *node != leaving).collect();
            for (before, after) in place(&nodes).into_iter().zip(place(&rest)) {
                prop_assert!(before == leaving || before == after);
            }
        }

        #[test]
        fn a_node_that_joins_moves_slots_to_itself_only(nodes in nodes(1, 16), joining in any::<u64>()) {
            let joining = NodeId(joining);
            prop_assume!(!nodes.contains(&joining));
            let more: Vec<NodeId> = nodes.iter().copied().chain([joining]).collect();
            for (before, after) in place(&nodes).into_iter().zip(place(&more)) {
                prop_assert!(after == joining || before == after);
            }
        }

        #[test]
        fn the_order_of_nodes_does_not_matter(nodes in nodes(1, 16)) {
            let turned: Vec<NodeId> = nodes.iter().rev().copied().collect();
            prop_assert_eq!(place(&nodes), place(&turned));
            let owners: BTreeSet<NodeId> = place(&nodes).into_iter().collect();
            prop_assert!(owners.iter().all(|owner| nodes.contains(owner)));
        }
    }
}
