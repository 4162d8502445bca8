//! Who has which role where: list, give, take.

use aegis_proto::admin::{PersonListRequest, RoleBinding, RoleBindingList, RoleRequest, ScopeListRequest};
use aegis_proto::control as rows;
use aegis_proto::control::Role;

use super::{row, tenants};
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::{Problem, form};
use crate::command::who;
use crate::state::key::{EVERYWHERE, Scope};
use crate::state::roles;

/// Everybody with a role in exactly this scope.
pub(crate) async fn list(caller: &Caller, request: ScopeListRequest) -> Result<RoleBindingList, Problem> {
    let (scope, query) = (form::scope(&request.scope)?, form::page(request.limit, &request.cursor)?);
    let state = match &scope {
        Scope::Cluster => caller.reads(Read::People).await?,
        Scope::Tenant(tenant) => {
            let state = caller.reads(Read::Tenant(tenant)).await?;
            tenants::known(&state, tenant)?;
            state
        }
    };
    let (items, next) = form::listed(roles::bindings(&state, &scope, &query)?, shown);
    Ok(RoleBindingList { items, next })
}

/// Every scope in which a person has a role: to those who may see people, and to the person.
pub(crate) async fn of_person(
    caller: &Caller,
    request: PersonListRequest,
) -> Result<RoleBindingList, Problem> {
    let (person, query) = (form::person(&request.person)?, form::page(request.limit, &request.cursor)?);
    let state = caller.reads(Read::Person(&person)).await?;
    let (items, next) = form::listed(roles::scopes(&state, &person, &query)?, shown);
    Ok(RoleBindingList { items, next })
}

/// Gives a person a role.
pub(crate) async fn grant(caller: &Caller, request: RoleRequest) -> Result<RoleBinding, Problem> {
    let (role, own) = read_role(&request)?;
    let command = rows::GrantRole { person: request.person.clone(), scope: request.scope.clone(), role, own };
    row!(caller.write("GrantRole", &request, command).await?, RoleBinding).map(shown)
}

/// Takes a role from a person.
pub(crate) async fn revoke(caller: &Caller, request: RoleRequest) -> Result<RoleBinding, Problem> {
    let (role, own) = read_role(&request)?;
    let command =
        rows::RevokeRole { person: request.person.clone(), scope: request.scope.clone(), role, own };
    row!(caller.write("RevokeRole", &request, command).await?, RoleBinding).map(shown)
}

/// A role that everybody has in common, or the name of one of the tenant's own.
fn read_role(request: &RoleRequest) -> Result<(i32, String), Problem> {
    match who::from_name(&request.role) {
        Some(role) => Ok((role.into(), String::new())),
        None if request.scope == EVERYWHERE || request.role.is_empty() => {
            let form = "`viewer`, `auditor`, `author`, `approver`, `operator` or `admin`";
            Err(Problem::invalid("role", form))
        }
        None => Ok((Role::Unspecified.into(), request.role.clone())),
    }
}

pub(super) fn shown(row: rows::RoleBinding) -> RoleBinding {
    let roles = row.roles().map(who::name).chain(row.own.iter().cloned()).collect();
    RoleBinding { person: row.person, scope: row.scope, roles }
}
