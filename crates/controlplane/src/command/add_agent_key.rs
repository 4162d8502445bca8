//! `AddAgentKey`: one more key that proves an agent.

use aegis_model::caps;
use aegis_proto::control::{AddAgentKey, Agent, AgentKey, Role, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::set_agent_keys::known_agent;
use super::who::Who;
use crate::state::agents;
use crate::state::writer::Writer;

impl Kind for AddAgentKey {
    const NAME: &'static str = "AddAgentKey";
    const WHO: Who = Who::roles(&[Role::Operator, Role::Admin]);
    type Checked = Agent;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        let id = checks::public_key("public_key", &self.public_key).map(|key| key.id().to_string());
        format!("agent `{}`, key `{}`", self.name, id.unwrap_or_default())
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Agent, Failure> {
        let mut agent = known_agent(state, &self.tenant, &self.name)?;
        checks::expected("revision", self.only_if_revision, agent.revision)?;
        let id = checks::public_key("public_key", &self.public_key)?.id().to_string();
        // Those whose time is over make room.
        agent.keys.retain(|key| agents::proves(key, asked.now_ms()));
        if agent.keys.iter().any(|key| key.id == id) {
            return Err(Refused::exists("key", id).into());
        }
        checks::room("keys of the agent", agent.keys.len() as u64, caps::AGENT_KEYS_MAX as u64)?;
        agent.keys.push(AgentKey { id, public_key: self.public_key.clone(), ends_ms: 0 });
        agent.revision += 1;
        Ok(agent)
    }

    fn apply(agent: Agent, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        agents::put(write, &agent)?;
        Ok(done::Result::Agent(agent))
    }
}
