//! Which data node owns which slot, as this node was told: a table, looked up once per answer.

use std::fmt;
use std::sync::Arc;

use aegis_limits::holder::NodeId;
use aegis_limits::placement;
use aegis_model::ids::{AgentId, TenantId};
use aegis_model::slot::Slot;

/// The data nodes that own slots, and the owner of each slot. Any node judges any call; owners only need fewer leases.
#[derive(Clone, PartialEq, Eq)]
pub struct ShardMap {
    revision: u64,
    /// This node.
    me: NodeId,
    /// By id.
    nodes: Vec<ShardNode>,
    /// The owner of each slot, as its place in `nodes`; empty without nodes.
    owners: Vec<u16>,
}

/// A data node that owns slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardNode {
    /// Its id.
    pub id: NodeId,
    /// Its name: it stands in its decision ids.
    pub name: String,
    /// Where agents reach it; nothing if it has not said.
    pub address: Option<Arc<str>>,
}

impl ShardMap {
    /// The map of `revision` with these nodes, by id, for the node `me`. Finds the owners of all slots, so that it takes a
    /// while with many nodes: not for the hot path.
    pub fn new(revision: u64, me: NodeId, nodes: Vec<ShardNode>) -> Self {
        let ids: Vec<NodeId> = nodes.iter().map(|node| node.id).collect();
        let place_of =
            |owner: &NodeId| ids.iter().position(|id| id == owner).and_then(|at| at.try_into().ok());
        let owners = placement::place(&ids).iter().filter_map(place_of).collect();
        Self { revision, me, nodes, owners }
    }

    /// Grows with each change; 0: nobody has told this node of any map.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The nodes that own slots.
    pub fn nodes(&self) -> &[ShardNode] {
        &self.nodes
    }

    /// The node of this name, if it owns slots.
    pub fn named(&self, name: &str) -> Option<&ShardNode> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The owner of `slot`.
    pub fn owner(&self, slot: Slot) -> Option<&ShardNode> {
        self.nodes.get(usize::from(*self.owners.get(usize::from(slot.number()))?))
    }

    /// Whether this node owns slots.
    pub fn holds_me(&self) -> bool {
        self.nodes.iter().any(|node| node.id == self.me)
    }

    /// Where another node is reached that owns the slot of `agent`; nothing if this one does, or nobody knows.
    pub(crate) fn elsewhere(&self, tenant: &TenantId, agent: &AgentId) -> Option<&Arc<str>> {
        // Alone, or told of nobody: there is nothing to find out.
        if self.nodes.len() < 2 && self.nodes.iter().all(|node| node.id == self.me) {
            return None;
        }
        let owner = self.owner(Slot::of(tenant, agent))?;
        owner.address.as_ref().filter(|_| owner.id != self.me)
    }
}

/// No map was told.
impl Default for ShardMap {
    fn default() -> Self {
        // No node has the id 0.
        Self::new(0, NodeId(0), Vec::new())
    }
}

impl fmt::Debug for ShardMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardMap")
            .field("revision", &self.revision)
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u64) -> ShardNode {
        let address = Some(format!("http://data-{id}:7081").into());
        ShardNode { id: NodeId(id), name: format!("data-{id}"), address }
    }

    /// Slots of the first agents, as `owner` of `placement` gives them: its definition is tested there.
    #[test]
    fn an_answer_names_the_owner_where_that_is_another_node() {
        let tenant: TenantId = "acme".parse().unwrap();
        let ids = [NodeId(1), NodeId(2), NodeId(3)];
        for me in [1, 2, 3, 9] {
            let map = ShardMap::new(4, NodeId(me), ids.iter().map(|id| node(id.0)).collect());
            let mut named = 0;
            for number in 0..200 {
                let agent: AgentId = format!("agent-{number}").parse().unwrap();
                let owner = placement::owner(Slot::of(&tenant, &agent), &ids).unwrap();
                let expected = (owner != NodeId(me)).then(|| format!("http://data-{}:7081", owner.0));
                assert_eq!(map.elsewhere(&tenant, &agent).map(|it| it.to_string()), expected);
                named += u32::from(expected.is_some());
            }
            assert!(named > 100, "most slots are another's");
        }
    }

    #[test]
    fn nobody_is_named_without_an_address_or_without_others() {
        let (tenant, agent) = ("acme".parse().unwrap(), "a".parse().unwrap());
        assert_eq!(ShardMap::default().elsewhere(&tenant, &agent), None);
        let alone = ShardMap::new(1, NodeId(1), vec![node(1)]);
        assert_eq!(alone.elsewhere(&tenant, &agent), None);
        assert!(alone.holds_me() && alone.owner(Slot::of(&tenant, &agent)).is_some());
        let silent = ShardNode { address: None, ..node(2) };
        let other = ShardMap::new(1, NodeId(1), vec![silent]);
        assert_eq!(other.elsewhere(&tenant, &agent), None);
        assert!(!other.holds_me());
    }

    #[test]
    fn a_node_is_found_by_the_name_in_its_decision_ids() {
        let map = ShardMap::new(1, NodeId(1), vec![node(1), node(2)]);
        assert_eq!(map.named("data-2").map(|node| node.id), Some(NodeId(2)));
        assert_eq!(map.named("data-3"), None);
    }
}
