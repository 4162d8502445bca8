//! `RetireAgentKey`: a key proves an agent no longer, at once or after a while in which its successor takes its place. Tokens that
//! were given out on its strength stay good; `Revoke` ends those.

use aegis_model::caps;
use aegis_proto::control::{Agent, RetireAgentKey, Role, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::set_agent_keys::known_agent;
use super::who::Who;
use crate::state::agents;
use crate::state::writer::Writer;

impl Kind for RetireAgentKey {
    const NAME: &'static str = "RetireAgentKey";
    const WHO: Who = Who::roles(&[Role::Operator, Role::Admin]);
    type Checked = Agent;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        format!("agent `{}`, key `{}`, in {} seconds", self.name, self.id, self.overlap_seconds)
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Agent, Failure> {
        let mut agent = known_agent(state, &self.tenant, &self.name)?;
        if self.overlap_seconds > caps::AGENT_KEY_OVERLAP_SECONDS_MAX {
            let form = format!("at most {}", caps::AGENT_KEY_OVERLAP_SECONDS_MAX);
            return Err(Refused::invalid("overlap_seconds", form).into());
        }
        let known = agent.keys.iter_mut().find(|key| key.id == self.id);
        let key = known.ok_or_else(|| Refused::unknown(Code::UnknownKey, "key of the agent", &self.id))?;
        let ends_ms = asked.now_ms().saturating_add(u64::from(self.overlap_seconds) * 1_000);
        // A second retirement never makes a key live longer.
        key.ends_ms = if key.ends_ms > 0 { key.ends_ms.min(ends_ms) } else { ends_ms };
        agent.keys.retain(|key| agents::proves(key, asked.now_ms()));
        agent.revision += 1;
        Ok(agent)
    }

    fn apply(agent: Agent, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        agents::put(write, &agent)?;
        Ok(done::Result::Agent(agent))
    }
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::AddAgentKey;

    use super::*;
    use crate::testing::World;

    fn add(seed: &str) -> AddAgentKey {
        AddAgentKey {
            tenant: "acme".to_owned(),
            name: "payer".to_owned(),
            public_key: World::signing_key(seed).verifying_key().as_bytes().to_vec(),
            only_if_revision: None,
        }
    }

    fn id(seed: &str) -> String {
        World::signing_key(seed).id().to_string()
    }

    fn retire(seed: &str, overlap_seconds: u32) -> RetireAgentKey {
        let (tenant, name) = ("acme".to_owned(), "payer".to_owned());
        RetireAgentKey { tenant, name, id: id(seed), overlap_seconds }
    }

    fn keys(world: &World) -> Vec<String> {
        let agent = known_agent(&world.view(), "acme", "payer").expect("an agent");
        let now_ms = world.now_ms();
        agent.keys.into_iter().filter(|key| agents::proves(key, now_ms)).map(|key| key.id).collect()
    }

    #[test]
    fn a_key_goes_on_beside_its_successor_for_a_while() {
        let world = World::new();
        let acme = world.tenant("acme");
        world.agent(&acme, "payer");
        let before = keys(&world);
        world.done(add("next"), &World::root());
        assert_eq!(world.refused(add("next"), &World::root()).code, Code::AlreadyExists);
        world.done(add("old"), &World::root());
        world.done(retire("old", 60), &World::root());
        let with = |more: &[&str]| {
            let ids = more.iter().map(|seed| id(seed));
            before.iter().cloned().chain(ids).collect::<Vec<_>>()
        };
        assert_eq!(keys(&world), with(&["next", "old"]));
        world.done(retire("old", 600), &World::root());
        world.pass_seconds(60);
        assert_eq!(keys(&world), with(&["next"]), "a second retirement gives no more time");
        world.done(retire("next", 0), &World::root());
        assert_eq!(keys(&world), before);
        assert_eq!(world.refused(retire("next", 0), &World::root()).code, Code::UnknownKey);
        let long = retire("next", caps::AGENT_KEY_OVERLAP_SECONDS_MAX + 1);
        assert_eq!(world.refused(long, &World::root()).code, Code::Invalid);
        for number in 0..(caps::AGENT_KEYS_MAX - before.len()) {
            world.done(add(&number.to_string()), &World::root());
        }
        assert_eq!(world.refused(add("one more"), &World::root()).code, Code::TooMany);
    }
}
