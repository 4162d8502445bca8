//! Tokens of people: list, give out, revoke. Recorded first, then signed from the record.

use aegis_identity::mint::{Stamp, new_token_id};
use aegis_model::caps;
use aegis_proto::admin::{
    IssuePersonTokenRequest, IssuedPersonToken, PersonListRequest, PersonToken, PersonTokenList,
    PersonTokenRequest,
};
use aegis_proto::control as rows;

use super::row;
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::{Problem, form};
use crate::keys::{KeyKind, keyring};
use crate::state::person_tokens;

/// The tokens of a person, without the tokens themselves: to administrators, and to the person.
pub(crate) async fn list(caller: &Caller, request: PersonListRequest) -> Result<PersonTokenList, Problem> {
    let (person, query) = (form::person(&request.person)?, form::page(request.limit, &request.cursor)?);
    let state = caller.reads(Read::PersonTokens(&person)).await?;
    let (items, next) = form::listed(person_tokens::person_tokens(&state, &person, &query)?, shown);
    Ok(PersonTokenList { items, next })
}

/// Gives out a token of a person.
pub(crate) async fn issue(
    caller: &Caller,
    request: IssuePersonTokenRequest,
) -> Result<IssuedPersonToken, Problem> {
    let admin = caller.admin();
    let life_seconds = match request.life_seconds {
        0 => caps::PERSON_TOKEN_LIFE_SECONDS_DEFAULT,
        wanted => u64::from(wanted),
    };
    if life_seconds > caps::PERSON_TOKEN_LIFE_SECONDS_MAX {
        let form = format!("at most {}", caps::PERSON_TOKEN_LIFE_SECONDS_MAX);
        return Err(Problem::invalid("life_seconds", form));
    }
    let now_seconds = admin.control().applied().borrow().log_time_ms / 1_000;
    let command = rows::IssuePersonToken {
        person: request.person.clone(),
        token_id: new_token_id(&mut admin.randomness()),
        // In whole seconds, as tokens have it.
        expires_ms: now_seconds.saturating_add(life_seconds).saturating_mul(1_000),
    };
    let made = row!(caller.write("IssuePersonToken", &request, command).await?, PersonToken)?;
    let minter = keyring::minter(&admin.control().view()?, admin.cluster_keys(), KeyKind::PersonToken)?;
    let stamp = stamp(&made);
    let minted = minter.person_token(&form::person(&made.person)?, &stamp)?;
    Ok(IssuedPersonToken {
        token: minted.token.expose().clone(),
        token_id: minted.token_id,
        person: made.person,
        issued_at: form::time_of_seconds(stamp.issued_seconds),
        expires_at: form::time_of_seconds(stamp.expires_seconds),
    })
}

/// Revokes a token of a person.
pub(crate) async fn revoke(caller: &Caller, request: PersonTokenRequest) -> Result<PersonToken, Problem> {
    let command =
        rows::RevokePersonToken { person: request.person.clone(), token_id: request.token_id.clone() };
    row!(caller.write("RevokePersonToken", &request, command).await?, PersonToken).map(shown)
}

/// What makes a token of a person the one that `row` records. The life that it states is never longer than that of the
/// row: it begins when the row was made, rounded up.
pub(in crate::admin) fn stamp(row: &rows::PersonToken) -> Stamp {
    Stamp {
        token_id: row.id.clone(),
        issued_seconds: row.issued_ms.div_ceil(1_000),
        expires_seconds: row.expires_ms / 1_000,
    }
}

fn shown(row: rows::PersonToken) -> PersonToken {
    PersonToken {
        person: row.person,
        id: row.id,
        issued_at: form::time(row.issued_ms),
        expires_at: form::time(row.expires_ms),
        issued_by: row.issued_by,
        revoked_at: form::maybe_time(row.revoked_ms),
    }
}
