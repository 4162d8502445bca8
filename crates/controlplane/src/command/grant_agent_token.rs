//! `GrantAgentToken`: an agent has proved itself to a control node, and gets a token within what it is registered for.
//!
//! The control node that proposes it has verified signatures, and judged the same against what it knew; here everything is judged
//! once more against the newest state, so that whatever was revoked, retired or used before counts, wherever that was acknowledged.
//! The answer holds all that the token is made of.

mod basis;
mod bounds;
mod proof;

use aegis_model::caps;
use aegis_model::ids::{AgentId, TenantId};
use aegis_proto::control::{AgentToken, GrantAgentToken, TokenPace, TokenRecord, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use super::{checks, set_agent_keys};
use crate::state::writer::Writer;
use crate::state::{assertions, tokens};

use proof::Proven;

/// What is to be given out, and what is to be remembered of it.
pub(crate) struct Checked {
    tenant: TenantId,
    agent: AgentId,
    token: AgentToken,
    record: TokenRecord,
    pace: TokenPace,
    /// The digest of the assertion that was used, and when it ends.
    used: Option<([u8; 32], u64)>,
}

impl Kind for GrantAgentToken {
    const NAME: &'static str = "GrantAgentToken";
    const WHO: Who = Who::control_node();
    /// Happens all the time. Each token has a record of its own kind.
    const LOGGED: bool = false;
    type Checked = Checked;

    #[expect(clippy::misnamed_getters, reason = "the field `scope` is the token's, not the command's")]
    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        String::new()
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        let (tenant, row) = checks::living_tenant(state, &self.tenant)?;
        let agent = set_agent_keys::known_agent(state, &self.tenant, &self.agent)?;
        let name: AgentId = checks::name("agent", &agent.name)?;
        if agent.disabled {
            let message = format!("the agent `{name}` is disabled, and gets no tokens");
            return Err(Refused::new(Code::AgentDisabled, message).with("agent", name).into());
        }
        let Proven { by, proof, mut basis, used } = proof::judge(self, state, asked, &tenant, &agent)?;
        if let Some(caller) = &self.caller {
            basis.hand_on(caller);
        }
        let pace = match tokens::paced(state, &tenant, &name, asked.now_ms())? {
            Ok(pace) => pace,
            Err(retry_after_ms) => {
                let message = format!("the agent `{name}` asks for tokens too often");
                let refused = Refused::new(Code::TooFast, message).with("retry_after_ms", retry_after_ms);
                return Err(refused.into());
            }
        };
        if used.is_some() {
            checks::room(
                "assertions that are remembered",
                asked.counters.assertions,
                caps::ASSERTIONS_REMEMBERED_MAX,
            )?;
        }
        let issued_seconds = asked.now_ms() / 1_000;
        let token = AgentToken {
            tenant: row.name,
            organization: row.organization,
            agent: agent.name.clone(),
            token_id: checks::token_id("token_id", &self.token_id)?,
            scope: bounds::scope(self, &agent)?.to_string(),
            issued_seconds,
            expires_seconds: bounds::expires(self, &agent, issued_seconds)?,
            callers: bounds::callers(self)?,
            claims: bounds::claims(self, &agent)?,
            basis: basis.into_members()?,
        };
        let proof = TokenRecord {
            by: by.to_owned(),
            proof,
            data_node: checks::words("data_node", &self.data_node)?,
            caller_token_id: self.caller.as_ref().map(|caller| caller.token_id.clone()).unwrap_or_default(),
            ..TokenRecord::default()
        };
        let record = tokens::record(&token, asked.now_ms(), proof);
        Ok(Checked { tenant, agent: name, token, record, pace, used })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let Checked { tenant, agent, token, record, pace, used } = checked;
        tokens::put_pace(write, &tenant, &agent, &pace)?;
        if let Some((digest, ends_ms)) = used {
            assertions::put(write, &tenant, &agent, &digest, ends_ms)?;
        }
        tokens::append(write, &tenant, record)?;
        Ok(done::Result::AgentToken(token))
    }
}

#[cfg(test)]
mod tests;
