//! Who has which role where.

use aegis_model::ids::PersonId;
use aegis_proto::control::{Role, RoleBinding};
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::key::{self, Scope};
use super::page::{self, Page, PageQuery};
use super::row;
use super::writer::Writer;

/// Scope, zero, person → [`RoleBinding`].
pub const ROLES: Table = Table::new("roles");
/// Person, zero, scope → [`RoleBinding`] once more: what one person has.
pub const SCOPES: Table = Table::new("role_scopes");

/// The roles that `person` has in exactly this scope; those of [`Scope::Cluster`] hold everywhere, but are not shown here.
///
/// # Errors
/// The storage failed.
pub fn binding(
    state: &impl StateRead,
    scope: &Scope,
    person: &PersonId,
) -> Result<Option<RoleBinding>, StoreError> {
    row::read(state, ROLES, &key::pair(scope.as_str(), person.as_str().as_bytes()))
}

/// Everybody with a role in exactly this scope, by name.
///
/// # Errors
/// The storage failed.
pub fn bindings(
    state: &impl StateRead,
    scope: &Scope,
    query: &PageQuery,
) -> Result<Page<RoleBinding>, StoreError> {
    page::rows(state, ROLES, &key::below(scope.as_str()), query)
}

/// Every scope in which `person` has a role.
///
/// # Errors
/// The storage failed.
pub fn scopes(
    state: &impl StateRead,
    person: &PersonId,
    query: &PageQuery,
) -> Result<Page<RoleBinding>, StoreError> {
    page::rows(state, SCOPES, &key::below(person.as_str()), query)
}

/// Whether `person` has one of `roles` in `scope`, by a binding there or everywhere.
///
/// # Errors
/// The storage failed.
pub fn has_any(
    state: &impl StateRead,
    person: &PersonId,
    scope: &Scope,
    roles: &[Role],
) -> Result<bool, StoreError> {
    let holds = |scope: &Scope| -> Result<bool, StoreError> {
        let bound = binding(state, scope, person)?.unwrap_or_default();
        Ok(bound.roles().any(|role| roles.contains(&role)))
    };
    Ok(holds(scope)? || (*scope != Scope::Cluster && holds(&Scope::Cluster)?))
}

/// Whether `person` has the tenant's own role `name` in `scope`, by a binding there or everywhere.
///
/// # Errors
/// The storage failed.
pub fn has_own(
    state: &impl StateRead,
    person: &PersonId,
    scope: &Scope,
    name: &str,
) -> Result<bool, StoreError> {
    let holds = |scope: &Scope| -> Result<bool, StoreError> {
        Ok(binding(state, scope, person)?.is_some_and(|bound| bound.own.iter().any(|own| own == name)))
    };
    Ok(holds(scope)? || (*scope != Scope::Cluster && holds(&Scope::Cluster)?))
}

/// Sets the roles of a binding; without roles it is removed.
pub(crate) fn put(write: &mut Writer<'_, '_>, binding: &RoleBinding) -> Result<(), StoreError> {
    let by_scope = key::pair(&binding.scope, binding.person.as_bytes());
    let by_person = key::pair(&binding.person, binding.scope.as_bytes());
    if binding.roles.is_empty() && binding.own.is_empty() {
        write.delete(ROLES, &by_scope)?;
        write.delete(SCOPES, &by_person)?;
        return Ok(());
    }
    write.put(ROLES, &by_scope, binding)?;
    write.put(SCOPES, &by_person, binding)
}
