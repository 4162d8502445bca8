//! `RegisterAgent`: makes an agent of a tenant, with the keys that prove it.

use aegis_model::caps;
use aegis_model::ids::{AgentId, TenantId};
use aegis_proto::control::{Agent, AgentKey, RegisterAgent, Role, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::Who;
use super::{agent_bounds, checks};
use crate::state::writer::Writer;
use crate::state::{agents, tenants};

impl Kind for RegisterAgent {
    const NAME: &'static str = "RegisterAgent";
    const WHO: Who = Who::roles(&[Role::Operator, Role::Admin]);
    type Checked = (TenantId, Agent);

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        format!("agent `{}` with {} keys", self.name, self.public_keys.len())
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<(TenantId, Agent), Failure> {
        let (tenant, _) = checks::living_tenant(state, &self.tenant)?;
        let name: AgentId = checks::name("name", &self.name)?;
        let keys = read_keys(&self.public_keys)?;
        let description = checks::words("description", &self.description)?;
        if agents::agent(state, &tenant, &name)?.is_some() {
            return Err(Refused::exists("agent", name).into());
        }
        checks::room("agents", tenants::counters(state, &tenant)?.agents, caps::AGENTS_MAX)?;
        let agent = Agent {
            tenant: tenant.to_string(),
            name: name.into(),
            description,
            keys,
            disabled: false,
            created_ms: asked.now_ms(),
            created_by: asked.by(),
            revision: 1,
            ..Agent::default()
        };
        let agent = match &self.bounds {
            Some(bounds) => agent_bounds::within(agent, bounds)?,
            None => agent,
        };
        Ok((tenant, agent))
    }

    fn apply(
        (tenant, agent): (TenantId, Agent),
        write: &mut Writer<'_, '_>,
    ) -> Result<done::Result, StoreError> {
        let mut counters = tenants::counters(write, &tenant)?;
        counters.agents += 1;
        tenants::put_counters(write, &tenant, &counters)?;
        agents::put(write, &agent)?;
        Ok(done::Result::Agent(agent))
    }
}

/// The keys of an agent, each once, in the order in which they were given.
pub(super) fn read_keys(public_keys: &[Vec<u8>]) -> Result<Vec<AgentKey>, Refused> {
    if public_keys.len() > caps::AGENT_KEYS_MAX {
        return Err(Refused::invalid("public_keys", format!("at most {}", caps::AGENT_KEYS_MAX)));
    }
    let mut keys: Vec<AgentKey> = Vec::with_capacity(public_keys.len());
    for bytes in public_keys {
        let id = checks::public_key("public_keys", bytes)?.id().to_string();
        if keys.iter().any(|key| key.id == id) {
            return Err(Refused::invalid("public_keys", "each of them once"));
        }
        keys.push(AgentKey { id, public_key: bytes.clone(), ends_ms: 0 });
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Code;
    use crate::testing::World;

    fn key(seed: &str) -> Vec<u8> {
        World::signing_key(seed).verifying_key().as_bytes().to_vec()
    }

    fn command() -> RegisterAgent {
        RegisterAgent { tenant: "acme".to_owned(), name: "crawler".to_owned(), ..Default::default() }
    }

    #[test]
    fn an_agent_has_its_keys_by_thumbprint_and_its_name_once_per_tenant() {
        let world = World::new();
        let acme = world.tenant("acme");
        world.tenant("globex");
        world.done(RegisterAgent { public_keys: vec![key("a"), key("b")], ..command() }, &World::root());
        let agent = agents::agent(&world.view(), &acme, &"crawler".parse().expect("a name"));
        let agent = agent.expect("memory").expect("an agent");
        let ids: Vec<_> = agent.keys.iter().map(|key| key.id.clone()).collect();
        assert_eq!(ids, ["a", "b"].map(|seed| World::signing_key(seed).id().to_string()));
        assert_eq!(world.refused(command(), &World::root()).code, Code::AlreadyExists);
        world.done(RegisterAgent { tenant: "globex".to_owned(), ..command() }, &World::root());
        assert_eq!(tenants::counters(&world.view(), &acme).expect("memory").agents, 1);
    }

    #[test]
    fn forms_are_checked() {
        let world = World::new();
        world.tenant("acme");
        let too_many = (0..=caps::AGENT_KEYS_MAX).map(|it| key(&it.to_string())).collect();
        let bad = [
            RegisterAgent { name: String::new(), ..command() },
            RegisterAgent { description: "d".repeat(caps::WORDS_BYTES_MAX + 1), ..command() },
            RegisterAgent { public_keys: vec![vec![1; 31]], ..command() },
            RegisterAgent { public_keys: vec![vec![0; 32]], ..command() },
            RegisterAgent { public_keys: vec![key("a"), key("a")], ..command() },
            RegisterAgent { public_keys: too_many, ..command() },
        ];
        for command in bad {
            assert_eq!(world.refused(command, &World::root()).code, Code::Invalid);
        }
    }
}
