//! `SetAgent`: changes what tokens an agent may get by itself. Tokens that it has stay as they are.

use aegis_proto::control::{Agent, Role, SetAgent, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::kind::{Asked, Failure, Kind};
use super::set_agent_keys::known_agent;
use super::who::Who;
use super::{agent_bounds, checks};
use crate::state::agents;
use crate::state::writer::Writer;

impl Kind for SetAgent {
    const NAME: &'static str = "SetAgent";
    const WHO: Who = Who::roles(&[Role::Operator, Role::Admin]);
    type Checked = Agent;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        let mut summary = format!("agent `{}`", self.name);
        if let Some(bounds) = &self.bounds {
            summary.push_str(&format!(
                ", scope `{}`, {} seconds, {} claims, SPIFFE id `{}`, issuer `{}` for `{}`",
                bounds.scope,
                bounds.life_seconds_max,
                bounds.claims.len(),
                bounds.spiffe_id,
                bounds.issuer,
                bounds.issuer_subject
            ));
        }
        if let Some(disabled) = self.disabled {
            summary.push_str(&format!(", disabled {disabled}"));
        }
        summary
    }

    fn check(&self, state: &impl StateRead, _asked: &Asked<'_>) -> Result<Agent, Failure> {
        let agent = known_agent(state, &self.tenant, &self.name)?;
        checks::expected("revision", self.only_if_revision, agent.revision)?;
        let revision = agent.revision + 1;
        let disabled = self.disabled.unwrap_or(agent.disabled);
        let agent = match &self.bounds {
            Some(bounds) => agent_bounds::within(agent, bounds)?,
            None => agent,
        };
        Ok(Agent { disabled, revision, ..agent })
    }

    fn apply(agent: Agent, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        agents::put(write, &agent)?;
        Ok(done::Result::Agent(agent))
    }
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::{AgentBounds, FixedClaim};

    use super::*;
    use crate::command::Code;
    use crate::testing::World;

    #[test]
    fn bounds_are_replaced_as_a_whole_and_checked() {
        let world = World::new();
        let acme = world.tenant("acme");
        world.agent(&acme, "payer");
        let claims = vec![FixedClaim { name: "purpose".to_owned(), value: "care".to_owned() }];
        let spiffe_id = "spiffe://acme.example/payer".to_owned();
        let bounds = AgentBounds {
            scope: "stripe:pay".to_owned(),
            life_seconds_max: 60,
            claims,
            spiffe_id,
            ..AgentBounds::default()
        };
        let set = |bounds: Option<AgentBounds>, only_if_revision| SetAgent {
            tenant: "acme".to_owned(),
            name: "payer".to_owned(),
            bounds,
            disabled: None,
            only_if_revision,
        };
        world.done(set(Some(bounds.clone()), Some(1)), &World::root());
        let agent = known_agent(&world.view(), "acme", "payer").expect("an agent");
        assert_eq!((agent.scope.as_str(), agent.life_seconds_max), ("stripe:pay", 60));
        assert_eq!((agent.claims.clone(), agent.revision), (bounds.claims.clone(), 2));
        let stale = world.refused(set(None, Some(1)), &World::root());
        assert_eq!(stale.code, Code::PreconditionFailed);
        world.done(SetAgent { disabled: Some(true), ..set(None, None) }, &World::root());
        let barred = known_agent(&world.view(), "acme", "payer").expect("an agent");
        assert!(barred.disabled && barred.scope == agent.scope, "what is not said stays");
        for bad in [
            AgentBounds { life_seconds_max: 901, ..bounds.clone() },
            AgentBounds { scope: "a\nb".to_owned(), ..bounds.clone() },
            AgentBounds { spiffe_id: "spiffe://acme".to_owned(), ..bounds },
        ] {
            assert_eq!(world.refused(set(Some(bad), None), &World::root()).code, Code::Invalid);
        }
    }
}
