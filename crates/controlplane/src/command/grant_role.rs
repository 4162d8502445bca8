//! `GrantRole`: gives a person a role, in a tenant or everywhere.

use aegis_proto::control::{GrantRole, Role, RoleBinding, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::{self, Who};
use crate::state::key::Scope;
use crate::state::roles;
use crate::state::writer::Writer;

impl Kind for GrantRole {
    const NAME: &'static str = "GrantRole";
    /// In the scope of the role: an administrator of one tenant gives no rights beyond it.
    const WHO: Who = Who::roles(&[Role::Admin]);
    type Checked = RoleBinding;

    fn scope(&self) -> &str {
        &self.scope
    }

    fn summary(&self) -> String {
        format!("`{}` to `{}` on `{}`", who::name(self.role()), self.person, self.scope)
    }

    fn check(&self, state: &impl StateRead, _asked: &Asked<'_>) -> Result<RoleBinding, Failure> {
        let scope: Scope = checks::name("scope", &self.scope)?;
        if scope != Scope::Cluster {
            checks::living_tenant(state, &self.scope)?;
        }
        let role = read_role(self.role)?;
        let (person, _) = checks::known_person(state, &self.person)?;
        let mut binding = roles::binding(state, &scope, &person)?.unwrap_or_else(|| RoleBinding {
            person: person.to_string(),
            scope: scope.to_string(),
            roles: Vec::new(),
        });
        if let Err(place) = binding.roles.binary_search(&role.into()) {
            binding.roles.insert(place, role.into());
        }
        Ok(binding)
    }

    fn apply(binding: RoleBinding, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        roles::put(write, &binding)?;
        Ok(done::Result::RoleBinding(binding))
    }
}

/// A role that is known and is not "not said".
pub(super) fn read_role(role: i32) -> Result<Role, Refused> {
    match Role::try_from(role) {
        Ok(Role::Unspecified) | Err(_) => Err(Refused::invalid("role", "a known role")),
        Ok(role) => Ok(role),
    }
}
