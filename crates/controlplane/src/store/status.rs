//! What the object store lacks, for the admin API and for metrics.

use std::collections::{BTreeMap, BTreeSet};

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::v1;
use serde::Serialize;
use tokio::sync::watch;

use super::shelf::ShelfError;
use crate::raft::object_store::StoreKeeper;

/// How far the object store is behind the state, as the worker of this node sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StoreStatus {
    /// Where the store is.
    pub place: String,
    /// Whether this node keeps the store: the leader does. The rest says nothing where it does not.
    pub active: bool,
    /// Objects that should be there, and are not known to be: versions and enforced bundles. 0 before the first look.
    pub pending: u64,
    /// Whether the state was compared with the store as a whole since this node leads.
    pub compared: bool,
    /// When everything was there, in milliseconds since 1970. 0: never since this node leads.
    pub complete_ms: u64,
    /// After how many failures in a row it waits to try again. 0: the store answers.
    pub failures: u32,
    /// What is wrong, at most [`caps::STORE_PROBLEMS_MAX`].
    pub problems: Vec<Problem>,
    /// How many more problems there are.
    pub more_problems: u64,
    /// How far each tenant is.
    #[serde(skip)]
    pub tenants: BTreeMap<TenantId, TenantStatus>,
}

/// Something that is not as it should be at the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The tenant.
    pub tenant: TenantId,
    /// The version; `None`: the enforced bundle, or all of the tenant's.
    pub version: Option<u64>,
    /// Stable, as of [`ShelfError::code`].
    pub code: &'static str,
    /// What happened, without secrets.
    pub message: String,
}

/// How far a tenant is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantStatus {
    /// Every version up to this one is at the store, or was given up before it came there, except `differs`.
    pub shelved_to: u64,
    /// Versions at whose place something else lies.
    pub differs: BTreeSet<u64>,
    /// The version whose bundle is the enforced one at the store. 0: none.
    pub enforced: u64,
}

/// Where a version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shelving {
    /// At the store.
    Stored,
    /// Not there yet, or not known to be.
    Pending,
    /// Something else lies at its place.
    Differs,
    /// This node does not keep the store.
    Unknown,
}

impl StoreKeeper for watch::Receiver<StoreStatus> {
    fn kept(&self) -> Option<v1::RaftObjectStore> {
        let status = self.borrow();
        status.active.then(|| status.told())
    }
}

impl StoreStatus {
    fn told(&self) -> v1::RaftObjectStore {
        let problem = |it: &Problem| v1::RaftObjectStoreProblem {
            tenant: it.tenant.to_string(),
            version: it.version,
            code: it.code.to_owned(),
            message: it.message.clone(),
        };
        v1::RaftObjectStore {
            place: self.place.clone(),
            pending: self.pending,
            compared: self.compared,
            complete_ms: self.complete_ms,
            failures: self.failures,
            problems: self.problems.iter().map(problem).collect(),
            more_problems: self.more_problems,
        }
    }

    /// Where the tenant's version is.
    pub fn of(&self, tenant: &TenantId, version: u64) -> Shelving {
        if !self.active {
            return Shelving::Unknown;
        }
        match self.tenants.get(tenant) {
            Some(status) if status.differs.contains(&version) => Shelving::Differs,
            Some(status) if status.shelved_to >= version => Shelving::Stored,
            Some(_) | None => Shelving::Pending,
        }
    }

    pub(super) fn add(&mut self, tenant: &TenantId, version: Option<u64>, error: &ShelfError) {
        if self.problems.len() >= caps::STORE_PROBLEMS_MAX {
            self.more_problems += 1;
            return;
        }
        let (code, message) = (error.code(), error.to_string());
        self.problems.push(Problem { tenant: tenant.clone(), version, code, message });
    }
}
