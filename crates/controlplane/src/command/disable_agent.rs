//! `DisableAgent`: bars an agent from tokens, or permits it again. Tokens that it has go on until they end or are
//! revoked.

use aegis_proto::control::{Agent, DisableAgent, Role, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::kind::{Asked, Failure, Kind};
use super::set_agent_keys::known_agent;
use super::who::Who;
use crate::state::agents;
use crate::state::writer::Writer;

impl Kind for DisableAgent {
    const NAME: &'static str = "DisableAgent";
    const WHO: Who = Who::roles(&[Role::Operator, Role::Admin]);
    type Checked = Agent;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        format!("agent `{}`, disabled {}", self.name, self.disabled)
    }

    fn check(&self, state: &impl StateRead, _asked: &Asked<'_>) -> Result<Agent, Failure> {
        let agent = known_agent(state, &self.tenant, &self.name)?;
        Ok(Agent { disabled: self.disabled, revision: agent.revision + 1, ..agent })
    }

    fn apply(agent: Agent, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        agents::put(write, &agent)?;
        Ok(done::Result::Agent(agent))
    }
}
