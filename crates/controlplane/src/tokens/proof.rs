//! From what a data node was shown to what the state is asked about: signatures and times are judged here, rights in the command.

use std::sync::Arc;

use aegis_identity::assertion;
use aegis_identity::cache::TokenCache;
use aegis_identity::claims::BASIS;
use aegis_identity::foreign::{self, KeySet, Pinned};
use aegis_identity::keys::VerifyingKey;
use aegis_identity::verify::Verifier;
use aegis_model::clock::UnixNanos;
use aegis_model::ids::{AgentId, TenantId};
use aegis_model::principal::Principal;
use aegis_proto::control::grant_agent_token::Proof;
use aegis_proto::control::{AssertionProof, CertificateProof, FixedClaim, IssuerProof, TokenProof};
use aegis_proto::v1;
use aegis_proto::v1::issue_token_request::Proof as Shown;
use aegis_raft_store::tables::StateRead;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Shared;
use super::refusal::{NotIssued, Refusal};
use crate::keys::{KeyKind, keyring};
use crate::state::{agents, issuers};

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
        Shown::IssuerToken(shown) => by_issuer(state, shown, now),
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

/// The registration says whose word counts, and what is pinned there says how it is verified; the token says neither.
fn by_issuer(state: &impl StateRead, shown: &v1::IssuerToken, now: UnixNanos) -> Result<Proven, NotIssued> {
    let bad = |_withheld| Refusal::request("`tenant` or `client_id` is no name");
    let tenant: TenantId = shown.tenant.parse().map_err(bad)?;
    let agent: AgentId = shown.agent.parse().map_err(bad)?;
    let row = agents::agent(state, &tenant, &agent)?.ok_or_else(Refusal::unknown)?;
    let issuer = issuers::issuer(state, &tenant, &row.issuer)?.ok_or_else(Refusal::unknown)?;
    let keys = issuer.algorithm.parse().and_then(|algorithm| KeySet::read(&issuer.key_set, algorithm));
    let keys = keys.map_err(|error| {
        tracing::error!(%tenant, issuer = %issuer.name, %error, "the keys of an issuer cannot be read");
        Refusal::unknown()
    })?;
    let pinned = Pinned {
        issuer: &issuer.issuer,
        audience: &issuer.audience,
        claim: &issuer.subject_claim,
        keys: &keys,
    };
    let verified = foreign::verify(&shown.token, pinned, now)?;
    let proof = Proof::Issuer(IssuerProof {
        issuer: issuer.name,
        subject: verified.subject,
        revision: issuer.revision,
        issued_seconds: verified.issued_at.seconds(),
        expires_seconds: verified.expires_at.seconds(),
    });
    Ok(Proven { tenant, agent, proof })
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
