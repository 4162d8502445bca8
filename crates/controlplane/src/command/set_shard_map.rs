//! `SetShardMap`: which data nodes own slots from now on.

use aegis_model::caps;
use aegis_proto::control::{SetShardMap, ShardMap, ShardNode, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use crate::state::key::EVERYWHERE;
use crate::state::writer::Writer;
use crate::state::{data_nodes, shards};

/// The map as it is to be, and whether it is another one.
pub(crate) struct Checked {
    map: ShardMap,
    changed: bool,
}

impl Kind for SetShardMap {
    const NAME: &'static str = "SetShardMap";
    /// Who leads sees who lives.
    const WHO: Who = Who::control_node();
    /// Follows from data nodes that come and go, and would drive what people did out of the control log.
    const LOGGED: bool = false;
    type Checked = Checked;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        format!("{} data nodes", self.nodes.len())
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        let before = shards::map(state)?;
        checks::expected("shard map's revision", Some(self.replaces), before.revision)?;
        check_form(&self.nodes)?;
        let nodes: Vec<ShardNode> =
            self.nodes.iter().map(|id| shard_node(state, *id)).collect::<Result<_, _>>()?;
        let changed = nodes != before.nodes;
        let map = match changed {
            true => ShardMap { revision: before.revision + 1, nodes, changed_ms: asked.now_ms() },
            false => before,
        };
        Ok(Checked { map, changed })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        if checked.changed {
            shards::put(write, &checked.map)?;
        }
        Ok(done::Result::ShardMap(checked.map))
    }
}

fn check_form(ids: &[u64]) -> Result<(), Refused> {
    if ids.len() > caps::SHARD_NODES_MAX {
        return Err(Refused::too_many("data nodes that own slots", caps::SHARD_NODES_MAX as u64));
    }
    match ids.is_sorted_by(|before, after| before < after) {
        true => Ok(()),
        false => Err(Refused::invalid("nodes", "rising ids")),
    }
}

/// A data node that may own slots: its row says how it is reached.
fn shard_node(state: &impl StateRead, id: u64) -> Result<ShardNode, Failure> {
    let Some(node) = data_nodes::data_node(state, id)? else {
        return Err(Refused::unknown(Code::UnknownDataNode, "data node", id).into());
    };
    if node.retired_ms > 0 {
        let message = format!("data node {id} was retired for good");
        return Err(Refused::new(Code::NodeRetired, message).with("id", id).into());
    }
    if !node.tenant.is_empty() {
        return Err(Refused::invalid("nodes", "data nodes that serve every tenant").into());
    }
    Ok(ShardNode { id, name: node.name, address: node.address })
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::{RegisterDataNode, RetireDataNode};

    use super::*;
    use crate::testing::World;

    fn map(world: &World) -> ShardMap {
        shards::map(&world.view()).expect("memory")
    }

    #[test]
    fn a_map_says_how_its_nodes_are_reached_and_an_equal_one_changes_nothing() {
        let world = World::new();
        let register = |address: &str| RegisterDataNode {
            id: 7,
            name: "data-7".to_owned(),
            address: address.to_owned(),
            ..Default::default()
        };
        world.done(register("https://data-7:7081"), &World::node());
        world.data_node(8);
        let set = |replaces| SetShardMap { nodes: vec![7, 8], replaces };
        world.done(set(0), &World::node());
        let first = map(&world);
        assert_eq!((first.revision, first.nodes.len()), (1, 2));
        assert_eq!(first.nodes[0].address, "https://data-7:7081");
        world.pass_seconds(5);
        world.done(set(1), &World::node());
        assert_eq!(map(&world), first, "nothing changed");
        world.done(register("https://elsewhere:7081"), &World::node());
        world.done(set(1), &World::node());
        assert_eq!(
            (map(&world).revision, map(&world).nodes[0].address.as_str()),
            (2, "https://elsewhere:7081")
        );
    }

    #[test]
    fn a_leader_that_was_replaced_does_not_undo_what_its_successor_set() {
        let world = World::new();
        world.data_node(7);
        world.data_node(8);
        world.done(SetShardMap { nodes: vec![7, 8], replaces: 0 }, &World::node());
        let late = world.refused(SetShardMap { nodes: vec![7], replaces: 0 }, &World::node());
        assert_eq!((late.code, late.detail("current")), (Code::PreconditionFailed, Some("1")));
    }

    #[test]
    fn only_nodes_that_serve_everybody_own_slots() {
        let world = World::new();
        let sidecar = RegisterDataNode {
            id: 9,
            name: "side".to_owned(),
            tenant: "acme".to_owned(),
            ..Default::default()
        };
        world.done(sidecar, &World::node());
        world.data_node(7);
        world.done(RetireDataNode { id: 7 }, &World::root());
        world.data_node(8);
        let refused =
            |nodes: Vec<u64>| world.refused(SetShardMap { nodes, replaces: 0 }, &World::node()).code;
        assert_eq!(refused(vec![9]), Code::Invalid);
        assert_eq!(refused(vec![7]), Code::NodeRetired);
        assert_eq!(refused(vec![10]), Code::UnknownDataNode);
        assert_eq!(refused(vec![8, 8]), Code::Invalid);
        assert_eq!(refused((1..=caps::SHARD_NODES_MAX as u64 + 1).collect()), Code::TooMany);
        assert_eq!(map(&world), ShardMap::default());
    }
}
