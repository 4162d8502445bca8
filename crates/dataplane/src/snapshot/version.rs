//! One policy version, ready to judge.

use std::fmt;
use std::sync::Arc;

use aegis_dlp::scanner::BadDetectors;
use aegis_model::decision::PolicyRef;
use aegis_policy::ast::PolicySet;
use aegis_policy::diagnostic::Diagnostic;
use aegis_policy::enforce;
use aegis_policy::judge::{Question, Verdict};
use aegis_policy::obligation::Obligation;
use aegis_policy::prepared::Prepared;
use aegis_policy::prepared::redactors::Cleaning;
use serde_json::Value;

/// A version as it judges under one activation. What is prepared is shared by every activation that names it.
pub struct Version {
    policy: PolicyRef,
    engine: Engine,
}

enum Engine {
    Prepared(Arc<Prepared>),
    /// A judgement made up by a test: one that panics, or that tells which snapshot it belongs to.
    #[cfg(test)]
    Planted(fn(&Question<'_>) -> Verdict),
}

impl Version {
    /// `prepared`, as the version that answers name with `policy`.
    pub fn new(policy: PolicyRef, prepared: Arc<Prepared>) -> Self {
        Self { policy, engine: Engine::Prepared(prepared) }
    }

    /// Prepares `set` as `version`, enforced by `activation`, for a node without a control plane.
    ///
    /// # Errors
    /// As [`super::Tenant::load`].
    pub(super) fn load(set: &PolicySet, version: u64, activation: u64) -> Result<Self, Vec<Diagnostic>> {
        let refused = [enforce::unenforced(set), enforce::lent(set)].concat();
        if !refused.is_empty() {
            return Err(refused);
        }
        let prepared = Prepared::new(set)?;
        let policy = PolicyRef { version, digest: prepared.digest().into(), activation };
        Ok(Self::new(policy, Arc::new(prepared)))
    }

    /// A version whose every call is judged by `judge`.
    #[cfg(test)]
    pub(crate) fn planted(policy: PolicyRef, judge: fn(&Question<'_>) -> Verdict) -> Self {
        Self { policy, engine: Engine::Planted(judge) }
    }

    /// `set` as a version, as a node that is fed prepares it.
    #[cfg(test)]
    pub(crate) fn prepared(set: &PolicySet, version: u64) -> Result<Self, Vec<Diagnostic>> {
        let prepared = Prepared::new(set)?;
        let policy = PolicyRef { version, digest: prepared.digest().into(), activation: version };
        Ok(Self::new(policy, Arc::new(prepared)))
    }

    /// What an answer says that judged.
    pub fn policy(&self) -> &PolicyRef {
        &self.policy
    }

    /// Judges one call. May panic where the policy engine does.
    pub(crate) fn judge(&self, question: &Question<'_>) -> Verdict {
        match &self.engine {
            Engine::Prepared(prepared) => prepared.judge(question),
            #[cfg(test)]
            Engine::Planted(judge) => judge(question),
        }
    }

    /// A digest of what the rules of these names say.
    pub(crate) fn digest_of_rules(&self, rules: &[String]) -> [u8; 32] {
        match &self.engine {
            Engine::Prepared(prepared) => prepared.digest_of_rules(rules),
            #[cfg(test)]
            Engine::Planted(_) => [0; 32],
        }
    }

    /// What these obligations clean.
    ///
    /// # Errors
    /// The redactions cannot be applied together.
    pub(crate) fn cleaning(&self, obligations: &[Obligation]) -> Result<Cleaning, BadDetectors> {
        match &self.engine {
            Engine::Prepared(prepared) => prepared.redactors().of(obligations),
            #[cfg(test)]
            Engine::Planted(_) => Ok(Cleaning::default()),
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

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Version").field("policy", &self.policy).finish_non_exhaustive()
    }
}
