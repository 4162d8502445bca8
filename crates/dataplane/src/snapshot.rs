//! Everything a call is judged under, as one immutable value that is swapped whole.

mod canary;
mod organization;
mod revoked;
mod shards;
mod tenant;
mod version;

use std::collections::HashMap;
use std::sync::Arc;

use aegis_identity::cache::TokenCache;
use aegis_identity::trust::Trust;
use aegis_identity::verify::Verifier;
use aegis_model::caps;
use aegis_model::decision::PolicyRef;
use aegis_model::ids::TenantId;

use crate::room::{Room, tenant_seats};

pub use canary::{Percent, is_in_canary};
pub use organization::{OrganizationBudget, OrganizationLimits};
pub use revoked::Revoked;
pub use shards::{ShardMap, ShardNode};
pub use tenant::{RecordTerms, Staleness, Tenant};
pub use version::Version;

/// The state that one call sees from its first stage to its last (WALK-1). Built off the hot path.
#[derive(Debug)]
pub struct Snapshot {
    version: u64,
    phase: Phase,
    verifier: Verifier,
    tenants: HashMap<TenantId, Arc<Tenant>>,
    shards: Arc<ShardMap>,
}

/// How much of what a node should enforce is in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing is known yet: not even whose tokens count.
    Awaiting,
    /// What was told first is still being made ready, tenant by tenant.
    Starting,
    /// Everything that was told first was made ready, or could not be.
    Whole,
}

impl Snapshot {
    /// A snapshot with the node-wide number `version`, which grows with every swap; it trusts what `verifier`
    /// trusts and serves `tenants`.
    pub fn new(version: u64, verifier: Verifier, tenants: impl IntoIterator<Item = Tenant>) -> Self {
        let tenants = tenants.into_iter().map(|tenant| (tenant.id().clone(), Arc::new(tenant))).collect();
        Self { version, phase: Phase::Whole, verifier, tenants, shards: Arc::default() }
    }

    /// The snapshot of a node that waits for its first news from the control plane: it answers no call, and is ready
    /// only after another one took its place.
    pub fn awaiting() -> Self {
        let nobody = Trust::new([]).expect("no key is bound to two issuers, or one too many");
        let verifier = Verifier::new(Arc::new(nobody), Arc::new(TokenCache::with_entries(0)));
        let tenants = HashMap::new();
        Self { version: 0, phase: Phase::Awaiting, verifier, tenants, shards: Arc::default() }
    }

    /// The same, with what is known of the nodes that own slots.
    #[must_use]
    pub fn with_shards(self, shards: Arc<ShardMap>) -> Self {
        Self { shards, ..self }
    }

    /// The same, marked as not whole yet: a node with it is not ready, but answers whom it can.
    pub(crate) fn starting(mut self) -> Self {
        self.phase = Phase::Starting;
        self
    }

    /// How much it holds.
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Its number.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Each tenant that is served, and the policy that is enforced for it; in no order.
    pub fn policies(&self) -> impl Iterator<Item = (&TenantId, &PolicyRef)> {
        self.tenants.values().map(|tenant| (tenant.id(), tenant.policy()))
    }

    /// Which data nodes own slots.
    pub fn shards(&self) -> &Arc<ShardMap> {
        &self.shards
    }

    pub(crate) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    pub(crate) fn tenant(&self, id: &TenantId) -> Option<&Arc<Tenant>> {
        self.tenants.get(id)
    }

    /// This snapshot as the successor of `previous` at a node of so many `seats`: each tenant's calls in progress
    /// keep counting.
    ///
    /// # Errors
    /// [`SwapRefusal`]: a node never goes back (POL-2).
    pub(crate) fn succeeding(mut self, previous: &Snapshot, seats: usize) -> Result<Self, SwapRefusal> {
        if self.version <= previous.version {
            return Err(SwapRefusal::Version { enforced: previous.version, offered: self.version });
        }
        let older = self.tenants.values().find(|tenant| {
            let before = previous.tenants.get(tenant.id());
            before.is_some_and(|before| before.stamp() > tenant.stamp())
        });
        if let Some(tenant) = older {
            return Err(SwapRefusal::Activation { tenant: tenant.id().clone() });
        }
        self.assign_rooms(seats, Some(previous));
        Ok(self)
    }

    /// Gives each tenant its share of the node's `seats`, and its label in metrics.
    pub(crate) fn assign_rooms(&mut self, seats: usize, previous: Option<&Snapshot>) {
        let share = tenant_seats(seats, self.tenants.len());
        let mut names: Vec<TenantId> = self.tenants.keys().cloned().collect();
        names.sort_unstable();
        for (rank, name) in names.into_iter().enumerate() {
            let Some(tenant) = self.tenants.get_mut(&name) else { continue };
            let room = match previous.and_then(|previous| previous.tenants.get(&name)) {
                Some(before) => before.room().resized(share),
                None => Room::new(share),
            };
            let label = (rank < caps::TENANT_LABELS_MAX).then_some(name);
            *tenant = Arc::new(Tenant::clone(tenant).seated(room, label));
        }
    }

    /// Every tenant.
    pub(crate) fn tenants(&self) -> impl Iterator<Item = &Tenant> {
        self.tenants.values().map(|tenant| &**tenant)
    }
}

/// Why a snapshot is not put into force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SwapRefusal {
    /// Its number does not grow.
    #[error("snapshot {offered} does not follow snapshot {enforced}")]
    Version {
        /// The number in force.
        enforced: u64,
        /// The number offered.
        offered: u64,
    },
    /// It would take a tenant back to an earlier activation.
    #[error("the snapshot would take tenant `{tenant}` back to an earlier activation")]
    Activation {
        /// The tenant.
        tenant: TenantId,
    },
}
