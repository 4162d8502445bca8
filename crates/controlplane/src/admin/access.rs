//! Who may read what: the one table of it (TEN-1). Who may change what stands beside each command.

use aegis_model::ids::{PersonId, TenantId};
use aegis_proto::control::Role;

use crate::state::key::Scope;

/// What a call wants to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read<'a> {
    /// Everything of a tenant but its control log.
    Tenant(&'a TenantId),
    /// What somebody sees who publishes for a tenant: whether their policy is one that was published before.
    Publication(&'a TenantId),
    /// What somebody needs who makes, changes and tries the channels of a tenant.
    Channels(&'a TenantId),
    /// A tenant's control log, and what was decided for it.
    TenantRecords(&'a TenantId),
    /// The control log of all tenants and of the cluster.
    Records,
    /// Control nodes, data nodes and public keys.
    Cluster,
    /// People and their roles, as a list.
    People,
    /// One person, and which roles they have.
    Person(&'a PersonId),
    /// The ids of a person's tokens.
    PersonTokens(&'a PersonId),
    /// What everybody may: their own name and roles.
    Oneself,
}

/// What a read needs: one of the roles in the scope, or to be the person it is about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Needs<'a> {
    pub(crate) scope: Scope,
    pub(crate) roles: &'static [Role],
    pub(crate) or_oneself: Option<&'a PersonId>,
    pub(crate) or_anybody: bool,
}

/// Every role sees what is not a record.
const ANY: &[Role] =
    &[Role::Viewer, Role::Auditor, Role::Author, Role::Approver, Role::Operator, Role::Admin];
const RECORDS: &[Role] = &[Role::Auditor, Role::Admin];
const AUTHORS: &[Role] = &[Role::Author, Role::Admin];
const PEOPLE: &[Role] = &[Role::Viewer, Role::Auditor, Role::Admin];
const ADMIN: &[Role] = &[Role::Admin];

impl<'a> Read<'a> {
    /// What it needs.
    pub(crate) fn needs(self) -> Needs<'a> {
        let of = |scope, roles| Needs { scope, roles, or_oneself: None, or_anybody: false };
        match self {
            Self::Tenant(tenant) => of(Scope::Tenant(tenant.clone()), ANY),
            Self::Publication(tenant) => of(Scope::Tenant(tenant.clone()), AUTHORS),
            Self::TenantRecords(tenant) => of(Scope::Tenant(tenant.clone()), RECORDS),
            Self::Channels(tenant) => of(Scope::Tenant(tenant.clone()), ADMIN),
            Self::Records => of(Scope::Cluster, RECORDS),
            Self::Cluster => of(Scope::Cluster, ANY),
            Self::People => of(Scope::Cluster, PEOPLE),
            Self::Person(person) => Needs { or_oneself: Some(person), ..of(Scope::Cluster, PEOPLE) },
            Self::PersonTokens(person) => Needs { or_oneself: Some(person), ..of(Scope::Cluster, ADMIN) },
            Self::Oneself => Needs { or_anybody: true, ..of(Scope::Cluster, &[]) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_tenant_is_open_to_another_scope() {
        let tenant: TenantId = "acme".parse().unwrap();
        for read in [Read::Tenant(&tenant), Read::TenantRecords(&tenant)] {
            let needs = read.needs();
            assert_eq!(needs.scope, Scope::Tenant(tenant.clone()));
            assert!(!needs.or_anybody && needs.or_oneself.is_none());
        }
    }

    #[test]
    fn records_are_for_auditors_and_administrators() {
        assert_eq!(Read::Records.needs().roles, [Role::Auditor, Role::Admin]);
    }
}
