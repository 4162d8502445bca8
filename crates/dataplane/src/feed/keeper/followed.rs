//! One tenant of the feed: what was told of it, what is ready, what is in force, and what stands in the way.

use std::collections::HashMap;
use std::sync::Arc;

use aegis_identity::manifest::{ManifestTrust, Verified};
use aegis_model::decision::PolicyRef;
use aegis_model::digest::Digest;
use aegis_policy::prepared::Prepared;
use aegis_proto::v1;
use tokio::time::Instant;

use crate::feed::builds::Failed;
use crate::feed::floor::Stamp;
use crate::feed::pace::{Pace, retry_after};
use crate::feed::prepare::cut;
use crate::feed::told::{Told, ToldStaleness, Wanted};
use crate::snapshot::{Percent, Staleness, Tenant, Version};

/// One tenant. It is at its activation as a whole or at the one before as a whole, never in between.
pub(super) struct Followed {
    pub(super) told: Told,
    /// The history in which it was told.
    history: u64,
    /// What the activation names, verified; nothing without one, or while a manifest does not count.
    wanted: Option<Wanted>,
    /// Of what is wanted, what is in force, and what was in force before: so that a rollback is instant.
    prepared: HashMap<Digest, Arc<Prepared>>,
    in_force: Option<InForce>,
    trouble: Option<Trouble>,
}

struct InForce {
    stamp: Stamp,
    enforced: Arc<Version>,
    canary: Option<(Percent, Arc<Version>)>,
    /// Enforced and canary.
    bundles: Vec<Digest>,
    /// What was enforced before it.
    before: Option<Digest>,
}

/// Why the activation that was told is not in force.
struct Trouble {
    code: &'static str,
    message: String,
    attempts: u32,
    retry: Retry,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Retry {
    /// The same would come of it.
    Never,
    /// When the control plane says something new.
    OnNews,
    /// By itself.
    At(Instant),
    /// It is being tried.
    Now,
}

impl Followed {
    pub(super) fn new(told: Told, history: u64) -> Self {
        Self { told, history, wanted: None, prepared: HashMap::new(), in_force: None, trouble: None }
    }

    /// Something newer was told.
    pub(super) fn tell(&mut self, told: Told, history: u64) {
        if told.activation != self.told.activation {
            self.trouble = None;
        }
        (self.told, self.history) = (told, history);
    }

    /// What was told last, as a stamp.
    pub(super) fn stamp(&self) -> Stamp {
        Stamp { history: self.history, activation: self.activation() }
    }

    /// The activation that was told last; 0: none.
    pub(super) fn activation(&self) -> u64 {
        self.told.activation.map_or(0, |activation| activation.number)
    }

    /// The stamp of what is in force.
    pub(super) fn in_force(&self) -> Option<Stamp> {
        self.in_force.as_ref().map(|in_force| in_force.stamp)
    }

    /// Whether the manifests of its activation were verified.
    pub(super) fn is_resolved(&self) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.activation == self.activation())
    }

    /// Verifies the manifests of its activation.
    pub(super) fn resolve(&mut self, trust: &ManifestTrust) {
        match self.told.wanted(trust) {
            Ok(wanted) => {
                if wanted.is_none() {
                    // Only a newer history may say so: nothing was ever activated there.
                    self.in_force = None;
                }
                self.wanted = wanted;
                if self.trouble.as_ref().is_some_and(|trouble| trouble.code == "manifest") {
                    self.trouble = None;
                }
            }
            Err((version, refusal)) => {
                self.wanted = None;
                self.trouble = Some(Trouble {
                    code: "manifest",
                    message: format!("version {version}: {refusal}"),
                    attempts: 1,
                    retry: if refusal.retryable() { Retry::OnNews } else { Retry::Never },
                });
            }
        }
    }

    /// The versions that are wanted and not ready.
    pub(super) fn missing(&self) -> Vec<Verified> {
        let mut missing: Vec<Verified> = Vec::new();
        for version in self.wanted.iter().flat_map(Wanted::versions) {
            let bundle = version.manifest().bundle;
            let named = missing.iter().any(|other| other.manifest().bundle == bundle);
            if !named && !self.prepared.contains_key(&bundle) {
                missing.push(version.clone());
            }
        }
        missing
    }

    /// Whether it is worth trying to make the missing ones ready.
    pub(super) fn may_build(&mut self) -> bool {
        match &mut self.trouble {
            None => true,
            Some(trouble) => match trouble.retry {
                Retry::Never | Retry::OnNews | Retry::At(_) => false,
                Retry::Now => true,
            },
        }
    }

    /// Takes over what is ready, as far as it is wanted.
    pub(super) fn ready(&mut self, prepared: Vec<(Digest, Arc<Prepared>)>) {
        let wanted: Vec<Digest> =
            self.wanted.iter().flat_map(Wanted::versions).map(|version| version.manifest().bundle).collect();
        self.prepared.extend(prepared.into_iter().filter(|(bundle, _)| wanted.contains(bundle)));
    }

    /// Puts what is wanted into force, all of which is ready. Whether anything changed by it.
    pub(super) fn promote(&mut self) -> bool {
        let Some(wanted) = &self.wanted else { return false };
        let stamp = Stamp { history: self.history, activation: wanted.activation };
        let version = |verified: &Verified| {
            let manifest = verified.manifest();
            let policy = PolicyRef {
                version: manifest.version,
                digest: manifest.bundle.to_string().into(),
                activation: wanted.activation,
            };
            let prepared = self.prepared.get(&manifest.bundle)?;
            Some(Arc::new(Version::new(policy, Arc::clone(prepared))))
        };
        let Some(enforced) = version(&wanted.enforced) else { return false };
        let canary = match &wanted.canary {
            None => None,
            Some((share, canary)) => match version(canary) {
                Some(canary) => Some((*share, canary)),
                None => return false,
            },
        };
        self.trouble = None;
        if self.in_force() == Some(stamp) {
            return false;
        }
        let bundles: Vec<Digest> = wanted.versions().map(|version| version.manifest().bundle).collect();
        let before = match self.in_force.take() {
            // The same version under another activation: what was before it stays what was before it.
            Some(old) if old.bundles.first() == bundles.first() => old.before,
            Some(old) => old.bundles.first().copied(),
            None => None,
        };
        self.prepared.retain(|bundle, _| bundles.contains(bundle) || before == Some(*bundle));
        self.in_force = Some(InForce { stamp, enforced, canary, bundles, before });
        true
    }

    /// Notes why what is wanted is not ready.
    pub(super) fn fail(&mut self, failed: Failed, pace: &Pace) {
        let attempts = self.trouble.as_ref().map_or(0, |trouble| trouble.attempts) + 1;
        let (code, message, retry) = match failed {
            Failed::Fetch(error) => {
                let at = Instant::now() + retry_after(pace, attempts);
                ("fetch", error.to_string(), Retry::At(at))
            }
            Failed::Unusable(unusable) => (unusable.code, unusable.message, Retry::Never),
        };
        tracing::warn!(
            tenant = %self.told.tenant, activation = self.activation(), code, message, attempts,
            "an activation cannot be put into force; what was in force stays"
        );
        self.trouble = Some(Trouble { code, message: cut(message), attempts, retry });
    }

    /// Another control node may have what the last one did not.
    pub(super) fn hope_again(&mut self) {
        if let Some(Trouble { retry: retry @ Retry::At(_), .. }) = &mut self.trouble {
            *retry = Retry::At(Instant::now());
        }
    }

    /// Whether it is time to try again; it then counts as being tried.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        match &mut self.trouble {
            Some(Trouble { retry: retry @ Retry::At(_), .. }) if matches!(*retry, Retry::At(at) if at <= now) =>
            {
                *retry = Retry::Now;
                true
            }
            Some(_) | None => false,
        }
    }

    /// The tenant for a snapshot, if anything is in force for it: what was told of evidence and age counts at once,
    /// whatever becomes of the activation.
    pub(super) fn tenant(&self, cluster: Staleness) -> Option<Tenant> {
        let in_force = self.in_force.as_ref()?;
        let staleness = match self.told.staleness {
            ToldStaleness::AsTheCluster => cluster,
            ToldStaleness::Own(own) => own,
        };
        let tenant = Tenant::new(self.told.tenant.clone(), Arc::clone(&in_force.enforced))
            .in_history(in_force.stamp.history)
            .with_revoked(Arc::clone(&self.told.revoked))
            .with_staleness(staleness)
            .with_recording(self.told.recording)
            .with_organization_limits(self.told.organization_limits.clone())
            .with_keys(self.told.keys.clone())
            .with_retention(self.told.retention);
        Some(match &in_force.canary {
            Some((share, canary)) => tenant.with_canary(*share, Arc::clone(canary)),
            None => tenant,
        })
    }

    /// What the control plane is told of it.
    pub(super) fn acknowledgement(&self) -> v1::TenantAck {
        let not_in_force = self.trouble.as_ref().map(|trouble| v1::NotInForce {
            activation: self.activation(),
            code: trouble.code.to_owned(),
            message: trouble.message.clone(),
            retrying: trouble.retry != Retry::Never,
        });
        let policy = self.in_force.as_ref().map(|in_force| in_force.enforced.policy());
        v1::TenantAck {
            tenant: self.told.tenant.to_string(),
            activation: policy.map_or(0, |policy| policy.activation),
            enforced: policy.map_or(0, |policy| policy.version),
            not_in_force,
            gone: false,
        }
    }
}
