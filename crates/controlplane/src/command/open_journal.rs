//! `OpenJournal`: a life of a data node begins its audit log, with a key that nobody can exchange later.

use aegis_audit::control::What;
use aegis_audit::keys::{KeyKind, VerifyingKey};
use aegis_audit::origin::Origin;
use aegis_model::caps;
use aegis_proto::control::{DataNode, Journal, OpenJournal, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use crate::state::key::EVERYWHERE;
use crate::state::writer::Writer;
use crate::state::{control_tree, data_nodes, journals};

/// The row, and whether it is there already.
pub(crate) struct Checked {
    origin: Origin,
    row: Journal,
    new: bool,
}

impl Kind for OpenJournal {
    const NAME: &'static str = "OpenJournal";
    /// The control node has seen the data node's certificate.
    const WHO: Who = Who::control_node();
    /// It has an entry of its own.
    const LOGGED: bool = false;
    type Checked = Checked;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        String::new()
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        let node = living(state, self.node, self.incarnation)?;
        let key: VerifyingKey = self.verifier.parse().map_err(|error| Refused::invalid("verifier", error))?;
        let origin: Origin =
            key.name().as_str().parse().map_err(|error| Refused::invalid("verifier", error))?;
        let mine = origin.cluster().as_str() == asked.cluster.id
            && origin.node() == node.name
            && origin.incarnation() == node.incarnation;
        if !mine || key.kind() != KeyKind::Note {
            let form = format!("a key of `{}/{}/{}`", asked.cluster.id, node.name, node.incarnation);
            return Err(Refused::invalid("verifier", form).into());
        }
        if let Some(row) = journals::journal(state, &origin.to_string())? {
            return match row.verifier == self.verifier {
                true => Ok(Checked { origin, row, new: false }),
                false => Err(Refused::exists("journal", origin).into()),
            };
        }
        checks::room("journals", asked.counters.journals, caps::AUDIT_LOGS_MAX)?;
        let row = Journal {
            origin: origin.to_string(),
            node: node.id,
            node_name: node.name,
            incarnation: node.incarnation,
            tenant: node.tenant,
            verifier: self.verifier.clone(),
            history: asked.cluster.history,
            born_ms: asked.now_ms(),
            ..Default::default()
        };
        Ok(Checked { origin, row, new: true })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let Checked { origin, row, new } = checked;
        if new {
            write.counters_mut().journals += 1;
            control_tree::append(write, What::Birth(journals::birth(&row)))?;
            journals::put(write, &origin, &row)?;
        }
        Ok(done::Result::Journal(row))
    }
}

/// The data node, if this is its newest life.
fn living(state: &impl StateRead, id: u64, incarnation: u64) -> Result<DataNode, Failure> {
    match data_nodes::data_node(state, id)? {
        None => Err(Refused::unknown(Code::UnknownDataNode, "data node", id).into()),
        Some(row) if row.retired_ms > 0 => {
            Err(Refused::new(Code::NodeRetired, format!("data node {id} was retired for good")).into())
        }
        Some(row) if row.incarnation != incarnation => {
            Err(Refused::stale("incarnation", row.incarnation).into())
        }
        Some(row) => Ok(row),
    }
}

#[cfg(test)]
mod tests {
    use aegis_audit::control::Entry;
    use aegis_proto::control::RetireDataNode;

    use super::*;
    use crate::testing::World;

    #[test]
    fn a_life_begins_one_log_with_one_key() {
        let world = World::new();
        let node = world.data_node(7);
        let command = world.open_journal(&node, "a key");
        let before = control_tree::checkpoint(&world.view(), &World::cluster_id(), 1).expect("memory").size;
        for _ in 0..2 {
            let answer = world.done(command.clone(), &World::node());
            let Some(done::Result::Journal(row)) = answer.done.result else { panic!("no journal") };
            assert_eq!(row.origin, format!("test-cluster/data-7/{}", node.incarnation));
        }
        let view = world.view();
        let entry = control_tree::entry(&view, 1, before).expect("memory").expect("one entry");
        let What::Birth(birth) = Entry::read(&entry.text).expect("an entry").what else {
            panic!("{entry:?}")
        };
        assert_eq!(birth.key, command.verifier);
        assert!(control_tree::entry(&view, 1, before + 1).expect("memory").is_none(), "one entry only");
        let other = world.open_journal(&node, "another key");
        assert_eq!(world.refused(other, &World::node()).code, Code::AlreadyExists);
    }

    #[test]
    fn only_the_newest_life_of_a_living_node_begins_one_and_only_its_own() {
        let world = World::new();
        let (old, other) = (world.data_node(7), world.data_node(8));
        let new = world.data_node(7);
        let code = |command| world.refused(command, &World::node()).code;
        assert_eq!(code(world.open_journal(&old, "k")), Code::PreconditionFailed);
        let of_other = OpenJournal {
            verifier: world.open_journal(&other, "k").verifier,
            ..world.open_journal(&new, "k")
        };
        assert_eq!(code(of_other), Code::Invalid);
        let no_key = OpenJournal { verifier: "no key".to_owned(), ..world.open_journal(&new, "k") };
        assert_eq!(code(no_key), Code::Invalid);
        assert_eq!(code(OpenJournal { node: 9, ..world.open_journal(&new, "k") }), Code::UnknownDataNode);
        world.done(RetireDataNode { id: 7 }, &World::root());
        assert_eq!(code(world.open_journal(&new, "k")), Code::NodeRetired);
        world.done(world.open_journal(&other, "k"), &World::node());
    }
}
