//! `RevokePersonToken`: a person's token is no longer accepted.

use aegis_proto::control::{PersonToken, RevokePersonToken, Role, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use crate::state::key::EVERYWHERE;
use crate::state::person_tokens;
use crate::state::writer::Writer;

impl Kind for RevokePersonToken {
    const NAME: &'static str = "RevokePersonToken";
    const WHO: Who = Who::roles(&[Role::Admin]);
    type Checked = PersonToken;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    /// Anybody may give up a token of their own.
    fn oneself(&self) -> Option<&str> {
        Some(&self.person)
    }

    fn summary(&self) -> String {
        format!("token `{}` of `{}`", self.token_id, self.person)
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<PersonToken, Failure> {
        let (person, _) = checks::known_person(state, &self.person)?;
        let Some(token) = person_tokens::person_token(state, &person, &self.token_id)? else {
            return Err(Refused::unknown(Code::UnknownToken, "token", &self.token_id).into());
        };
        // Revoking twice is no error: the first time counts.
        let revoked_ms = if token.revoked_ms > 0 { token.revoked_ms } else { asked.now_ms() };
        Ok(PersonToken { revoked_ms, ..token })
    }

    fn apply(token: PersonToken, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        person_tokens::put(write, &token)?;
        Ok(done::Result::PersonToken(token))
    }
}
