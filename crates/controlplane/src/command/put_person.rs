//! `PutPerson`: makes a person, or changes one.

use aegis_model::caps;
use aegis_model::ids::PersonId;
use aegis_proto::control::{Person, PutPerson, Role, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::actor::CONTROL_NODE_PREFIX;
use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::Who;
use super::{checks, revoke_role};
use crate::state::key::EVERYWHERE;
use crate::state::people;
use crate::state::writer::Writer;

/// The row, and whether it is a new one.
pub(crate) struct Checked {
    person: Person,
    new: bool,
}

impl Kind for PutPerson {
    const NAME: &'static str = "PutPerson";
    const WHO: Who = Who::roles(&[Role::Admin]);
    type Checked = Checked;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        format!("person `{}`{}", self.name, if self.disabled { ", disabled" } else { "" })
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        let person = row(&self.name, &self.display_name, self.disabled, asked)?;
        let name: PersonId = checks::name("name", &self.name)?;
        let Some(known) = people::person(state, &name)? else {
            checks::room("people", asked.counters.people, caps::PEOPLE_MAX)?;
            return Ok(Checked { person, new: true });
        };
        if self.disabled && !known.disabled {
            revoke_role::somebody_else_is_admin(state, &name)?;
        }
        let Person { created_ms, created_by, .. } = known;
        Ok(Checked { person: Person { created_ms, created_by, ..person }, new: false })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let Checked { person, new } = checked;
        write.counters_mut().people += u64::from(new);
        people::put(write, &person)?;
        Ok(done::Result::Person(person))
    }
}

/// The row of a new person.
pub(super) fn row(
    name: &str,
    display_name: &str,
    disabled: bool,
    asked: &Asked<'_>,
) -> Result<Person, Refused> {
    let name: PersonId = checks::name("name", name)?;
    if name.as_str().starts_with(CONTROL_NODE_PREFIX) {
        return Err(Refused::invalid("name", format!("not beginning with `{CONTROL_NODE_PREFIX}`")));
    }
    Ok(Person {
        name: name.into(),
        display_name: checks::words("display_name", display_name)?,
        disabled,
        created_ms: asked.now_ms(),
        created_by: asked.by(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Code;
    use crate::state::meta;
    use crate::testing::World;

    #[test]
    fn a_person_is_made_once_and_changed_after() {
        let world = World::new();
        let command = |display_name: &str| PutPerson {
            name: "ann@example.com".to_owned(),
            display_name: display_name.to_owned(),
            disabled: false,
        };
        world.done(command("Ann"), &World::root());
        let created_ms = world.now_ms();
        world.pass_seconds(3);
        world.done(command("Ann B."), &World::root());
        let ann = people::person(&world.view(), &"ann@example.com".parse().expect("a name"));
        let ann = ann.expect("memory").expect("a person");
        assert_eq!((ann.display_name.as_str(), ann.created_ms), ("Ann B.", created_ms));
        assert_eq!(meta::counters(&world.view()).expect("memory").people, 2, "root and ann");
    }

    #[test]
    fn nobody_is_named_like_a_node() {
        let world = World::new();
        let long = "n".repeat(caps::NAME_BYTES_MAX + 1);
        for name in ["", "a b", "control-node:1", long.as_str()] {
            let command = PutPerson { name: name.to_owned(), ..Default::default() };
            assert_eq!(world.refused(command, &World::root()).code, Code::Invalid, "{name}");
        }
        let words = PutPerson { name: "ann".into(), display_name: "d".repeat(2_000), disabled: false };
        assert_eq!(world.refused(words, &World::root()).code, Code::Invalid);
    }
}
