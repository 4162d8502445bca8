//! The policies in force at a node, tenant by tenant: from checked sets to the snapshot that the node swaps in.

use std::collections::BTreeMap;

use aegis_dataplane::snapshot::{Snapshot, Tenant};
use aegis_identity::verify::Verifier;
use aegis_model::decision::PolicyRef;
use aegis_model::ids::TenantId;
use aegis_policy::ast::PolicySet;
use aegis_policy::diagnostic::Diagnostic;

use crate::state::{Numbers, fingerprint};

/// What is in force, and the numbers that it got.
#[derive(Debug)]
pub(crate) struct Enforced {
    verifier: Verifier,
    numbers: Numbers,
    tenants: BTreeMap<TenantId, InForce>,
    /// The number of the last snapshot that was made.
    made: u64,
}

#[derive(Debug)]
struct InForce {
    tenant: Tenant,
    fingerprint: String,
}

/// What became of a set that was offered.
#[derive(Debug)]
pub(crate) enum Offered {
    /// It will be in force with the next snapshot.
    Taken(PolicyRef),
    /// It is what is in force already.
    Same,
    /// It cannot be run; what was in force stays.
    Refused(Vec<Diagnostic>),
}

impl Enforced {
    /// Nothing in force yet.
    pub(crate) fn new(verifier: Verifier, numbers: Numbers) -> Self {
        Self { verifier, numbers, tenants: BTreeMap::new(), made: 0 }
    }

    /// Offers a set for `tenant`. Takes as long as compiling does.
    ///
    /// # Errors
    /// Its numbers cannot be kept; what was in force stays.
    pub(crate) fn offer(&mut self, tenant: &TenantId, set: &PolicySet) -> anyhow::Result<Offered> {
        let fingerprint = fingerprint(&set.files);
        if self.tenants.get(tenant).is_some_and(|in_force| in_force.fingerprint == fingerprint) {
            return Ok(Offered::Same);
        }
        let candidate = self.numbers.candidate(tenant, &fingerprint);
        let loaded = match Tenant::load(tenant.clone(), set, candidate.version, candidate.activation) {
            Ok(loaded) => loaded,
            Err(diagnostics) => return Ok(Offered::Refused(diagnostics)),
        };
        self.numbers.accept(tenant, candidate)?;
        let policy = loaded.policy().clone();
        self.tenants.insert(tenant.clone(), InForce { tenant: loaded, fingerprint });
        Ok(Offered::Taken(policy))
    }

    /// The policy in force for `tenant`.
    pub(crate) fn policy(&self, tenant: &TenantId) -> Option<&PolicyRef> {
        self.tenants.get(tenant).map(|in_force| in_force.tenant.policy())
    }

    /// Everything in force, as a snapshot with a number of its own; nothing if nothing was taken since the last one.
    pub(crate) fn snapshot(&mut self) -> Option<Snapshot> {
        let number = self.numbers.snapshot();
        if std::mem::replace(&mut self.made, number) == number {
            return None;
        }
        let tenants = self.tenants.values().map(|in_force| in_force.tenant.clone());
        Some(Snapshot::new(number, self.verifier.clone(), tenants))
    }
}
