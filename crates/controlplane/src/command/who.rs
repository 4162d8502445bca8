//! Who may: the roles that permit a command, and their comparison with what the state says of an actor.

use aegis_model::ids::PersonId;
use aegis_proto::control::Role;
use aegis_raft_store::tables::{StateRead, StoreError};

use super::actor::Actor;
use super::kind::{Asked, Failure};
use super::refused::{Code, Refused};
use crate::state::key::Scope;
use crate::state::{people, person_tokens, roles};

/// Who may want a command. One constant beside each command.
#[derive(Debug, Clone, Copy)]
pub struct Who {
    /// One of these roles, in the command's scope or everywhere.
    pub roles: &'static [Role],
    /// Whether a control node may, without a person.
    pub control_node: bool,
}

impl Who {
    /// People with one of `roles`.
    pub const fn roles(roles: &'static [Role]) -> Self {
        Self { roles, control_node: false }
    }

    /// Only control nodes.
    pub const fn control_node() -> Self {
        Self { roles: &[], control_node: true }
    }

    /// Control nodes as well.
    #[must_use]
    pub const fn or_control_node(self) -> Self {
        Self { control_node: true, ..self }
    }
}

/// Whether `actor` may do what `who` says in `scope`; `oneself` names a person who may without a role.
pub(crate) fn authorize(
    state: &impl StateRead,
    asked: &Asked<'_>,
    who: &Who,
    scope: &Scope,
    oneself: Option<&str>,
) -> Result<(), Failure> {
    let may = match asked.actor {
        Actor::ControlNode(_) => who.control_node,
        Actor::Person { name, token_id } => {
            authenticate(state, asked, name, token_id.as_deref())?;
            oneself == Some(name.as_str()) || roles::has_any(state, name, scope, who.roles)?
        }
    };
    if may { Ok(()) } else { Err(forbidden(who, scope).into()) }
}

/// Whether the person, and the token that proved them, still count.
fn authenticate(
    state: &impl StateRead,
    asked: &Asked<'_>,
    name: &PersonId,
    token_id: Option<&str>,
) -> Result<(), Failure> {
    if counts(state, name, token_id, asked.cluster.history, asked.place.log_time_ms)? {
        Ok(())
    } else {
        Err(Refused::unauthenticated().into())
    }
}

/// Whether `person` is somebody, not disabled, and `token_id`, if given, is a token of theirs that is still good.
///
/// # Errors
/// The storage failed.
pub fn counts(
    state: &impl StateRead,
    person: &PersonId,
    token_id: Option<&str>,
    history: u64,
    now_ms: u64,
) -> Result<bool, StoreError> {
    if people::person(state, person)?.is_none_or(|row| row.disabled) {
        return Ok(false);
    }
    let Some(token_id) = token_id else { return Ok(true) };
    let token = person_tokens::person_token(state, person, token_id)?;
    Ok(token.is_some_and(|token| person_tokens::is_good(&token, history, now_ms)))
}

/// Whether `person` has one of `roles` in `scope`: what a read of the admin API asks, with [`counts`].
///
/// # Errors
/// The storage failed.
pub fn may(
    state: &impl StateRead,
    person: &PersonId,
    scope: &Scope,
    roles: &[Role],
) -> Result<bool, StoreError> {
    roles::has_any(state, person, scope, roles)
}

fn forbidden(who: &Who, scope: &Scope) -> Refused {
    let names: Vec<String> = who.roles.iter().map(|role| name(*role)).collect();
    let needs = match names.as_slice() {
        [] => "only control nodes may".to_owned(),
        names => format!("it needs role `{}` on `{scope}`", names.join("` or `")),
    };
    Refused::new(Code::Forbidden, format!("this is not permitted: {needs}")).with("roles", names.join(","))
}

/// A role as the admin API names it, e.g. `operator`.
pub fn name(role: Role) -> String {
    role.as_str_name().trim_start_matches("ROLE_").to_ascii_lowercase()
}

/// The role that the admin API names so.
pub fn from_name(text: &str) -> Option<Role> {
    let all = [Role::Viewer, Role::Auditor, Role::Author, Role::Approver, Role::Operator, Role::Admin];
    all.into_iter().find(|role| name(*role) == text)
}
