//! What a round says, parsed once into types that cannot be wrong.

use std::sync::Arc;
use std::time::Duration;

use aegis_audit::journal::Durability;
use aegis_identity::keys::VerifyingKey;
use aegis_identity::manifest::{ManifestRefusal, ManifestTrust, Signed, Verified};
use aegis_identity::trust::{Trust, TrustedKey};
use aegis_limits::holder::NodeId;
use aegis_limits::pace::Pace;
use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::ids::{AgentId, ClusterId, TenantId};
use aegis_model::money::Micros;
use aegis_model::secret::Secret;
use aegis_model::tenant_key::{TenantKey, TenantKeys};
use aegis_proto::v1;
use zeroize::Zeroizing;

use crate::retention::Retention;
use crate::snapshot::{
    OrganizationBudget, OrganizationLimits, Percent, RecordTerms, Revoked, ShardMap, ShardNode, Staleness,
};

/// What the control plane says of one tenant.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) tenant: TenantId,
    pub(super) etag: Vec<u8>,
    pub(super) activation: Option<Activation>,
    manifests: Vec<Signed>,
    pub(super) staleness: ToldStaleness,
    /// What its answers wait for, and whether their receipts are signed.
    pub(super) recording: RecordTerms,
    pub(super) revoked: Arc<Revoked>,
    pub(super) organization_limits: Option<Arc<OrganizationLimits>>,
    /// Its secret keys; nothing if it has none yet.
    pub(super) keys: Option<Arc<TenantKeys>>,
    /// For how long its records are kept.
    pub(super) retention: Retention,
}

/// Which versions are in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Activation {
    pub(super) number: u64,
    pub(super) enforced: u64,
    pub(super) canary: Option<(Percent, u64)>,
}

/// What a tenant chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ToldStaleness {
    /// What the cluster says.
    AsTheCluster,
    /// Its own.
    Own(Staleness),
}

/// The versions of an activation, each with the manifest that vouches for its bundle.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) activation: u64,
    pub(super) enforced: Verified,
    pub(super) canary: Option<(Percent, Verified)>,
}

/// Whose signatures count.
#[derive(Debug, Clone)]
pub(super) struct ToldTrust {
    pub(super) etag: Vec<u8>,
    pub(super) tokens: Arc<Trust>,
    pub(super) manifests: ManifestTrust,
}

/// Which data nodes own slots. Which of them owns which slot is found later, off the hot path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ToldShards {
    /// Empty: nobody has ever said.
    pub(super) etag: Vec<u8>,
    revision: u64,
    nodes: Vec<ShardNode>,
}

/// A field that cannot be what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` in a round is not valid")]
pub(super) struct Malformed(&'static str);

impl Told {
    pub(super) fn read(state: v1::TenantState) -> Result<Self, Malformed> {
        let v1::TenantState {
            tenant,
            etag,
            activation,
            manifests,
            staleness_max_seconds,
            serve_stale,
            revoked_tokens,
            revoked_agents,
            tokens_void_before_ms,
            organization,
            organization_limits,
            secret_keys,
            revoked_keys,
            signed_receipts,
            sync_write,
            retention_days,
            held,
            revoked_issuers,
        } = state;
        let keys = secret_keys_of(secret_keys)?;
        let staleness = match (serve_stale, staleness_max_seconds) {
            (true, _) => ToldStaleness::Own(Staleness::Never),
            (false, 0) => ToldStaleness::AsTheCluster,
            (false, seconds) => ToldStaleness::Own(Staleness::After(Duration::from_secs(u64::from(seconds)))),
        };
        let durability = if sync_write { Durability::Written } else { Durability::Synced };
        Ok(Self {
            recording: RecordTerms { durability, signed: signed_receipts },
            tenant: tenant.parse().map_err(|_withheld| Malformed("tenant"))?,
            etag,
            activation: activation.map(Activation::read).transpose()?,
            manifests: manifests.into_iter().map(signed).collect::<Result<_, _>>()?,
            staleness,
            revoked: Arc::new(revoked(
                &revoked_tokens,
                revoked_agents,
                &revoked_keys,
                revoked_issuers,
                tokens_void_before_ms,
            )?),
            organization_limits: organization_limits
                .map(|limits| told_limits(&organization, limits).map(Arc::new))
                .transpose()?,
            keys: keys.map(Arc::new),
            retention: Retention::new(retention_days, held),
        })
    }

    /// The versions that the activation names, if a key of `trust` has signed for each; nothing without an activation.
    pub(super) fn wanted(&self, trust: &ManifestTrust) -> Result<Option<Wanted>, (u64, ManifestRefusal)> {
        let Some(activation) = self.activation else { return Ok(None) };
        let manifest = |version: u64| self.manifest(version, trust).map_err(|refusal| (version, refusal));
        let enforced = manifest(activation.enforced)?;
        let canary = match activation.canary {
            Some((share, version)) => Some((share, manifest(version)?)),
            None => None,
        };
        Ok(Some(Wanted { activation: activation.number, enforced, canary }))
    }

    fn manifest(&self, version: u64, trust: &ManifestTrust) -> Result<Verified, ManifestRefusal> {
        // The version that a manifest claims is only a hint where to look: what is found is verified.
        let claims = |signed: &&Signed| {
            aegis_identity::manifest::Manifest::read_unverified(&signed.bytes)
                .is_ok_and(|manifest| manifest.version == version)
        };
        let signed = self.manifests.iter().find(claims).or(self.manifests.first());
        let verified = trust.verify(signed.ok_or(ManifestRefusal::WrongVersion)?, &self.tenant)?;
        verified.is_version(version)?;
        Ok(verified)
    }
}

impl Wanted {
    /// The versions that are named: the one for everybody first.
    pub(super) fn versions(&self) -> impl Iterator<Item = &Verified> {
        std::iter::once(&self.enforced).chain(self.canary.iter().map(|(_, version)| version))
    }
}

impl Activation {
    fn read(activation: v1::Activation) -> Result<Self, Malformed> {
        // Versions in `shadow` have no effect on an answer, and this build does not judge them yet.
        let v1::Activation { number, enforced, canary, shadow: _ } = activation;
        if number == 0 || enforced == 0 {
            return Err(Malformed("activation"));
        }
        let canary = canary.map(|canary| {
            let share = Percent::new(canary.percent).filter(|_| canary.version != 0);
            Ok((share.ok_or(Malformed("canary"))?, canary.version))
        });
        Ok(Self { number, enforced, canary: canary.transpose()? })
    }
}

impl ToldTrust {
    /// The trust in `trust`, of `cluster`; `more` keys are trusted for tokens besides.
    pub(super) fn read(
        trust: v1::Trust,
        cluster: &ClusterId,
        more: &[TrustedKey],
    ) -> Result<Self, Malformed> {
        let v1::Trust { etag, token_keys, manifest_keys } = trust;
        let tokens = token_keys.into_iter().map(|token_key| {
            let issuer = token_key.issuer.parse().map_err(|_withheld| Malformed("issuer"))?;
            Ok(TrustedKey { issuer, key: key(&token_key.key)? })
        });
        let tokens: Vec<TrustedKey> = tokens.collect::<Result<_, Malformed>>()?;
        let tokens = Trust::new(tokens.into_iter().chain(more.iter().cloned()));
        let manifests: Vec<VerifyingKey> =
            manifest_keys.iter().map(|bytes| key(bytes)).collect::<Result<_, _>>()?;
        let manifests = ManifestTrust::new(cluster.clone(), manifests);
        Ok(Self {
            etag,
            tokens: Arc::new(tokens.map_err(|_withheld| Malformed("token_keys"))?),
            manifests: manifests.map_err(|_withheld| Malformed("manifest_keys"))?,
        })
    }
}

impl ToldShards {
    pub(super) fn read(map: v1::ShardMap) -> Result<Self, Malformed> {
        let v1::ShardMap { etag, revision, nodes } = map;
        let rising = nodes.is_sorted_by(|before, after| before.id < after.id);
        if nodes.len() > caps::SHARD_NODES_MAX || !rising {
            return Err(Malformed("nodes"));
        }
        let nodes = nodes.into_iter().map(shard_node).collect::<Result<_, _>>()?;
        Ok(Self { etag, revision, nodes })
    }

    /// The map of the node `me`, with the owner of each slot. Takes a while with many nodes.
    pub(super) fn placed(self, me: u64) -> ShardMap {
        ShardMap::new(self.revision, NodeId(me), self.nodes)
    }
}

fn shard_node(node: v1::ShardNode) -> Result<ShardNode, Malformed> {
    let v1::ShardNode { id, name, address } = node;
    let printable = address.bytes().all(|byte| byte.is_ascii_graphic());
    if name.len() > caps::NODE_NAME_BYTES_MAX || address.len() > caps::ADDRESS_BYTES_MAX || !printable {
        return Err(Malformed("nodes"));
    }
    Ok(ShardNode { id: NodeId(id), name, address: (!address.is_empty()).then(|| address.into()) })
}

/// What an organization may use as a whole. A limit that makes no sense is no reason to go without: the round is refused.
fn told_limits(organization: &str, limits: v1::OrganizationLimits) -> Result<OrganizationLimits, Malformed> {
    let malformed = || Malformed("organization_limits");
    let v1::OrganizationLimits { revision, rate, burst, daily_budget, unit, timezone } = limits;
    let rate = rate.map(|rate| Pace::new(Micros(rate), burst).ok().filter(|pace| pace.admits_any()));
    let rate = rate.map(|rate| rate.ok_or_else(malformed)).transpose()?;
    let budget = match daily_budget.map(Micros) {
        None => None,
        Some(limit) if limit <= Micros::MAX && !unit.is_empty() => {
            // Whoever lends opens the epochs, so the zone need not be known here.
            let zone = (!timezone.is_empty()).then(|| timezone.into());
            Some(OrganizationBudget { limit, unit: unit.into(), zone })
        }
        Some(_) => return Err(malformed()),
    };
    let organization = organization.parse().map_err(|_withheld| Malformed("organization"))?;
    Ok(OrganizationLimits { organization, rate, budget, revision })
}

fn key(bytes: &[u8]) -> Result<VerifyingKey, Malformed> {
    let bytes = bytes.try_into().map_err(|_length| Malformed("key"))?;
    VerifyingKey::from_bytes(bytes).map_err(|_withheld| Malformed("key"))
}

/// The secret keys of a tenant. They are in memory only: the message is not kept, and no file holds them.
fn secret_keys_of(keys: Vec<v1::TenantSecretKey>) -> Result<Option<TenantKeys>, Malformed> {
    let malformed = Malformed("secret_keys");
    if keys.is_empty() {
        return Ok(None);
    }
    let keys = keys.into_iter().map(|v1::TenantSecretKey { version, key, sealing_public_key }| {
        let key = Zeroizing::new(key);
        let bytes = key.as_slice().try_into().map_err(|_length| malformed)?;
        let sealing = match sealing_public_key.as_slice() {
            [] => None,
            bytes => Some(bytes.try_into().map_err(|_length| malformed)?),
        };
        Ok(TenantKey::new(version, Secret::new(bytes)).with_sealing(sealing))
    });
    TenantKeys::new(keys.collect::<Result<_, Malformed>>()?).map(Some).ok_or(malformed)
}

fn signed(signed: v1::SignedManifest) -> Result<Signed, Malformed> {
    let signature = signed.signature.try_into().map_err(|_length| Malformed("signature"))?;
    Ok(Signed { bytes: signed.manifest, signature })
}

fn revoked(
    tokens: &[v1::RevokedToken],
    agents: Vec<v1::RevokedAgent>,
    keys: &[String],
    issuers: Vec<v1::RevokedIssuer>,
    void_before_ms: u64,
) -> Result<Revoked, Malformed> {
    let mut revoked = Revoked::new();
    // Tokens have whole seconds.
    revoked.everything_before(UnixNanos::from_seconds(void_before_ms / 1_000));
    for token in tokens {
        revoked.token(&token.token_id);
    }
    for key in keys {
        revoked.key(key);
    }
    for v1::RevokedIssuer { issuer, issued_until_ms } in issuers {
        revoked.issuer(&issuer, UnixNanos(issued_until_ms.saturating_mul(1_000_000)));
    }
    for v1::RevokedAgent { agent, issued_until_ms } in agents {
        let agent: AgentId = agent.parse().map_err(|_withheld| Malformed("agent"))?;
        let until = UnixNanos(issued_until_ms.saturating_mul(1_000_000));
        revoked.agent(agent, (issued_until_ms != 0).then_some(until));
    }
    Ok(revoked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> v1::OrganizationLimits {
        v1::OrganizationLimits {
            revision: 3,
            rate: Some(2_500_000),
            burst: 4,
            daily_budget: Some(12_500_000),
            unit: "usd".to_owned(),
            timezone: "Europe/Zurich".to_owned(),
        }
    }

    #[test]
    fn limits_of_an_organization_are_read_as_they_were_set() {
        let read = told_limits("initech", limits()).unwrap();
        assert_eq!((read.revision, read.rate), (3, Pace::new(Micros(2_500_000), 4).ok()));
        let budget = read.budget.unwrap();
        assert_eq!(
            (budget.limit, &*budget.unit, budget.zone.as_deref()),
            (Micros(12_500_000), "usd", Some("Europe/Zurich"))
        );
        let nothing =
            told_limits("initech", v1::OrganizationLimits { revision: 4, ..Default::default() }).unwrap();
        assert_eq!((nothing.rate, nothing.budget, nothing.revision), (None, None, 4));
    }

    /// A limit must not be lost because it is not understood.
    #[test]
    fn limits_that_make_no_sense_are_refused() {
        for bad in [
            v1::OrganizationLimits { rate: Some(0), ..limits() },
            v1::OrganizationLimits { burst: 0, ..limits() },
            v1::OrganizationLimits { daily_budget: Some(u64::MAX), ..limits() },
            v1::OrganizationLimits { unit: String::new(), ..limits() },
        ] {
            assert!(told_limits("initech", bad.clone()).is_err(), "{bad:?}");
        }
        assert!(told_limits("not a name", limits()).is_err());
    }

    #[test]
    fn secret_keys_are_read_whole_or_not_at_all() {
        let key = |version, byte, length| v1::TenantSecretKey {
            version,
            key: vec![byte; length],
            sealing_public_key: vec![byte; if version == 2 { 0 } else { length }],
        };
        assert!(secret_keys_of(Vec::new()).unwrap().is_none());
        let read = secret_keys_of(vec![key(2, 1, 32), key(3, 2, 32)]).unwrap().unwrap();
        assert_eq!((read.current().version(), read.current().expose()), (3, &[2; 32]));
        for bad in [vec![key(0, 1, 32)], vec![key(1, 1, 31)], vec![key(2, 1, 32), key(1, 1, 32)]] {
            assert!(secret_keys_of(bad).is_err());
        }
    }

    #[test]
    fn a_shard_map_is_read_whole_or_not_at_all() {
        let node = |id: u64, address: &str| v1::ShardNode {
            id,
            name: format!("data-{id}"),
            address: address.to_owned(),
        };
        let read =
            |nodes: Vec<v1::ShardNode>| ToldShards::read(v1::ShardMap { etag: vec![1], revision: 2, nodes });
        let map = read(vec![node(1, ""), node(2, "http://data-2:7081")]).unwrap().placed(1);
        assert_eq!((map.revision(), map.nodes().len(), map.holds_me()), (2, 2, true));
        assert_eq!(map.nodes()[0].address, None);
        assert!(read(vec![node(2, ""), node(1, "")]).is_err(), "by id");
        assert!(read(vec![node(1, ""), node(1, "")]).is_err(), "each once");
        assert!(read(vec![node(1, "a b")]).is_err());
        assert!(read(vec![node(1, &"a".repeat(caps::ADDRESS_BYTES_MAX + 1))]).is_err());
        let many = (1..=caps::SHARD_NODES_MAX as u64 + 1).map(|id| node(id, "")).collect();
        assert!(read(many).is_err());
    }
}
