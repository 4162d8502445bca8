//! One tenant: which version judges whom, what is revoked, and how old news may be.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aegis_audit::hash::DigestKey;
use aegis_audit::journal::Durability;
use aegis_dlp::redact::Key as RedactionKey;
use aegis_model::caps;
use aegis_model::decision::PolicyRef;
use aegis_model::ids::{AgentId, TenantId};
use aegis_model::tenant_key::TenantKeys;
use aegis_policy::ast::PolicySet;
use aegis_policy::diagnostic::Diagnostic;
#[cfg(test)]
use aegis_policy::judge::{Question, Verdict};

use super::canary::{Percent, is_in_canary};
use super::organization::OrganizationLimits;
use super::revoked::Revoked;
use super::version::Version;
use crate::retention::Retention;
use crate::room::Room;
use crate::sealing::Sealer;

/// The purpose of the keys of digests in records.
const RECORD_PURPOSE: &str = "record";

/// One tenant of a snapshot.
#[derive(Clone)]
pub struct Tenant {
    id: TenantId,
    history: u64,
    enforced: Arc<Version>,
    canary: Option<(Percent, Arc<Version>)>,
    revoked: Arc<Revoked>,
    staleness: Staleness,
    recording: RecordTerms,
    organization_limits: Option<Arc<OrganizationLimits>>,
    keys: Option<Arc<TenantKeys>>,
    /// What digests in records are made under, and the version of the key that it comes from.
    record_key: Option<Arc<(u32, DigestKey)>>,
    /// What tokens and hashes are made with, of the newest of its keys.
    redaction_key: Option<Arc<RedactionKey>>,
    /// What seals values beside their tokens, of the newest of its keys.
    sealer: Option<Arc<Sealer>>,
    retention: Retention,
    room: Room,
    /// Its name in metrics; nothing if it is summed up with others.
    label: Option<TenantId>,
}

/// The purpose of the key that makes tokens and hashes of values (`TenantKey::derive`).
const REDACTION: &str = "dlp";

/// For how long a tenant is judged by news of a certain age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Staleness {
    /// Older than that: `PolicyStale`.
    After(Duration),
    /// However old they are: the tenant asked for it in writing.
    Never,
}

impl Default for Staleness {
    fn default() -> Self {
        Self::After(Duration::from_secs(u64::from(caps::STALENESS_SECONDS_DEFAULT)))
    }
}

impl Staleness {
    /// Whether news of this age are too old.
    pub fn is_over(self, age: Duration) -> bool {
        match self {
            Self::After(longest) => age > longest,
            Self::Never => false,
        }
    }
}

/// What answers wait for, and whether their receipts are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordTerms {
    /// What a record waits for: the sync, unless the tenant relaxed it in writing.
    pub durability: Durability,
    /// Whether every receipt is signed.
    pub signed: bool,
}

impl Default for RecordTerms {
    fn default() -> Self {
        Self { durability: Durability::Synced, signed: false }
    }
}

impl RecordTerms {
    /// The same for one call, which may ask for a signature: a record whose receipt is signed is always synced, since after a power
    /// cut its signature would speak against the log.
    pub fn of_call(self, sign_receipt: bool) -> Self {
        match self.signed || sign_receipt {
            true => Self { durability: Durability::Synced, signed: true },
            false => self,
        }
    }
}

impl Tenant {
    /// Tenant `id`, all of whose agents are judged by `enforced`; with nothing revoked and the usual staleness.
    pub fn new(id: TenantId, enforced: Arc<Version>) -> Self {
        Self {
            id,
            history: 0,
            enforced,
            canary: None,
            revoked: Arc::default(),
            staleness: Staleness::default(),
            recording: RecordTerms::default(),
            organization_limits: None,
            keys: None,
            record_key: None,
            redaction_key: None,
            sealer: None,
            retention: Retention::default(),
            room: Room::new(0),
            label: None,
        }
    }

    /// Prepares `set` as `version` of tenant `id`, enforced by `activation`, for a node that has no control plane. The
    /// policy's digest becomes known here.
    ///
    /// # Errors
    /// The fields that this node cannot enforce yet or, as limits, not without a control plane, or what keeps the set from
    /// being prepared; in each case with their places.
    pub fn load(
        id: TenantId,
        set: &PolicySet,
        version: u64,
        activation: u64,
    ) -> Result<Self, Vec<Diagnostic>> {
        Ok(Self::new(id, Arc::new(Version::load(set, version, activation)?)))
    }

    /// A tenant whose every call is judged by `judge`.
    #[cfg(test)]
    pub(crate) fn planted(id: &str, policy: PolicyRef, judge: fn(&Question<'_>) -> Verdict) -> Self {
        let id = id.parse().expect("a tenant's name");
        Self::new(id, Arc::new(Version::planted(policy, judge)))
    }

    /// The same, with the history in which its activation is in force.
    #[must_use]
    pub fn in_history(self, history: u64) -> Self {
        Self { history, ..self }
    }

    /// The same, with `canary` judging a share of the agents.
    #[must_use]
    pub fn with_canary(self, share: Percent, canary: Arc<Version>) -> Self {
        Self { canary: Some((share, canary)), ..self }
    }

    /// The same, with evidence that counts no more.
    #[must_use]
    pub fn with_revoked(self, revoked: Arc<Revoked>) -> Self {
        Self { revoked, ..self }
    }

    /// The same, with a staleness of its own.
    #[must_use]
    pub fn with_staleness(self, staleness: Staleness) -> Self {
        Self { staleness, ..self }
    }

    /// The same, with what its answers wait for.
    #[must_use]
    pub fn with_recording(self, recording: RecordTerms) -> Self {
        Self { recording, ..self }
    }

    /// The same, with what all tenants of its organization may use together.
    #[must_use]
    pub fn with_organization_limits(self, limits: Option<Arc<OrganizationLimits>>) -> Self {
        Self { organization_limits: limits, ..self }
    }

    /// The same, with the time for which its records are kept.
    #[must_use]
    pub fn with_retention(self, retention: Retention) -> Self {
        Self { retention, ..self }
    }

    /// The same, with its secret keys.
    #[must_use]
    pub fn with_keys(self, keys: Option<Arc<TenantKeys>>) -> Self {
        let record_key = keys.as_deref().map(|keys| {
            let key = keys.current();
            Arc::new((key.version(), DigestKey::new(&key.derive(RECORD_PURPOSE))))
        });
        let redaction_key = keys.as_deref().map(|keys| {
            let key = keys.current();
            Arc::new(RedactionKey::new(key.version(), *key.derive(REDACTION).expose()))
        });
        let sealer = keys.as_deref().and_then(|keys| Sealer::new(self.id.clone(), keys.current()));
        Self { keys, record_key, redaction_key, sealer: sealer.map(Arc::new), ..self }
    }

    /// The same, with its seats and its label.
    pub(super) fn seated(self, room: Room, label: Option<TenantId>) -> Self {
        Self { room, label, ..self }
    }

    /// Its name.
    pub fn id(&self) -> &TenantId {
        &self.id
    }

    /// What is enforced for it; a canary judges a share of the agents instead.
    pub fn policy(&self) -> &PolicyRef {
        self.enforced.policy()
    }

    /// What may never go back: the history, and the activation within it (POL-2).
    pub(crate) fn stamp(&self) -> (u64, u64) {
        (self.history, self.policy().activation)
    }

    /// The version that judges `agent`: always the same one under the same activation.
    pub(crate) fn version_for(&self, agent: &AgentId) -> &Arc<Version> {
        match &self.canary {
            Some((share, canary)) if is_in_canary(&self.id, agent, *share) => canary,
            Some(_) | None => &self.enforced,
        }
    }

    pub(crate) fn revoked(&self) -> &Revoked {
        &self.revoked
    }

    /// What all tenants of its organization may use together.
    pub fn organization_limits(&self) -> Option<&OrganizationLimits> {
        self.organization_limits.as_deref()
    }

    /// Its secret keys, of which the newest makes what is new: take the key of a purpose from it
    /// ([`TenantKey::derive`](aegis_model::tenant_key::TenantKey::derive)). Nothing if the control plane has not given it one yet:
    /// what needs one is refused then.
    pub fn keys(&self) -> Option<&TenantKeys> {
        self.keys.as_deref()
    }

    /// The key of digests in records, and its version.
    pub(crate) fn record_key(&self) -> Option<(u32, &DigestKey)> {
        self.record_key.as_deref().map(|(version, key)| (*version, key))
    }

    /// What seals values; nothing if there is no key for it.
    pub(crate) fn sealer(&self) -> Option<&Arc<Sealer>> {
        self.sealer.as_ref()
    }

    /// What tokens and hashes are made with; nothing if there is `need` of it and the tenant has none.
    pub(crate) fn redaction_key(&self, need: bool) -> Option<Arc<RedactionKey>> {
        match &self.redaction_key {
            Some(key) => Some(Arc::clone(key)),
            // It makes nothing: no rule asks for a token or a hash.
            None => (!need).then(|| Arc::new(RedactionKey::new(0, [0; 32]))),
        }
    }

    /// What its answers wait for, and whether their receipts are signed.
    pub(crate) fn recording(&self) -> RecordTerms {
        self.recording
    }

    pub(crate) fn retention(&self) -> Retention {
        self.retention
    }

    pub(crate) fn staleness(&self) -> Staleness {
        self.staleness
    }

    /// Its name in metrics, unless it is summed up with others.
    pub(crate) fn label(&self) -> Option<&str> {
        self.label.as_ref().map(TenantId::as_str)
    }

    pub(crate) fn room(&self) -> &Room {
        &self.room
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant").field("id", &self.id).field("policy", self.policy()).finish_non_exhaustive()
    }
}
