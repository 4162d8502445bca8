//! Who asks, and which roles they have.

use aegis_proto::admin::{WhoAmIRequest, WhoAmIResponse};

use super::roles;
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::{Problem, form};
use crate::state::page::PageQuery;
use crate::state::roles as bindings;

/// The caller, and their roles, as far as they fit in a page.
pub(crate) async fn who_am_i(caller: &Caller, _request: WhoAmIRequest) -> Result<WhoAmIResponse, Problem> {
    let state = caller.reads(Read::Oneself).await?;
    let proven = caller.proven();
    let rows = bindings::scopes(&state, caller.person(), &PageQuery::first())?.rows;
    Ok(WhoAmIResponse {
        person: proven.person.to_string(),
        token_id: proven.token_id.clone(),
        expires_at: form::time_of_seconds(proven.expires_at.seconds()),
        roles: rows.into_iter().map(roles::shown).collect(),
    })
}
