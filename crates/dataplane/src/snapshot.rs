//! Everything a call is judged under, as one immutable value that is swapped whole.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use aegis_identity::verify::Verifier;
use aegis_model::caps;
use aegis_model::decision::PolicyRef;
use aegis_model::ids::TenantId;
use aegis_policy::ast::PolicySet;
use aegis_policy::diagnostic::Diagnostic;
use aegis_policy::enforce;
use aegis_policy::judge::{Question, Verdict};
use aegis_policy::prepared::Prepared;
use serde_json::Value;

use crate::room::{Room, tenant_seats};

/// The state that one call sees from its first stage to its last (WALK-1). Built off the hot path.
#[derive(Debug)]
pub struct Snapshot {
    version: u64,
    verifier: Verifier,
    tenants: HashMap<TenantId, Arc<Tenant>>,
}

impl Snapshot {
    /// A snapshot with the node-wide number `version`, which grows with every swap; it trusts what `verifier`
    /// trusts and serves `tenants`.
    pub fn new(version: u64, verifier: Verifier, tenants: impl IntoIterator<Item = Tenant>) -> Self {
        let tenants = tenants.into_iter().map(|tenant| (tenant.id.clone(), Arc::new(tenant))).collect();
        Self { version, verifier, tenants }
    }

    /// Its number.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Each tenant that is served, and the policy that is enforced for it; in no order.
    pub fn policies(&self) -> impl Iterator<Item = (&TenantId, &PolicyRef)> {
        self.tenants.values().map(|tenant| (&tenant.id, &tenant.policy))
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
            let before = previous.tenants.get(&tenant.id);
            before.is_some_and(|before| before.policy.activation > tenant.policy.activation)
        });
        if let Some(tenant) = older {
            return Err(SwapRefusal::Activation { tenant: tenant.id.clone() });
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
                Some(before) => before.room.resized(share),
                None => Room::new(share),
            };
            let label = (rank < caps::TENANT_LABELS_MAX).then_some(name);
            *tenant = Arc::new(Tenant { room, label, ..Tenant::clone(tenant) });
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

/// One tenant: its policy, ready to judge.
#[derive(Clone)]
pub struct Tenant {
    id: TenantId,
    policy: PolicyRef,
    engine: Engine,
    room: Room,
    /// Its name in metrics; nothing if it is summed up with others.
    label: Option<TenantId>,
}

#[derive(Clone)]
enum Engine {
    Prepared(Arc<Prepared>),
    /// A judgement made up by a test: one that panics, or that tells which snapshot it belongs to.
    #[cfg(test)]
    Planted(fn(&Question<'_>) -> Verdict),
}

impl Tenant {
    /// Prepares `set` as `version` of tenant `id`, enforced by `activation`. The policy's digest becomes known here.
    ///
    /// # Errors
    /// The fields that this node cannot enforce yet, or what keeps the set from being prepared; in both cases
    /// with their places.
    pub fn load(
        id: TenantId,
        set: &PolicySet,
        version: u64,
        activation: u64,
    ) -> Result<Self, Vec<Diagnostic>> {
        let unenforced = enforce::unenforced(set);
        if !unenforced.is_empty() {
            return Err(unenforced);
        }
        let prepared = Arc::new(Prepared::new(set)?);
        let policy = PolicyRef { version, digest: prepared.digest().into(), activation };
        Ok(Self { id, policy, engine: Engine::Prepared(prepared), room: Room::new(0), label: None })
    }

    /// A tenant whose every call is judged by `judge`.
    #[cfg(test)]
    pub(crate) fn planted(id: &str, policy: PolicyRef, judge: fn(&Question<'_>) -> Verdict) -> Self {
        let id = id.parse().expect("a tenant's name");
        Self { id, policy, engine: Engine::Planted(judge), room: Room::new(0), label: None }
    }

    /// Its name.
    pub fn id(&self) -> &TenantId {
        &self.id
    }

    /// What is enforced for it.
    pub fn policy(&self) -> &PolicyRef {
        &self.policy
    }

    /// Its name in metrics, unless it is summed up with others.
    pub(crate) fn label(&self) -> Option<&str> {
        self.label.as_ref().map(TenantId::as_str)
    }

    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    /// Judges one call. May panic where the policy engine does.
    pub(crate) fn judge(&self, question: &Question<'_>) -> Verdict {
        match &self.engine {
            Engine::Prepared(prepared) => prepared.judge(question),
            #[cfg(test)]
            Engine::Planted(judge) => judge(question),
        }
    }

    /// Judges one call and tells how, step by step.
    pub(crate) fn explain(&self, question: &Question<'_>) -> (Verdict, Value) {
        match &self.engine {
            Engine::Prepared(prepared) => {
                let explanation = prepared.explain(question);
                let steps = serde_json::to_value(&explanation);
                (explanation.verdict, steps.expect("an explanation has text keys only, so it is written"))
            }
            #[cfg(test)]
            Engine::Planted(judge) => (judge(question), Value::Null),
        }
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant").field("id", &self.id).field("policy", &self.policy).finish_non_exhaustive()
    }
}
