//! `SetMember`: a control node says who it is and what it understands.

use aegis_model::caps;
use aegis_proto::control::{Member, Role, SetMember, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use crate::state::key::EVERYWHERE;
use crate::state::members;
use crate::state::writer::Writer;

/// The row, and whether it is a new one.
pub(crate) struct Checked {
    member: Member,
    new: bool,
}

impl Kind for SetMember {
    const NAME: &'static str = "SetMember";
    const WHO: Who = Who::roles(&[Role::Admin]).or_control_node();
    type Checked = Checked;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        format!("control node {} `{}` at `{}`, level {}", self.id, self.name, self.address, self.level)
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        if self.level < asked.cluster.level {
            let form = format!("at least the cluster's level, {}", asked.cluster.level);
            return Err(Refused::invalid("level", form).into());
        }
        let known = members::member(state, self.id)?;
        let joined_ms = match &known {
            Some(member) if member.retired_ms > 0 => return Err(retired(self.id).into()),
            Some(member) => member.joined_ms,
            None => {
                checks::room("control nodes", asked.counters.members, caps::MEMBERS_MAX)?;
                asked.now_ms()
            }
        };
        let member = Member {
            id: self.id,
            name: checks::node_name("name", &self.name)?,
            address: checks::address("address", &self.address)?,
            software: checks::words("software", &self.software)?,
            level: self.level,
            joined_ms,
            retired_ms: 0,
        };
        Ok(Checked { member, new: known.is_none() })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let Checked { member, new } = checked;
        write.counters_mut().members += u64::from(new);
        members::put(write, &member)?;
        Ok(done::Result::Member(member))
    }
}

fn retired(id: u64) -> Refused {
    let message = format!("control node {id} was removed for good: join under a new id, with an empty store");
    Refused::new(Code::NodeRetired, message).with("id", id)
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::RetireMember;

    use super::*;
    use crate::state::meta;
    use crate::testing::World;

    fn command(id: u64) -> SetMember {
        let (name, address) = (format!("control-{id}"), format!("https://control-{id}:7071"));
        SetMember { id, name, address, software: "0.1.0".to_owned(), level: 1 }
    }

    #[test]
    fn a_member_may_move_but_keeps_when_it_joined() {
        let world = World::new();
        world.done(command(1), &World::node());
        let joined_ms = world.now_ms();
        world.pass_seconds(5);
        world.done(SetMember { address: "https://elsewhere:7071".to_owned(), ..command(1) }, &World::node());
        let member = members::member(&world.view(), 1).expect("memory").expect("a member");
        assert_eq!((member.joined_ms, member.address.as_str()), (joined_ms, "https://elsewhere:7071"));
        assert_eq!(meta::counters(&world.view()).expect("memory").members, 1);
    }

    #[test]
    fn a_retired_id_never_comes_back() {
        let world = World::new();
        world.done(command(1), &World::node());
        world.done(RetireMember { id: 1 }, &World::node());
        world.pass_seconds(5);
        assert_eq!(world.refused(command(1), &World::node()).code, Code::NodeRetired);
        let retired_ms = members::member(&world.view(), 1).expect("memory").expect("a member").retired_ms;
        world.done(RetireMember { id: 1 }, &World::node());
        let member = members::member(&world.view(), 1).expect("memory").expect("a member");
        assert_eq!(member.retired_ms, retired_ms, "the first time counts");
        assert_eq!(world.refused(RetireMember { id: 2 }, &World::node()).code, Code::UnknownMember);
    }

    #[test]
    fn forms_are_checked() {
        let world = World::new();
        let bad = [
            SetMember { level: 0, ..command(1) },
            SetMember { name: "a b".to_owned(), ..command(1) },
            SetMember { address: "x".repeat(caps::ADDRESS_BYTES_MAX + 1), ..command(1) },
            SetMember { software: "x".repeat(caps::WORDS_BYTES_MAX + 1), ..command(1) },
        ];
        for command in bad {
            assert_eq!(world.refused(command, &World::node()).code, Code::Invalid);
        }
    }
}
