//! `RetireMember`: a control node is gone for good, and its id never comes back.

use aegis_proto::control::{Member, RetireMember, Role, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use crate::state::key::EVERYWHERE;
use crate::state::members;
use crate::state::writer::Writer;

impl Kind for RetireMember {
    const NAME: &'static str = "RetireMember";
    const WHO: Who = Who::roles(&[Role::Admin]).or_control_node();
    type Checked = Member;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        format!("control node {}", self.id)
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Member, Failure> {
        let Some(member) = members::member(state, self.id)? else {
            return Err(Refused::unknown(Code::UnknownMember, "control node", self.id).into());
        };
        // Retiring twice is no error: the first time counts.
        let retired_ms = if member.retired_ms > 0 { member.retired_ms } else { asked.now_ms() };
        Ok(Member { retired_ms, ..member })
    }

    fn apply(member: Member, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        members::put(write, &member)?;
        Ok(done::Result::Member(member))
    }
}
