//! `GrantRole`: gives a person a role, in a tenant or everywhere.

use aegis_model::caps;
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
        format!("`{}` to `{}` on `{}`", name_of(self.role, &self.own), self.person, self.scope)
    }

    fn check(&self, state: &impl StateRead, _asked: &Asked<'_>) -> Result<RoleBinding, Failure> {
        let scope: Scope = checks::name("scope", &self.scope)?;
        if scope != Scope::Cluster {
            checks::living_tenant(state, &self.scope)?;
        }
        let role = read_role(self.role, &self.own, &scope)?;
        let (person, _) = checks::known_person(state, &self.person)?;
        let mut binding = roles::binding(state, &scope, &person)?.unwrap_or_else(|| RoleBinding {
            person: person.to_string(),
            scope: scope.to_string(),
            roles: Vec::new(),
            own: Vec::new(),
        });
        match role {
            Given::Known(role) => {
                if let Err(place) = binding.roles.binary_search(&role.into()) {
                    binding.roles.insert(place, role.into());
                }
            }
            Given::Own(own) => {
                if let Err(place) = binding.own.binary_search(&own) {
                    let (count, max) = (binding.own.len(), caps::APPROVAL_NAMES_MAX);
                    checks::room("own roles of one person", count as u64, max as u64)?;
                    binding.own.insert(place, own);
                }
            }
        }
        Ok(binding)
    }

    fn apply(binding: RoleBinding, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        roles::put(write, &binding)?;
        Ok(done::Result::RoleBinding(binding))
    }
}

/// A role as it is given or taken.
pub(super) enum Given {
    /// One that everybody has in common.
    Known(Role),
    /// One of the tenant's own, which counts where its policies name it: who approves.
    Own(String),
}

/// A role that is known and is not "not said", or instead one of the tenant's own.
pub(super) fn read_role(role: i32, own: &str, scope: &Scope) -> Result<Given, Refused> {
    match (Role::try_from(role), own) {
        (Ok(Role::Unspecified), "") | (Err(_), _) => Err(Refused::invalid("role", "a known role")),
        (Ok(role), "") => Ok(Given::Known(role)),
        (Ok(Role::Unspecified), own)
            if *scope == Scope::Cluster || who::from_name(own).is_some() || !is_own(own) =>
        {
            let form = "a name of the tenant's own, of `A-Z a-z 0-9 _ . -`, in one tenant";
            Err(Refused::invalid("own", form))
        }
        (Ok(Role::Unspecified), own) => Ok(Given::Own(own.to_owned())),
        (Ok(_), _) => Err(Refused::invalid("own", "absent where `role` is said")),
    }
}

fn is_own(name: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=caps::NODE_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(valid)
}

/// A role by its name.
pub(super) fn name_of(role: i32, own: &str) -> String {
    if own.is_empty() { who::name(Role::try_from(role).unwrap_or_default()) } else { own.to_owned() }
}
