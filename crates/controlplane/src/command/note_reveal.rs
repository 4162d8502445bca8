//! `NoteReveal`: records who takes a token back to its value and why, before the value is given; and judges their right to it.

use aegis_model::caps;
use aegis_proto::control::{NoteReveal, Role, Tenant, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::Who;
use crate::state::writer::Writer;

impl Kind for NoteReveal {
    const NAME: &'static str = "NoteReveal";
    const WHO: Who = Who::roles(&[Role::Admin]);
    type Checked = Tenant;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        format!("value of `{}` in tenant `{}`, because: {}", self.token, self.tenant, self.reason)
    }

    fn check(&self, state: &impl StateRead, _asked: &Asked<'_>) -> Result<Tenant, Failure> {
        let (_, tenant) = checks::living_tenant(state, &self.tenant)?;
        let long = self.token.len() > caps::REDACTION_TOKEN_BYTES_MAX;
        if long || !self.token.starts_with('<') || !self.token.ends_with('>') {
            return Err(
                Refused::invalid("token", "a token as an answer has it, such as `<us_ssn:v1:…>`").into()
            );
        }
        if checks::words("reason", &self.reason)?.trim().is_empty() {
            return Err(
                Refused::invalid("reason", "why the value is needed: it stands in the control log").into()
            );
        }
        Ok(tenant)
    }

    fn apply(tenant: Tenant, _write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        Ok(done::Result::Tenant(tenant))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Code;
    use crate::state::control_log;
    use crate::state::page::PageQuery;
    use crate::testing::World;

    fn reveal(token: &str, reason: &str) -> NoteReveal {
        NoteReveal { tenant: "acme".to_owned(), token: token.to_owned(), reason: reason.to_owned() }
    }

    #[test]
    fn it_leaves_a_record_and_nothing_else() {
        let world = World::new();
        world.tenant("acme");
        world.done(reveal("<us_ssn:v1:00>", "ticket 7"), &World::root());
        let records = control_log::everything(&world.view(), &PageQuery::first()).unwrap();
        let told = &records.rows[0].summary;
        assert_eq!(told, "value of `<us_ssn:v1:00>` in tenant `acme`, because: ticket 7");
        let operator = world.with_role("olga", "acme", Role::Operator);
        assert_eq!(world.refused(reveal("<us_ssn:v1:00>", "ticket 7"), &operator).code, Code::Forbidden);
    }

    #[test]
    fn it_needs_a_token_and_a_reason() {
        let world = World::new();
        world.tenant("acme");
        for bad in [
            reveal("us_ssn", "why"),
            reveal("<a>", " "),
            reveal("<a>", "why\u{1b}[2J"),
            reveal("", "why"),
            reveal(&format!("<{}>", "a".repeat(caps::REDACTION_TOKEN_BYTES_MAX)), "why"),
        ] {
            assert_eq!(world.refused(bad, &World::root()).code, Code::Invalid);
        }
    }
}
