//! `NoteSearch`: records who searches a tenant's decisions and for which, before any is shown; and judges their right to it.

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::control::{NoteSearch, Role, Tenant, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use crate::state::tenants;
use crate::state::writer::Writer;

impl Kind for NoteSearch {
    const NAME: &'static str = "NoteSearch";
    const WHO: Who = Who::roles(&[Role::Auditor, Role::Admin]);
    type Checked = Tenant;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        let only = if self.filter.is_empty() { String::new() } else { format!(" with {}", self.filter) };
        // The question first: however long a filter is, it is not cut off.
        format!("question {}: decisions of tenant `{}`{only}", self.question, self.tenant)
    }

    /// Also of a tenant that was retired: its records are kept, and may be asked for.
    fn check(&self, state: &impl StateRead, _asked: &Asked<'_>) -> Result<Tenant, Failure> {
        let name: TenantId = checks::name("tenant", &self.tenant)?;
        let Some(tenant) = tenants::tenant(state, &name)? else {
            return Err(Refused::unknown(Code::UnknownTenant, "tenant", name).into());
        };
        let digits = self.question.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if self.question.len() != QUESTION_DIGITS || !digits {
            return Err(Refused::invalid("question", "16 hexadecimal digits").into());
        }
        checks::within("filter", &self.filter, caps::WORDS_BYTES_MAX)?;
        Ok(tenant)
    }

    fn apply(tenant: Tenant, _write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        Ok(done::Result::Tenant(tenant))
    }
}

const QUESTION_DIGITS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::control_log;
    use crate::state::page::PageQuery;
    use crate::testing::World;

    fn search(filter: &str) -> NoteSearch {
        NoteSearch {
            tenant: "acme".to_owned(),
            question: "00112233445566ff".to_owned(),
            filter: filter.to_owned(),
        }
    }

    #[test]
    fn it_leaves_a_record_and_nothing_else() {
        let world = World::new();
        world.tenant("acme");
        let auditor = world.with_role("audrey", "acme", Role::Auditor);
        world.done(search("agent `payer`, outcome `deny`"), &auditor);
        let records = control_log::everything(&world.view(), &PageQuery::first()).unwrap();
        let told = &records.rows[0].summary;
        let wanted =
            "question 00112233445566ff: decisions of tenant `acme` with agent `payer`, outcome `deny`";
        assert_eq!(told, wanted);
        let operator = world.with_role("olga", "acme", Role::Operator);
        assert_eq!(world.refused(search(""), &operator).code, Code::Forbidden);
    }

    #[test]
    fn the_question_has_one_form_and_the_filter_a_bound() {
        let world = World::new();
        world.tenant("acme");
        for question in ["", "00112233445566f", "00112233445566FF", "00112233445566ff0"] {
            let bad = NoteSearch { question: question.to_owned(), ..search("") };
            assert_eq!(world.refused(bad, &World::root()).code, Code::Invalid, "{question}");
        }
        let long = search(&"a".repeat(caps::WORDS_BYTES_MAX + 1));
        assert_eq!(world.refused(long, &World::root()).code, Code::Invalid);
        let elsewhere = NoteSearch { tenant: "none".to_owned(), ..search("") };
        assert_eq!(world.refused(elsewhere, &World::root()).code, Code::UnknownTenant);
    }
}
