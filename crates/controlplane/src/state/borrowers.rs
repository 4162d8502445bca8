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

/// What has become of a loan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is out, and may come back.
    Out,
    /// Its holder is dead, and nobody can tell what was left: it is spent, as far as anybody can know.
    Spent,
    /// Its holder is dead, and it is proven that it never took it in.
    NeverTaken,
}

/// Tells what has become of loans. Looks each node up once.
#[derive(Debug, Default)]
pub(crate) struct Fates {
    /// Nothing: it was retired.
    known: BTreeMap<u64, Option<Lives>>,
}

/// The lives of a data node of which it has told.
#[derive(Debug, Clone, Copy)]
struct Lives {
    /// The first one whose loans may still come back.
    recovered: u64,
    /// The first one before it of which everything is known.
    complete: u64,
}

impl Fates {
    /// What has become of `loan`.
    pub(crate) fn of(&mut self, state: &impl StateRead, loan: &Loan) -> Result<Fate, StoreError> {
        let lives = match self.known.get(&loan.node) {
            Some(known) => *known,
            None => {
                let lives = lives(state, loan.node)?;
                self.known.insert(loan.node, lives);
                lives
            }
        };
        Ok(match lives {
            None => Fate::Spent,
            Some(lives) if loan.incarnation >= lives.recovered => Fate::Out,
            Some(lives) if loan.incarnation >= lives.complete => Fate::NeverTaken,
            Some(_) => Fate::Spent,
        })
    }

    /// Notes what `borrower` has just told of its earlier lives.
    pub(crate) fn note(&mut self, borrower: &Borrower) {
        self.known.insert(borrower.node, Some(Lives::of(borrower)));
    }
}

impl Lives {
    fn of(borrower: &Borrower) -> Self {
        Self { recovered: borrower.recovered_incarnation, complete: borrower.complete_incarnation }
    }
}

fn lives(state: &impl StateRead, node: u64) -> Result<Option<Lives>, StoreError> {
    match data_nodes::data_node(state, node)? {
        Some(row) if row.retired_ms == 0 => Ok(Some(Lives::of(&borrower(state, node)?.unwrap_or_default()))),
        Some(_) | None => Ok(None),
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
