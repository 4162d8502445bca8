//! Whether what an agent showed still counts.

use aegis_model::caps;
use aegis_model::ids::{AgentId, TenantId};
use aegis_proto::control::grant_agent_token::Proof;
use aegis_proto::control::{Agent, GrantAgentToken, IssuerProof, RevocationKind, TokenProof};
use aegis_raft_store::tables::StateRead;

use super::super::checks;
use super::super::kind::{Asked, Failure};
use super::super::refused::{Code, Refused};
use super::basis::Basis;
use crate::state::{agents, assertions, issuers, revocations};

/// By what an agent has proved itself.
pub(super) struct Proven {
    /// The kind of proof, as records name it.
    pub(super) by: &'static str,
    /// The proof, as records name it.
    pub(super) proof: String,
    pub(super) basis: Basis,
    /// The digest of the assertion that is used up, and until when it has to be remembered.
    pub(super) used: Option<([u8; 32], u64)>,
}

/// Judges the proof, and the caller's token, if there is one.
pub(super) fn judge(
    wanted: &GrantAgentToken,
    state: &impl StateRead,
    asked: &Asked<'_>,
    tenant: &TenantId,
    agent: &Agent,
) -> Result<Proven, Failure> {
    let look = Look { state, asked, tenant };
    if let Some(caller) = &wanted.caller {
        look.check_token(caller, "caller's")?;
    }
    match wanted.proof.as_ref().ok_or_else(|| Refused::invalid("proof", "given"))? {
        Proof::Assertion(shown) => {
            let digest = checks::digest("once", &shown.once)?;
            look.check_key(agent, &shown.key_id)?;
            let name: AgentId = checks::name("agent", &agent.name)?;
            if assertions::was_taken(state, tenant, &name, &digest)? {
                return Err(refused("the assertion was used before").into());
            }
            Ok(Proven {
                by: "assertion",
                proof: shown.key_id.clone(),
                basis: Basis::of_key(&shown.key_id),
                used: Some((digest, remembered_until(shown.ends_ms, asked.now_ms()))),
            })
        }
        Proof::Certificate(shown) => {
            if agent.spiffe_id.is_empty() || agent.spiffe_id != shown.spiffe_id {
                return Err(refused("the agent is registered with another SPIFFE id, or none").into());
            }
            let (proof, basis) = (shown.spiffe_id.clone(), Basis::default());
            Ok(Proven { by: "certificate", proof, basis, used: None })
        }
        Proof::Issuer(shown) => {
            look.check_issuer(agent, shown)?;
            let proof = format!("{}:{}", shown.issuer, shown.subject);
            Ok(Proven { by: "issuer", proof, basis: Basis::of_issuer(&shown.issuer), used: None })
        }
        Proof::Token(own) => {
            if wanted.caller.is_none() {
                // Otherwise a token that was stolen once could be renewed for ever.
                return Err(refused("a token proves an agent only where another agent calls it").into());
            }
            if own.agent != agent.name || !own.callers.is_empty() {
                return Err(refused("the token is not the agent's own").into());
            }
            look.check_token(own, "agent's")?;
            let mut basis = Basis::default();
            basis.hand_on(own);
            Ok(Proven { by: "token", proof: own.token_id.clone(), basis, used: None })
        }
    }
}

fn refused(message: impl Into<String>) -> Refused {
    Refused::new(Code::ProofRefused, message)
}

/// An assertion counts as long as its time, a clock that is behind, and the distance of log time from any clock permit.
fn remembered_until(ends_ms: u64, now_ms: u64) -> u64 {
    let margin_ms = 3 * caps::CLOCK_SKEW_SECONDS_MAX * 1_000;
    let latest = now_ms.saturating_add(caps::ASSERTION_LIFE_SECONDS_MAX * 1_000).saturating_add(margin_ms);
    ends_ms.saturating_add(margin_ms).min(latest)
}

struct Look<'a, S> {
    state: &'a S,
    asked: &'a Asked<'a>,
    tenant: &'a TenantId,
}

impl<S: StateRead> Look<'_, S> {
    /// Whether a key proves the agent now.
    fn check_key(&self, agent: &Agent, key_id: &str) -> Result<(), Failure> {
        let known = agent.keys.iter().any(|key| key.id == key_id && agents::proves(key, self.asked.now_ms()));
        if !known {
            return Err(refused("the key is not registered for the agent").into());
        }
        if self.is_revoked(RevocationKind::Key, key_id)? {
            return Err(refused("the key was revoked").into());
        }
        Ok(())
    }

    /// Whether what an issuer outside said proves the agent now.
    fn check_issuer(&self, agent: &Agent, shown: &IssuerProof) -> Result<(), Failure> {
        if agent.issuer.is_empty() || agent.issuer != shown.issuer || agent.issuer_subject != shown.subject {
            return Err(refused("the agent is registered with another issuer or subject, or none").into());
        }
        let issuer = issuers::issuer(self.state, self.tenant, &shown.issuer)?;
        // What was verified by other keys, or for another audience, is void.
        if issuer.is_none_or(|issuer| issuer.revision != shown.revision) {
            return Err(refused("the issuer was changed or removed meanwhile").into());
        }
        // Otherwise what a revocation ends could be had anew with the same token.
        let issued_ms = shown.issued_seconds.saturating_mul(1_000);
        if self.was_revoked_after(RevocationKind::Issuer, &shown.issuer, issued_ms)? {
            return Err(refused("what the issuer said before it was revoked counts no more").into());
        }
        Ok(())
    }

    /// Whether a token, all that it rests on, and every agent that it names still count.
    fn check_token(&self, token: &TokenProof, whose: &str) -> Result<(), Failure> {
        let ended = |what: &str| Failure::from(refused(format!("the {whose} token {what}")));
        let now_seconds = self.asked.now_ms() / 1_000;
        if token.expires_seconds <= now_seconds {
            return Err(ended("has ended"));
        }
        let cluster = self.asked.cluster;
        let issued_ms = token.issued_seconds.saturating_mul(1_000);
        if cluster.history > 1 && issued_ms < cluster.history_began_ms {
            return Err(ended("is of before the cluster was restored"));
        }
        if self.is_revoked(RevocationKind::Token, &token.token_id)? {
            return Err(ended("was revoked"));
        }
        for member in &token.basis {
            let revoked = match member.split_once(':') {
                Some(("key", id)) => self.is_revoked(RevocationKind::Key, id)?,
                Some(("token", id)) => self.is_revoked(RevocationKind::Token, id)?,
                Some(("issuer", name)) => self.was_revoked_after(RevocationKind::Issuer, name, issued_ms)?,
                // Of newer software: nobody here can say what ends it.
                Some(_) | None => true,
            };
            if revoked {
                return Err(ended("rests on something that was revoked"));
            }
        }
        for name in std::iter::once(&token.agent).chain(&token.callers) {
            if !self.counts(name, issued_ms)? {
                return Err(ended("names an agent that is disabled or was revoked"));
            }
        }
        Ok(())
    }

    /// Whether what an agent was given at `issued_ms` counts.
    fn counts(&self, name: &str, issued_ms: u64) -> Result<bool, Failure> {
        let id: AgentId = checks::name("agent", name)?;
        if agents::agent(self.state, self.tenant, &id)?.is_none_or(|agent| agent.disabled) {
            return Ok(false);
        }
        Ok(!self.was_revoked_after(RevocationKind::Agent, name, issued_ms)?)
    }

    /// Whether a revocation ends what was given out at `issued_ms`, by whatever clock.
    fn was_revoked_after(
        &self,
        kind: RevocationKind,
        subject: &str,
        issued_ms: u64,
    ) -> Result<bool, Failure> {
        let revoked = revocations::revocation(self.state, self.tenant, kind, subject)?;
        let skew_ms = caps::CLOCK_SKEW_SECONDS_MAX * 1_000;
        Ok(revoked.is_some_and(|revocation| issued_ms <= revocation.at_ms.saturating_add(skew_ms)))
    }

    fn is_revoked(&self, kind: RevocationKind, subject: &str) -> Result<bool, Failure> {
        Ok(revocations::revocation(self.state, self.tenant, kind, subject)?.is_some())
    }
}
