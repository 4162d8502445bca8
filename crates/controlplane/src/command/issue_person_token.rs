//! `IssuePersonToken`: records that a person is given a token. A token that is not recorded is not accepted.

use aegis_model::caps;
use aegis_model::ids::PersonId;
use aegis_proto::control::{IssuePersonToken, PersonToken, Role, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use crate::state::key::EVERYWHERE;
use crate::state::person_tokens;
use crate::state::writer::Writer;

impl Kind for IssuePersonToken {
    const NAME: &'static str = "IssuePersonToken";
    /// Everywhere: who gives out a token of somebody can be that somebody.
    const WHO: Who = Who::roles(&[Role::Admin]).or_control_node();
    type Checked = (PersonId, PersonToken);

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        format!("token `{}` of `{}`", self.token_id, self.person)
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<(PersonId, PersonToken), Failure> {
        let (person, row) = checks::known_person(state, &self.person)?;
        if row.disabled {
            return Err(
                Refused::new(Code::UnknownPerson, format!("the person `{person}` is disabled")).into()
            );
        }
        let id = checks::token_id("token_id", &self.token_id)?;
        let expires_ms = end("expires_ms", self.expires_ms, asked.now_ms())?;
        if person_tokens::person_token(state, &person, &id)?.is_some() {
            return Err(Refused::exists("token", id).into());
        }
        let living = person_tokens::all(state, &person)?.into_iter();
        let living = living.filter(|token| token.expires_ms > asked.now_ms()).count();
        if living >= caps::PERSON_TOKENS_MAX {
            return Err(Refused::too_many("tokens of one person", caps::PERSON_TOKENS_MAX).into());
        }
        let token = PersonToken {
            person: person.to_string(),
            id,
            issued_ms: asked.now_ms(),
            expires_ms,
            revoked_ms: 0,
            history: asked.cluster.history,
            issued_by: asked.by(),
        };
        Ok((person, token))
    }

    fn apply(
        (person, token): (PersonId, PersonToken),
        write: &mut Writer<'_, '_>,
    ) -> Result<done::Result, StoreError> {
        person_tokens::sweep(write, &person, write.now_ms())?;
        person_tokens::put(write, &token)?;
        Ok(done::Result::PersonToken(token))
    }
}

/// The end of a token that begins now.
pub(super) fn end(field: &'static str, expires_ms: u64, now_ms: u64) -> Result<u64, Refused> {
    let life_ms = caps::PERSON_TOKEN_LIFE_SECONDS_MAX * 1_000;
    if expires_ms <= now_ms || expires_ms - now_ms > life_ms {
        let form = format!("within {} seconds from now", caps::PERSON_TOKEN_LIFE_SECONDS_MAX);
        return Err(Refused::invalid(field, form).with("now_ms", now_ms));
    }
    Ok(expires_ms)
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::{PutPerson, RevokePersonToken};

    use super::*;
    use crate::testing::World;

    fn issue(world: &World, id: &str, seconds: u64) -> IssuePersonToken {
        let expires_ms = world.now_ms() + seconds * 1_000;
        IssuePersonToken { person: "root".to_owned(), token_id: id.to_owned(), expires_ms }
    }

    #[test]
    fn a_token_is_recorded_once_and_lives_half_a_day_at_most() {
        let world = World::new();
        let root = World::root();
        world.done(issue(&world, "a", caps::PERSON_TOKEN_LIFE_SECONDS_MAX), &root);
        assert_eq!(world.refused(issue(&world, "a", 60), &root).code, Code::AlreadyExists);
        let bad = [
            issue(&world, "b", caps::PERSON_TOKEN_LIFE_SECONDS_MAX + 1),
            issue(&world, "b", 0),
            issue(&world, "", 60),
            IssuePersonToken { person: "a b".to_owned(), ..issue(&world, "b", 60) },
        ];
        for command in bad {
            assert_eq!(world.refused(command, &root).code, Code::Invalid);
        }
        let unknown = IssuePersonToken { person: "ann".to_owned(), ..issue(&world, "b", 60) };
        assert_eq!(world.refused(unknown.clone(), &root).code, Code::UnknownPerson);
        world.done(PutPerson { name: "ann".into(), disabled: true, ..Default::default() }, &root);
        assert_eq!(world.refused(unknown, &root).code, Code::UnknownPerson, "disabled");
    }

    #[test]
    fn tokens_have_a_bound_and_make_room_when_they_end() {
        let world = World::new();
        let root = World::root();
        // `first` is one of them.
        for number in 1..caps::PERSON_TOKENS_MAX {
            world.done(issue(&world, &number.to_string(), 60), &root);
        }
        assert_eq!(world.refused(issue(&world, "one-more", 60), &root).code, Code::TooMany);
        world.pass_seconds(60);
        world.done(issue(&world, "one-more", 60), &root);
        let left = person_tokens::all(&world.view(), &"root".parse().expect("a name")).expect("memory");
        let ids: Vec<_> = left.iter().map(|token| token.id.as_str()).collect();
        assert_eq!(ids, ["first", "one-more"]);
    }

    #[test]
    fn a_token_is_revoked_by_oneself_or_an_administrator() {
        let world = World::new();
        let ann = world.with_role("ann", "*", Role::Viewer);
        let of_ann = IssuePersonToken { person: "ann".to_owned(), ..issue(&world, "a", 60) };
        world.done(of_ann, &World::root());
        let revoke =
            |person: &str, id: &str| RevokePersonToken { person: person.to_owned(), token_id: id.to_owned() };
        assert_eq!(world.refused(revoke("root", "first"), &ann).code, Code::Forbidden);
        world.done(revoke("ann", "a"), &ann);
        let row = || person_tokens::person_token(&world.view(), &"ann".parse().expect("a name"), "a");
        let first_ms = row().expect("memory").expect("a token").revoked_ms;
        world.pass_seconds(1);
        world.done(revoke("ann", "a"), &World::root());
        assert_eq!(row().expect("memory").expect("a token").revoked_ms, first_ms, "the first time counts");
        assert_eq!(world.refused(revoke("ann", "b"), &World::root()).code, Code::UnknownToken);
        assert_eq!(world.refused(revoke("bob", "b"), &World::root()).code, Code::UnknownPerson);
    }
}
