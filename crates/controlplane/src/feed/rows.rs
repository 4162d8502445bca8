//! The rows of one tenant, as far as data nodes have to know them, and the message that they make.

use std::collections::{BTreeMap, BTreeSet};

use aegis_identity::trust::Issuer;
use aegis_model::ids::TenantId;
use aegis_proto::control::{
    Activation, KeyKind, OrganizationLimits, Revocation, RevocationKind, Tenant, TenantKey, Version,
};
use aegis_proto::v1;
use aegis_raft_store::tables::{StateRead, StoreError};
use prost::Message;
use sha2::{Digest, Sha256};

use crate::state::page::{Page, PageQuery};
use crate::state::{
    activations, agents, keys, revocations, shards as shard_rows, tenant_keys, tenants, versions,
};

/// One tenant.
#[derive(Debug, Default)]
pub(super) struct Rows {
    tenant: Option<Tenant>,
    /// Its secret keys, wrapped as they are in the state.
    keys: Vec<TenantKey>,
    activation: Option<Activation>,
    /// The versions that the activation names.
    versions: Vec<Version>,
    /// Their tokens count no more.
    disabled: BTreeSet<String>,
    /// By kind and subject.
    revoked: BTreeMap<(i32, String), Revocation>,
}

impl Rows {
    /// All rows of `tenant`.
    pub(super) fn read(state: &impl StateRead, tenant: &TenantId) -> Result<Self, StoreError> {
        let mut rows = Self::default();
        rows.read_tenant(state, tenant)?;
        rows.read_activation(state, tenant)?;
        for_each_page(
            |query| agents::agents(state, tenant, query),
            |agent| {
                if agent.disabled {
                    rows.disabled.insert(agent.name);
                }
            },
        )?;
        for_each_page(
            |query| revocations::revocations(state, tenant, query),
            |revocation| {
                rows.revoked.insert((revocation.kind, revocation.subject.clone()), revocation);
            },
        )?;
        Ok(rows)
    }

    /// What the tenant chose, whether it is alive, and its secret keys.
    pub(super) fn read_tenant(
        &mut self,
        state: &impl StateRead,
        tenant: &TenantId,
    ) -> Result<(), StoreError> {
        self.tenant = tenants::tenant(state, tenant)?;
        self.keys = tenant_keys::tenant_keys(state, tenant)?.keys;
        Ok(())
    }

    /// What is in force.
    pub(super) fn read_activation(
        &mut self,
        state: &impl StateRead,
        tenant: &TenantId,
    ) -> Result<(), StoreError> {
        self.activation = activations::in_force(state, tenant)?;
        self.versions.clear();
        let named: BTreeSet<u64> = self.activation.iter().flat_map(named_versions).collect();
        for number in named {
            self.versions.extend(versions::version(state, tenant, number)?);
        }
        Ok(())
    }

    /// Whether one agent may have tokens.
    pub(super) fn read_agent(
        &mut self,
        state: &impl StateRead,
        tenant: &TenantId,
        name: &str,
    ) -> Result<(), StoreError> {
        let Ok(id) = name.parse() else { return Ok(()) };
        if agents::agent(state, tenant, &id)?.is_some_and(|agent| agent.disabled) {
            self.disabled.insert(name.to_owned());
        } else {
            self.disabled.remove(name);
        }
        Ok(())
    }

    /// One revocation, by its name in a note of a change.
    pub(super) fn read_revocation(
        &mut self,
        state: &impl StateRead,
        tenant: &TenantId,
        name: &str,
    ) -> Result<(), StoreError> {
        let Some((kind, subject)) = revocations::from_change_name(name) else { return Ok(()) };
        let key = (kind as i32, subject.to_owned());
        match revocations::revocation(state, tenant, kind, subject)? {
            Some(revocation) => drop(self.revoked.insert(key, revocation)),
            None => drop(self.revoked.remove(&key)),
        }
        Ok(())
    }

    /// The organization that the tenant belongs to.
    pub(super) fn organization(&self) -> Option<&str> {
        self.tenant.as_ref().map(|tenant| tenant.organization.as_str())
    }

    /// What data nodes are told, tokens issued before a moment being void, and `limits` being what the tenant's organization may
    /// use; nothing of a tenant that was retired.
    pub(super) fn told(
        &self,
        tokens_void_before_ms: u64,
        limits: Option<&OrganizationLimits>,
    ) -> Option<News> {
        let tenant = self.tenant.as_ref().filter(|tenant| tenant.retired_ms == 0)?;
        let settings = tenant.settings.clone().unwrap_or_default();
        let mut state = v1::TenantState {
            tenant: tenant.name.clone(),
            etag: Vec::new(),
            activation: self.activation.as_ref().map(activation),
            manifests: self.versions.iter().map(signed).collect(),
            staleness_max_seconds: settings.staleness_seconds_max,
            serve_stale: settings.serve_stale.is_some(),
            revoked_tokens: Vec::new(),
            revoked_agents: Vec::new(),
            tokens_void_before_ms,
            organization: tenant.organization.clone(),
            organization_limits: limits.map(organization_limits),
            // Unwrapped only while it is sent.
            secret_keys: Vec::new(),
            revoked_keys: Vec::new(),
            signed_receipts: settings.signed_receipts,
            sync_write: settings.sync_write.is_some(),
            retention_days: settings.retention_days,
            held: !tenant.holds.is_empty(),
            revoked_issuers: Vec::new(),
        };
        let disabled =
            self.disabled.iter().map(|agent| v1::RevokedAgent { agent: agent.clone(), issued_until_ms: 0 });
        state.revoked_agents.extend(disabled);
        for revocation in self.revoked.values() {
            match revocation.kind() {
                RevocationKind::Token => state.revoked_tokens.push(v1::RevokedToken {
                    token_id: revocation.subject.clone(),
                    expires_ms: revocation.expires_ms,
                }),
                RevocationKind::Agent => state.revoked_agents.push(v1::RevokedAgent {
                    agent: revocation.subject.clone(),
                    // Zero would mean every token, whenever it was issued.
                    issued_until_ms: revocation.at_ms.max(1),
                }),
                RevocationKind::Key => state.revoked_keys.push(revocation.subject.clone()),
                RevocationKind::Issuer => state.revoked_issuers.push(v1::RevokedIssuer {
                    issuer: revocation.subject.clone(),
                    issued_until_ms: revocation.at_ms,
                }),
                RevocationKind::Unspecified => {}
            }
        }
        state.etag = etag(&state, &self.keys);
        Some(News { state, keys: self.keys.clone() })
    }
}

/// What data nodes are told of one tenant, its secret keys being wrapped still.
#[derive(Debug)]
pub(super) struct News {
    pub(super) state: v1::TenantState,
    pub(super) keys: Vec<TenantKey>,
}

fn named_versions(activation: &Activation) -> impl Iterator<Item = u64> {
    std::iter::once(activation.enforced).chain(activation.canary.as_ref().map(|canary| canary.version))
}

fn activation(activation: &Activation) -> v1::Activation {
    v1::Activation {
        number: activation.number,
        enforced: activation.enforced,
        canary: activation
            .canary
            .as_ref()
            .map(|canary| v1::Canary { version: canary.version, percent: canary.percent }),
        shadow: activation.shadow.clone(),
    }
}

fn signed(version: &Version) -> v1::SignedManifest {
    v1::SignedManifest { manifest: version.manifest.clone(), signature: version.signature.clone() }
}

fn organization_limits(limits: &OrganizationLimits) -> v1::OrganizationLimits {
    v1::OrganizationLimits {
        revision: limits.revision,
        rate: limits.rate,
        burst: limits.burst,
        daily_budget: limits.daily_budget,
        unit: limits.unit.clone(),
        timezone: limits.timezone.clone(),
    }
}

/// Which data nodes own slots; without an etag as long as nobody has ever said.
pub(super) fn shards(state: &impl StateRead) -> Result<v1::ShardMap, StoreError> {
    let map = shard_rows::map(state)?;
    if map.revision == 0 {
        return Ok(v1::ShardMap::default());
    }
    let nodes = map.nodes.into_iter().map(|node| v1::ShardNode {
        id: node.id,
        name: node.name,
        address: node.address,
    });
    let mut told = v1::ShardMap { etag: Vec::new(), revision: map.revision, nodes: nodes.collect() };
    told.etag = etag(&told, &[]);
    Ok(told)
}

/// Whose signatures count: every key that was not revoked.
pub(super) fn trust(state: &impl StateRead, issuer: &Issuer) -> Result<v1::Trust, StoreError> {
    let mut trust = v1::Trust::default();
    for_each_page(
        |query| keys::keys(state, query),
        |key| {
            if !keys::may_verify(&key) {
                return;
            }
            match key.kind() {
                KeyKind::Manifest => trust.manifest_keys.push(key.public_key),
                KeyKind::AgentToken => {
                    let token_key = v1::TokenKey { issuer: issuer.to_string(), key: key.public_key };
                    trust.token_keys.push(token_key);
                }
                // People are no business of data nodes.
                KeyKind::PersonToken | KeyKind::ControlLog | KeyKind::Unspecified => {}
            }
        },
    )?;
    trust.etag = etag(&trust, &[]);
    Ok(trust)
}

/// Every row, page by page.
pub(super) fn for_each_page<T>(
    read: impl Fn(&PageQuery) -> Result<Page<T>, StoreError>,
    mut each: impl FnMut(T),
) -> Result<(), StoreError> {
    let mut query = PageQuery::first();
    loop {
        let page = read(&query)?;
        page.rows.into_iter().for_each(&mut each);
        match page.next {
            Some(next) => query = query.after(next),
            None => return Ok(()),
        }
    }
}

/// Equal content, equal etag: on every control node, as long as they run the same software.
fn etag(message: &impl Message, keys: &[TenantKey]) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(message.encode_to_vec());
    keys.iter().for_each(|key| hash.update(key.encode_length_delimited_to_vec()));
    hash.finalize()[..16].to_vec()
}
