//! `IssueAgentToken`: records that a token of an agent is minted, and says what it has to say.
//!
//! Nothing is kept but records: a token of an agent counts by its signature, until it ends or is revoked. The answer
//! holds all that the token is made of, so that a repetition gives the same token once more.

use aegis_model::caps;
use aegis_model::ids::{AgentId, TenantId};
use aegis_proto::control::{AgentToken, IssueAgentToken, Role, TokenRecord, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use super::{checks, set_agent_keys};
use crate::state::tokens;
use crate::state::writer::Writer;

/// What the token has to say, and its record.
pub(crate) struct Checked {
    tenant: TenantId,
    token: AgentToken,
    record: TokenRecord,
}

impl Kind for IssueAgentToken {
    const NAME: &'static str = "IssueAgentToken";
    const WHO: Who = Who::roles(&[Role::Operator, Role::Admin]);
    type Checked = Checked;

    #[expect(clippy::misnamed_getters, reason = "the field `scope` is the token's, not the command's")]
    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        format!("token `{}` of agent `{}`, scope `{}`", self.token_id, self.agent, self.scope)
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        let (id, tenant) = checks::living_tenant(state, &self.tenant)?;
        let agent = set_agent_keys::known_agent(state, &self.tenant, &self.agent)?;
        let name: AgentId = checks::name("agent", &agent.name)?;
        if agent.disabled {
            let message = format!("the agent `{name}` is disabled, and gets no tokens");
            return Err(Refused::new(Code::AgentDisabled, message).with("agent", name).into());
        }
        let token_id = checks::token_id("token_id", &self.token_id)?;
        if self.scope.len() > caps::TOKEN_SCOPE_BYTES_MAX {
            let form = format!("at most {} bytes", caps::TOKEN_SCOPE_BYTES_MAX);
            return Err(Refused::invalid("scope", form).into());
        }
        let life = u64::from(self.life_seconds);
        if !(1..=caps::TOKEN_LIFE_SECONDS_MAX).contains(&life) {
            let form = format!("1 to {}", caps::TOKEN_LIFE_SECONDS_MAX);
            return Err(Refused::invalid("life_seconds", form).into());
        }
        let issued_seconds = asked.now_ms() / 1_000;
        let token = AgentToken {
            tenant: tenant.name,
            organization: tenant.organization,
            agent: name.into(),
            token_id,
            scope: self.scope.clone(),
            issued_seconds,
            expires_seconds: issued_seconds + life,
            ..AgentToken::default()
        };
        let proof = TokenRecord { by: "operator".to_owned(), proof: asked.by(), ..TokenRecord::default() };
        let record = tokens::record(&token, asked.now_ms(), proof);
        Ok(Checked { tenant: id, token, record })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        tokens::append(write, &checked.tenant, checked.record)?;
        Ok(done::Result::AgentToken(checked.token))
    }
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::DisableAgent;

    use super::*;
    use crate::state::control_log;
    use crate::state::page::PageQuery;
    use crate::testing::World;

    fn token(agent: &str) -> IssueAgentToken {
        IssueAgentToken {
            tenant: "acme".to_owned(),
            agent: agent.to_owned(),
            token_id: "t-1".to_owned(),
            scope: "stripe:pay".to_owned(),
            life_seconds: 60,
        }
    }

    #[test]
    fn the_answer_says_all_that_the_token_is_made_of_and_the_act_is_recorded() {
        let world = World::new();
        let tenant = world.tenant("acme");
        world.agent(&tenant, "payer");
        let operator = world.with_role("olga", "acme", Role::Operator);
        let Some(done::Result::AgentToken(made)) = world.done(token("payer"), &operator).done.result else {
            panic!("another answer");
        };
        assert_eq!((made.tenant.as_str(), made.organization.as_str()), ("acme", "acme"));
        assert_eq!(made.expires_seconds - made.issued_seconds, 60);
        assert_eq!(made.issued_seconds, world.now_ms() / 1_000);
        let records = control_log::of_tenant(&world.view(), &tenant, &PageQuery::first()).unwrap();
        assert_eq!(records.rows[0].command, "IssueAgentToken");
        assert!(records.rows[0].summary.contains("`payer`"), "{}", records.rows[0].summary);
    }

    #[test]
    fn only_operators_and_only_for_agents_that_may_have_one() {
        let world = World::new();
        let tenant = world.tenant("acme");
        world.agent(&tenant, "payer");
        let viewer = world.with_role("vera", "acme", Role::Viewer);
        assert_eq!(world.refused(token("payer"), &viewer).code, Code::Forbidden);
        assert_eq!(world.refused(token("nobody"), &World::root()).code, Code::UnknownAgent);
        for life_seconds in [0, 901] {
            let refused = world.refused(IssueAgentToken { life_seconds, ..token("payer") }, &World::root());
            assert_eq!(refused.code, Code::Invalid);
        }
        let (tenant, name) = (tenant.to_string(), "payer".to_owned());
        world.done(DisableAgent { tenant, name, disabled: true }, &World::root());
        assert_eq!(world.refused(token("payer"), &World::root()).code, Code::AgentDisabled);
    }
}
