//! What data nodes have asked for last of budgets, so that a repeated ask is answered and not applied again; and which of
//! the leases that are out nobody can bring back, and who may ask for what.

use std::collections::BTreeMap;

use aegis_model::ids::TenantId;
use aegis_proto::control::{Borrower, DataNode, Loan, Tenant};
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::limit_id::{LimitId, LimitOwner};
use super::writer::Writer;
use super::{data_nodes, key, row, tenants};

/// Id of the data node, big-endian → [`Borrower`].
pub const BORROWERS: Table = Table::new("borrowers");

/// What the data node with this id asked for last; nothing before it asked.
///
/// # Errors
/// The storage failed.
pub fn borrower(state: &impl StateRead, node: u64) -> Result<Option<Borrower>, StoreError> {
    row::read(state, BORROWERS, &key::rising(node))
}

pub(crate) fn put(write: &mut Writer<'_, '_>, borrower: &Borrower) -> Result<(), StoreError> {
    write.put(BORROWERS, &key::rising(borrower.node), borrower)
}

pub(crate) fn delete(write: &mut Writer<'_, '_>, node: u64) -> Result<(), StoreError> {
    write.delete(BORROWERS, &key::rising(node)).map(|_was_there| ())
}

/// Tells which loans are lost: their holder is dead, and what could be proven of it was returned; or its node was retired.
/// They are spent, as far as anybody can know. Looks each node up once.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    /// By node, the first life whose loans may still come back; nothing: none.
    living: BTreeMap<u64, Option<u64>>,
}

impl Lost {
    /// Whether nobody can bring `loan` back.
    pub(crate) fn is_lost(&mut self, state: &impl StateRead, loan: &Loan) -> Result<bool, StoreError> {
        let first = match self.living.get(&loan.node) {
            Some(known) => *known,
            None => {
                let first = first_living(state, loan.node)?;
                self.living.insert(loan.node, first);
                first
            }
        };
        Ok(first.is_none_or(|first| loan.incarnation < first))
    }

    /// Notes that `node` has just returned, in this life, everything that it could prove of earlier ones.
    pub(crate) fn note_recovered(&mut self, node: u64, incarnation: u64) {
        self.living.insert(node, Some(incarnation));
    }
}

/// Whether `node` may have to do with a limit: one that serves a single tenant, with that tenant's and its organization's only
/// (TEN-1); any other, with those of every living tenant and of every organization.
pub(crate) fn may_ask(state: &impl StateRead, node: &DataNode, id: &LimitId) -> Result<bool, StoreError> {
    let living = |tenant: &TenantId| -> Result<Option<Tenant>, StoreError> {
        Ok(tenants::tenant(state, tenant)?.filter(|row| row.retired_ms == 0))
    };
    match (id.owner(), node.tenant.as_str()) {
        (LimitOwner::Tenant(tenant), "") => Ok(living(tenant)?.is_some()),
        (LimitOwner::Tenant(tenant), only) => Ok(tenant.as_str() == only && living(tenant)?.is_some()),
        (LimitOwner::Organization(_), "") => Ok(true),
        (LimitOwner::Organization(organization), only) => {
            let Ok(only) = only.parse() else { return Ok(false) };
            Ok(living(&only)?.is_some_and(|row| row.organization == organization.as_str()))
        }
    }
}

fn first_living(state: &impl StateRead, node: u64) -> Result<Option<u64>, StoreError> {
    match data_nodes::data_node(state, node)? {
        Some(row) if row.retired_ms == 0 => {
            Ok(Some(borrower(state, node)?.map_or(0, |it| it.recovered_incarnation)))
        }
        Some(_) | None => Ok(None),
    }
}
