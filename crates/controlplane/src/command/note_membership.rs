//! `NoteMembership`: records who changes the membership, before Raft is asked to, or takes a backup; and judges their
//! right to it.

use aegis_proto::control::{Cluster, NoteMembership, Role, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::Who;
use crate::state::key::EVERYWHERE;
use crate::state::writer::Writer;

const CHANGES: [&str; 4] = ["join", "promote", "remove", "snapshot"];

impl Kind for NoteMembership {
    const NAME: &'static str = "NoteMembership";
    const WHO: Who = Who::roles(&[Role::Admin]);
    type Checked = Cluster;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        match self.id {
            0 => format!("{} control node `{}` at `{}`", self.change, self.name, self.address),
            id => format!("{} control node {id:016x}", self.change),
        }
    }

    fn check(&self, _state: &impl StateRead, asked: &Asked<'_>) -> Result<Cluster, Failure> {
        if !CHANGES.contains(&self.change.as_str()) {
            return Err(Refused::invalid("change", CHANGES.join(", ")).into());
        }
        if self.id == 0 {
            checks::node_name("name", &self.name)?;
            checks::address("address", &self.address)?;
        }
        Ok(asked.cluster.clone())
    }

    fn apply(cluster: Cluster, _write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        Ok(done::Result::Cluster(cluster))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Code;
    use crate::state::control_log;
    use crate::state::page::PageQuery;
    use crate::testing::World;

    #[test]
    fn it_leaves_a_record_and_nothing_else() {
        let world = World::new();
        let remove = NoteMembership { change: "remove".to_owned(), id: 17, ..Default::default() };
        world.done(remove.clone(), &World::root());
        let records = control_log::everything(&world.view(), &PageQuery::first()).unwrap();
        assert_eq!(records.rows[0].summary, "remove control node 0000000000000011");
        let viewer = world.with_role("vera", "*", Role::Viewer);
        assert_eq!(world.refused(remove.clone(), &viewer).code, Code::Forbidden);
        let other = NoteMembership { change: "explode".to_owned(), ..remove };
        assert_eq!(world.refused(other, &World::root()).code, Code::Invalid);
    }
}
