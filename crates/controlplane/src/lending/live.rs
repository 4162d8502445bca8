//! Who lives: data nodes that borrow here and are not leaving, and for a moment those whose streams have just gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aegis_limits::holder::NodeId;
use aegis_limits::placement;
use aegis_model::caps;
use aegis_model::clock::Monotonic;
use aegis_model::slot::Slot;
use aegis_proto::control::DataNode;

/// A data node that lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveNode {
    /// Its name.
    pub name: String,
    /// Where agents reach it.
    pub address: String,
    /// Its life.
    pub incarnation: u64,
    /// The only tenant that it serves; empty: all.
    pub tenant: String,
}

impl LiveNode {
    pub(super) fn of(row: &DataNode) -> Self {
        Self {
            name: row.name.clone(),
            address: row.address.clone(),
            incarnation: row.incarnation,
            tenant: row.tenant.clone(),
        }
    }
}

/// Who lives, as one lender knows it.
#[derive(Debug)]
pub(super) struct Living {
    began: Monotonic,
    /// How many lived when the lender before lent last: some may still be on their way here.
    before: u32,
    nodes: BTreeMap<u64, Seen>,
    owners: Vec<NodeId>,
}

#[derive(Debug)]
struct Seen {
    node: LiveNode,
    /// When its stream had gone; nothing: it is there.
    gone: Option<Monotonic>,
}

impl Living {
    /// Nobody is known yet.
    pub(super) fn new(began: Monotonic, before: u32) -> Self {
        Self { began, before, nodes: BTreeMap::new(), owners: Vec::new() }
    }

    pub(super) fn joined(&mut self, row: &DataNode) {
        self.nodes.insert(row.id, Seen { node: LiveNode::of(row), gone: None });
        self.place();
    }

    /// Its stream has gone: it may come back.
    pub(super) fn gone(&mut self, node: u64, now: Monotonic) {
        if let Some(seen) = self.nodes.get_mut(&node) {
            seen.gone.get_or_insert(now);
        }
    }

    /// It said that it leaves, or was replaced or retired.
    pub(super) fn left(&mut self, node: u64) {
        if self.nodes.remove(&node).is_some() {
            self.place();
        }
    }

    /// Forgets those whose streams have been gone for long.
    pub(super) fn pass(&mut self, now: Monotonic) {
        let before = self.nodes.len();
        self.nodes.retain(|_, seen| seen.gone.is_none_or(|gone| now.since(gone) < ABSENT));
        if self.nodes.len() < before {
            self.place();
        }
    }

    /// How many live. A new lender reckons with as many as the one before, until they have had time to find it.
    pub(super) fn count(&self, now: Monotonic) -> u32 {
        let known = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX).max(1);
        if self.is_settled(now) { known } else { known.max(self.before) }
    }

    /// Who owns a slot.
    pub(super) fn owner(&self, slot: Slot) -> Option<NodeId> {
        self.owners.get(usize::from(slot.number())).copied()
    }

    /// Those who live, once they have had time to find this lender.
    pub(super) fn shown(&self, now: Monotonic) -> Arc<BTreeMap<u64, LiveNode>> {
        if !self.is_settled(now) {
            return Arc::default();
        }
        Arc::new(self.nodes.iter().map(|(id, seen)| (*id, seen.node.clone())).collect())
    }

    fn is_settled(&self, now: Monotonic) -> bool {
        now.since(self.began) >= ABSENT
    }

    /// Sidecars serve their own tenant's calls wherever these belong, and own nothing.
    fn place(&mut self) {
        let owning = self.nodes.iter().filter(|(_, seen)| seen.node.tenant.is_empty());
        let nodes: Vec<NodeId> = owning.map(|(id, _)| NodeId(*id)).collect();
        self.owners = placement::place(&nodes);
    }
}

const ABSENT: Duration = Duration::from_secs(caps::LEND_ABSENT_SECONDS);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic(Duration::from_millis(ms))
    }

    fn row(id: u64) -> DataNode {
        DataNode { id, name: format!("data-{id}"), ..DataNode::default() }
    }

    fn shown(living: &Living, ms: u64) -> Vec<u64> {
        living.shown(at(ms)).keys().copied().collect()
    }

    #[test]
    fn a_node_lives_until_its_stream_has_been_gone_for_a_while_or_it_says_that_it_leaves() {
        let mut living = Living::new(at(0), 0);
        (1..=3).for_each(|id| living.joined(&row(id)));
        living.gone(1, at(10_000));
        living.gone(2, at(10_000));
        living.joined(&row(2));
        living.left(3);
        living.pass(at(12_999));
        assert_eq!(shown(&living, 12_999), [1, 2]);
        living.gone(1, at(12_999));
        living.pass(at(13_000));
        assert_eq!((shown(&living, 13_000), living.count(at(13_000))), (vec![2], 1));
    }

    #[test]
    fn a_new_lender_concludes_nothing_from_who_is_missing() {
        let mut living = Living::new(at(5_000), 3);
        living.joined(&row(1));
        assert_eq!((shown(&living, 7_999), living.count(at(7_999))), (vec![], 3));
        assert_eq!((shown(&living, 8_000), living.count(at(8_000))), (vec![1], 1));
    }

    #[test]
    fn every_slot_has_an_owner_and_a_sidecar_has_none() {
        let mut living = Living::new(at(0), 0);
        let slot = Slot::new(7).expect("a slot");
        assert_eq!(living.owner(slot), None);
        living.joined(&DataNode { tenant: "acme".to_owned(), ..row(1) });
        assert_eq!(living.owner(slot), None);
        living.joined(&row(2));
        assert_eq!(living.owner(slot), Some(NodeId(2)));
    }
}
