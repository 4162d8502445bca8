//! `RevokeRole`: takes a role from a person.

use aegis_model::caps;
use aegis_model::ids::PersonId;
use aegis_proto::control::{RevokeRole, Role, RoleBinding, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::grant_role::{Given, name_of, read_role};
use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use crate::state::key::Scope;
use crate::state::page::PageQuery;
use crate::state::writer::Writer;
use crate::state::{people, roles};

impl Kind for RevokeRole {
    const NAME: &'static str = "RevokeRole";
    /// In the scope of the role, as for giving it.
    const WHO: Who = Who::roles(&[Role::Admin]);
    type Checked = RoleBinding;

    fn scope(&self) -> &str {
        &self.scope
    }

    fn summary(&self) -> String {
        format!("`{}` from `{}` on `{}`", name_of(self.role, &self.own), self.person, self.scope)
    }

    fn check(&self, state: &impl StateRead, _asked: &Asked<'_>) -> Result<RoleBinding, Failure> {
        // Also in a retired tenant: taking rights away is always possible.
        let scope: Scope = checks::name("scope", &self.scope)?;
        let role = read_role(self.role, &self.own, &scope)?;
        let (person, _) = checks::known_person(state, &self.person)?;
        let mut binding = roles::binding(state, &scope, &person)?.unwrap_or_default();
        let unknown = || Refused::unknown(Code::UnknownRole, "role", name_of(self.role, &self.own));
        match role {
            Given::Known(role) => {
                let place = binding.roles.binary_search(&role.into()).map_err(|_place| unknown())?;
                if scope == Scope::Cluster && role == Role::Admin {
                    somebody_else_is_admin(state, &person)?;
                }
                binding.roles.remove(place);
            }
            Given::Own(own) => {
                let place = binding.own.binary_search(&own).map_err(|_place| unknown())?;
                binding.own.remove(place);
            }
        }
        Ok(binding)
    }

    fn apply(binding: RoleBinding, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        roles::put(write, &binding)?;
        Ok(done::Result::RoleBinding(binding))
    }
}

/// Refuses if `person` is the only one left who may give roles for the whole cluster.
pub(super) fn somebody_else_is_admin(state: &impl StateRead, person: &PersonId) -> Result<(), Failure> {
    let is_admin = |binding: &RoleBinding| binding.roles().any(|role| role == Role::Admin);
    if !roles::binding(state, &Scope::Cluster, person)?.as_ref().is_some_and(is_admin) {
        return Ok(());
    }
    let mut query = PageQuery::new(None, caps::PAGE_ROWS_MAX);
    loop {
        let page = roles::bindings(state, &Scope::Cluster, &query)?;
        for binding in page.rows.iter().filter(|binding| is_admin(binding)) {
            let Ok(other) = binding.person.parse::<PersonId>() else { continue };
            let counts = people::person(state, &other)?.is_some_and(|row| !row.disabled);
            if counts && other != *person {
                return Ok(());
            }
        }
        match page.next {
            Some(cursor) => query = query.after(cursor),
            None => break,
        }
    }
    let message = format!("`{person}` is the last one with role `admin` on `*`");
    Err(Refused::new(Code::LastAdmin, message).with("person", person).into())
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::{GrantRole, PutPerson, RetireTenant};

    use super::*;
    use crate::command::who;
    use crate::testing::World;

    fn grant(person: &str, scope: &str, role: Role) -> GrantRole {
        GrantRole {
            person: person.to_owned(),
            scope: scope.to_owned(),
            role: role.into(),
            own: String::new(),
        }
    }

    fn revoke(person: &str, scope: &str, role: Role) -> RevokeRole {
        RevokeRole {
            person: person.to_owned(),
            scope: scope.to_owned(),
            role: role.into(),
            own: String::new(),
        }
    }

    #[test]
    fn roles_are_given_and_taken_one_by_one() {
        let world = World::new();
        world.tenant("acme");
        world.with_role("ann", "acme", Role::Operator);
        world.with_role("ann", "acme", Role::Author);
        world.with_role("ann", "acme", Role::Author);
        let (ann, acme): (PersonId, Scope) =
            ("ann".parse().expect("a name"), "acme".parse().expect("a name"));
        let bound = || roles::binding(&world.view(), &acme, &ann).expect("memory");
        let rising = vec![i32::from(Role::Author), i32::from(Role::Operator)];
        assert_eq!(bound().expect("a binding").roles, rising);
        world.done(revoke("ann", "acme", Role::Author), &World::root());
        assert_eq!(
            world.refused(revoke("ann", "acme", Role::Author), &World::root()).code,
            Code::UnknownRole
        );
        assert_eq!(world.refused(revoke("ann", "*", Role::Operator), &World::root()).code, Code::UnknownRole);
        world.done(revoke("ann", "acme", Role::Operator), &World::root());
        assert_eq!(bound(), None);
        let scopes = roles::scopes(&world.view(), &ann, &PageQuery::first()).expect("memory");
        assert!(scopes.rows.is_empty(), "both tables agree");
    }

    #[test]
    fn an_administrator_of_a_tenant_gives_nothing_beyond_it() {
        let world = World::new();
        world.tenant("acme");
        world.tenant("globex");
        let ann = world.with_role("ann", "acme", Role::Admin);
        for scope in ["*", "globex"] {
            assert_eq!(world.refused(grant("ann", scope, Role::Viewer), &ann).code, Code::Forbidden);
        }
        world.done(grant("ann", "acme", Role::Approver), &ann);
    }

    #[test]
    fn names_and_roles_must_exist() {
        let world = World::new();
        world.tenant("acme");
        let root = World::root();
        assert_eq!(world.refused(grant("ann", "acme", Role::Viewer), &root).code, Code::UnknownPerson);
        assert_eq!(world.refused(grant("a n", "acme", Role::Viewer), &root).code, Code::Invalid);
        assert_eq!(world.refused(grant("root", "acme", Role::Unspecified), &root).code, Code::Invalid);
        let newer = GrantRole { role: 99, ..grant("root", "acme", Role::Viewer) };
        assert_eq!(world.refused(newer, &root).code, Code::Invalid);
        assert_eq!(world.refused(grant("root", "initech", Role::Viewer), &root).code, Code::UnknownTenant);
        world.done(grant("root", "acme", Role::Viewer), &root);
        world.done(RetireTenant { tenant: "acme".to_owned() }, &root);
        assert_eq!(world.refused(grant("root", "acme", Role::Author), &root).code, Code::TenantRetired);
        world.done(revoke("root", "acme", Role::Viewer), &root);
    }

    #[test]
    fn the_last_administrator_stays() {
        let world = World::new();
        let root = World::root();
        let disable = |name: &str| PutPerson { name: name.to_owned(), disabled: true, ..Default::default() };
        assert_eq!(world.refused(revoke("root", "*", Role::Admin), &root).code, Code::LastAdmin);
        assert_eq!(world.refused(disable("root"), &root).code, Code::LastAdmin);
        world.with_role("ann", "*", Role::Admin);
        world.done(disable("ann"), &root);
        assert_eq!(world.refused(disable("root"), &root).code, Code::LastAdmin, "ann does not count");
        world.done(PutPerson { name: "ann".to_owned(), ..Default::default() }, &root);
        world.done(revoke("root", "*", Role::Admin), &root);
        assert_eq!(world.refused(disable("ann"), &World::person("ann")).code, Code::LastAdmin);
    }

    #[test]
    fn roles_have_names() {
        for role in [Role::Viewer, Role::Auditor, Role::Author, Role::Approver, Role::Operator, Role::Admin] {
            assert_eq!(who::from_name(&who::name(role)), Some(role));
        }
        assert_eq!(who::from_name("unspecified"), None);
    }
}
