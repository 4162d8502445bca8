//! `SetAgentKeys`: replaces the keys of an agent.

use aegis_model::ids::AgentId;
use aegis_proto::control::{Agent, Role, SetAgentKeys, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use super::{checks, register_agent};
use crate::state::agents;
use crate::state::writer::Writer;

impl Kind for SetAgentKeys {
    const NAME: &'static str = "SetAgentKeys";
    const WHO: Who = Who::roles(&[Role::Operator, Role::Admin]);
    type Checked = Agent;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        format!("agent `{}`, {} keys", self.name, self.public_keys.len())
    }

    fn check(&self, state: &impl StateRead, _asked: &Asked<'_>) -> Result<Agent, Failure> {
        let agent = known_agent(state, &self.tenant, &self.name)?;
        let keys = register_agent::read_keys(&self.public_keys)?;
        checks::expected("revision", self.only_if_revision, agent.revision)?;
        Ok(Agent { keys, revision: agent.revision + 1, ..agent })
    }

    fn apply(agent: Agent, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        agents::put(write, &agent)?;
        Ok(done::Result::Agent(agent))
    }
}

/// An agent of a living tenant.
pub(super) fn known_agent(state: &impl StateRead, tenant: &str, name: &str) -> Result<Agent, Failure> {
    let (tenant, _) = checks::living_tenant(state, tenant)?;
    let name: AgentId = checks::name("name", name)?;
    let agent = agents::agent(state, &tenant, &name)?;
    agent.ok_or_else(|| Refused::unknown(Code::UnknownAgent, "agent", name).into())
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::DisableAgent;

    use super::*;
    use crate::testing::World;

    #[test]
    fn keys_are_replaced_as_a_whole_if_nobody_else_was_faster() {
        let world = World::new();
        let acme = world.tenant("acme");
        world.agent(&acme, "crawler");
        let command = |seed: &str, only_if_revision| SetAgentKeys {
            tenant: "acme".to_owned(),
            name: "crawler".to_owned(),
            public_keys: vec![World::signing_key(seed).verifying_key().as_bytes().to_vec()],
            only_if_revision,
        };
        world.done(command("new", Some(1)), &World::root());
        let refused = world.refused(command("newer", Some(1)), &World::root());
        assert_eq!((refused.code, refused.detail("current")), (Code::PreconditionFailed, Some("2")));
        let unknown = SetAgentKeys { name: "other".to_owned(), ..command("new", None) };
        assert_eq!(world.refused(unknown, &World::root()).code, Code::UnknownAgent);
        let bad = SetAgentKeys { public_keys: vec![vec![]], ..command("new", None) };
        assert_eq!(world.refused(bad, &World::root()).code, Code::Invalid);
        let agent = known_agent(&world.view(), "acme", "crawler").expect("an agent");
        assert_eq!(agent.keys.len(), 1);
        assert_eq!(agent.keys[0].id, World::signing_key("new").id().to_string());
    }

    #[test]
    fn an_agent_is_barred_and_permitted_again() {
        let world = World::new();
        let acme = world.tenant("acme");
        world.agent(&acme, "crawler");
        let disable =
            |name: &str, disabled| DisableAgent { tenant: "acme".into(), name: name.into(), disabled };
        for disabled in [true, false] {
            world.done(disable("crawler", disabled), &World::root());
            let agent = known_agent(&world.view(), "acme", "crawler").expect("an agent");
            assert_eq!(agent.disabled, disabled);
        }
        assert_eq!(world.refused(disable("other", true), &World::root()).code, Code::UnknownAgent);
    }
}
