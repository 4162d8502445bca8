//! `RegisterDataNode`: a data node starts and gets an incarnation, which fences the one before.

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::control::{DataNode, RegisterDataNode, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use crate::state::data_nodes;
use crate::state::key::EVERYWHERE;
use crate::state::writer::Writer;

/// The row but for its incarnation, and whether it is a new one.
pub(crate) struct Checked {
    node: DataNode,
    new: bool,
}

impl Kind for RegisterDataNode {
    const NAME: &'static str = "RegisterDataNode";
    /// The control node has seen its certificate.
    const WHO: Who = Who::control_node();
    type Checked = Checked;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        format!("data node {} `{}` at `{}`", self.id, self.name, self.address)
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        if self.id == 0 {
            return Err(Refused::invalid("id", "a random number, not 0").into());
        }
        let name = checks::node_name("name", &self.name)?;
        let known = data_nodes::data_node(state, self.id)?;
        let registered_ms = match &known {
            Some(node) if node.retired_ms > 0 => return Err(retired(self.id).into()),
            Some(node) if node.name != name => return Err(named_otherwise(node).into()),
            Some(node) => node.registered_ms,
            None => {
                checks::room("data nodes", asked.counters.data_nodes, caps::DATA_NODES_MAX)?;
                asked.now_ms()
            }
        };
        let node = DataNode {
            id: self.id,
            name,
            address: checks::address("address", &self.address)?,
            region: region(&self.region)?,
            tenant: only_tenant(&self.tenant)?,
            incarnation: 0,
            software: checks::words("software", &self.software)?,
            registered_ms,
            started_ms: asked.now_ms(),
            retired_ms: 0,
        };
        Ok(Checked { node, new: known.is_none() })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let counters = write.counters_mut();
        counters.incarnations += 1;
        counters.data_nodes += u64::from(checked.new);
        let node = DataNode { incarnation: counters.incarnations, ..checked.node };
        data_nodes::put(write, &node)?;
        Ok(done::Result::DataNode(node))
    }
}

fn region(text: &str) -> Result<String, Refused> {
    if text.is_empty() { Ok(String::new()) } else { checks::node_name("region", text) }
}

fn only_tenant(text: &str) -> Result<String, Refused> {
    if text.is_empty() { Ok(String::new()) } else { checks::name("tenant", text).map(TenantId::into) }
}

fn retired(id: u64) -> Refused {
    let message = format!("data node {id} was retired for good: set it up anew, with an empty folder");
    Refused::new(Code::NodeRetired, message).with("id", id)
}

fn named_otherwise(node: &DataNode) -> Refused {
    let message =
        format!("data node {} is named `{}`: a copied folder must not be used by two", node.id, node.name);
    Refused::new(Code::NameDiffers, message).with("name", &node.name)
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::RetireDataNode;

    use super::*;
    use crate::state::meta;
    use crate::testing::World;

    #[test]
    fn each_start_has_an_incarnation_of_its_own() {
        let world = World::new();
        let first = world.data_node(7);
        let other = world.data_node(8);
        world.pass_seconds(9);
        let again = world.data_node(7);
        assert_eq!([first.incarnation, other.incarnation, again.incarnation], [1, 2, 3]);
        assert_eq!((again.registered_ms, again.started_ms), (first.registered_ms, world.now_ms()));
        assert_eq!(meta::counters(&world.view()).expect("memory").data_nodes, 2);
    }

    #[test]
    fn an_id_is_never_used_by_another_or_again() {
        let world = World::new();
        world.data_node(7);
        let command = |id, name: &str| RegisterDataNode { id, name: name.to_owned(), ..Default::default() };
        let refused = world.refused(command(7, "data-8"), &World::node());
        assert_eq!((refused.code, refused.detail("name")), (Code::NameDiffers, Some("data-7")));
        world.done(RetireDataNode { id: 7 }, &World::root());
        let retired_ms = world.now_ms();
        world.pass_seconds(1);
        assert_eq!(world.refused(command(7, "data-7"), &World::node()).code, Code::NodeRetired);
        world.done(RetireDataNode { id: 7 }, &World::root());
        let node = data_nodes::data_node(&world.view(), 7).expect("memory").expect("a node");
        assert_eq!(node.retired_ms, retired_ms, "the first time counts");
        let counters = meta::counters(&world.view()).expect("memory");
        assert_eq!((counters.data_nodes, counters.data_nodes_retired), (0, 1));
        assert_eq!(world.refused(RetireDataNode { id: 9 }, &World::root()).code, Code::UnknownDataNode);
    }

    #[test]
    fn forms_are_checked() {
        let world = World::new();
        let good = RegisterDataNode { id: 7, name: "data-7".to_owned(), ..Default::default() };
        let bad = [
            RegisterDataNode { id: 0, ..good.clone() },
            RegisterDataNode { name: "n".repeat(caps::NODE_NAME_BYTES_MAX + 1), ..good.clone() },
            RegisterDataNode { address: "a b".to_owned(), ..good.clone() },
            RegisterDataNode { region: "a b".to_owned(), ..good.clone() },
            RegisterDataNode { tenant: "a b".to_owned(), ..good.clone() },
            RegisterDataNode { software: "s".repeat(caps::WORDS_BYTES_MAX + 1), ..good },
        ];
        for command in bad {
            assert_eq!(world.refused(command, &World::node()).code, Code::Invalid);
        }
    }
}
