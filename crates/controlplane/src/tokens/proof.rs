//! From what a data node was shown to what the state is asked about: signatures and times are judged here, rights in the command.

use std::sync::Arc;

use aegis_identity::assertion;
use aegis_identity::cache::TokenCache;
use aegis_identity::claims::BASIS;
use aegis_identity::keys::VerifyingKey;
use aegis_identity::verify::Verifier;
use aegis_model::clock::UnixNanos;
use aegis_model::ids::{AgentId, TenantId};
use aegis_model::principal::Principal;
use aegis_proto::control::grant_agent_token::Proof;
use aegis_proto::control::{AssertionProof, CertificateProof, FixedClaim, TokenProof};
use aegis_proto::v1;
use aegis_proto::v1::issue_token_request::Proof as Shown;
use aegis_raft_store::tables::StateRead;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Shared;
use super::refusal::{NotIssued, Refusal};
use crate::keys::{KeyKind, keyring};
use crate::state::agents;

/// Whose token is wanted, and by what that is proven.
pub(super) struct Proven {
    pub(super) tenant: TenantId,
    pub(super) agent: AgentId,
    pub(super) proof: Proof,
}

/// Reads and verifies what the agent showed of itself, at `now`.
pub(super) fn agent(
    shared: &Shared,
    state: &impl StateRead,
    shown: &Shown,
    now: UnixNanos,
) -> Result<Proven, NotIssued> {
    match shown {
        Shown::Assertion(shown) => by_assertion(shared, state, &shown.assertion, now),
        Shown::OwnToken(shown) => {
            let principal = token(state, &shown.token, now)?;
            let proof = Proof::Token(token_proof(&principal)?);
            Ok(Proven { tenant: principal.tenant.clone(), agent: principal.agent.clone(), proof })
        }
        Shown::Certificate(v1::ClientCertificate { tenant, agent, spiffe_id }) => {
            let bad = |_withheld| Refusal::request("`tenant` or `client_id` is no name");
            let proof = Proof::Certificate(CertificateProof { spiffe_id: spiffe_id.clone() });
            Ok(Proven { tenant: tenant.parse().map_err(bad)?, agent: agent.parse().map_err(bad)?, proof })
        }
    }
}

fn by_assertion(
    shared: &Shared,
    state: &impl StateRead,
    text: &str,
    now: UnixNanos,
) -> Result<Proven, NotIssued> {
    let read = assertion::read(text, &shared.cluster, now)?;
    let row = agents::agent(state, read.tenant(), read.agent())?.ok_or_else(Refusal::unknown)?;
    let key_id = read.key_id().to_string();
    let key = row.keys.iter().find(|key| key.id == key_id).ok_or_else(Refusal::unknown)?;
    let bytes = key.public_key.as_slice().try_into().map_err(|_length| Refusal::unknown())?;
    let key = VerifyingKey::from_bytes(bytes).map_err(|_withheld| Refusal::unknown())?;
    let assertion = read.verify(&key)?;
    let proof = Proof::Assertion(AssertionProof {
        key_id,
        once: Sha256::digest(assertion.id.as_bytes()).to_vec(),
        ends_ms: assertion.expires_at.0 / 1_000_000,
    });
    Ok(Proven { tenant: assertion.tenant, agent: assertion.agent, proof })
}

/// The token of the agent that calls.
pub(super) fn caller(
    state: &impl StateRead,
    text: &str,
    tenant: &TenantId,
    now: UnixNanos,
) -> Result<TokenProof, NotIssued> {
    let principal = token(state, text, now)?;
    if principal.tenant != *tenant {
        return Err(Refusal::grant("the caller's token is of another tenant").into());
    }
    token_proof(&principal)
}

/// Verifies a token that this cluster has signed.
fn token(state: &impl StateRead, text: &str, now: UnixNanos) -> Result<Arc<Principal>, NotIssued> {
    let trust = Arc::new(keyring::token_trust(state, KeyKind::AgentToken)?);
    // A token is exchanged once or twice in its life: not worth remembering.
    Ok(Verifier::new(trust, Arc::new(TokenCache::with_entries(0))).verify_agent(text, now)?)
}

fn token_proof(principal: &Principal) -> Result<TokenProof, NotIssued> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut claims = Vec::new();
    for (name, value) in principal.claims.iter().filter(|(name, _)| *name != BASIS) {
        let value = text(value).ok_or_else(|| {
            Refusal::grant("the token has a claim that is not a text, and cannot be handed on")
        })?;
        claims.push(FixedClaim { name: name.clone(), value });
    }
    let basis = principal.claims.get(BASIS).and_then(Value::as_array);
    Ok(TokenProof {
        token_id: principal.token_id.clone(),
        agent: principal.agent.to_string(),
        callers: principal.callers.iter().map(ToString::to_string).collect(),
        basis: basis.into_iter().flatten().filter_map(text).collect(),
        scope: principal.scope.to_string(),
        claims,
        issued_seconds: principal.issued_at.seconds(),
        expires_seconds: principal.expires_at.seconds(),
    })
}
