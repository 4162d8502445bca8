//! What the control plane wants and what is in force, tenant by tenant, and the way from the one to the other.

mod followed;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use aegis_identity::cache::TokenCache;
use aegis_identity::verify::Verifier;
use aegis_model::caps;
use aegis_model::ids::{BadName, ClusterId, TenantId};
use aegis_proto::v1;
use aegis_proto::v1::feed_client::FeedClient;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::transport::Channel;

use super::FeedConfig;
use super::builds::{Builds, Built};
use super::cache::BundleCache;
use super::floor::{Floor, Stamp};
use super::rounds::{Position, Round};
use super::told::{Malformed, Told, ToldShards, ToldTrust};
use crate::decider::Decider;
use crate::evidence::{self, Door, NotReported};
use crate::limits::Identity;
use crate::snapshot::{ShardMap, Snapshot, Staleness};
use followed::Followed;

/// What this node understands of the feed: see `Hello.level`.
const FEED_LEVEL: u32 = 2;

/// The state of a feed beyond its streams. One task owns it.
pub(super) struct Keeper {
    pub(super) config: FeedConfig,
    decider: Arc<Decider>,
    floor: Floor,
    builds: Builds,
    verified_tokens: Arc<TokenCache>,
    /// The control node that is followed at the moment.
    client: Option<FeedClient<Channel>>,
    /// Where the audit log is reported.
    door: watch::Sender<Door>,
    /// Whether the control log knows the log of this life.
    log_is_known: bool,
    cluster: Option<ClusterId>,
    trust: Option<ToldTrust>,
    shards: ToldShards,
    /// The etag of the shard map whose owners were found, and the map.
    placed: (Vec<u8>, Arc<ShardMap>),
    /// What holds where a tenant does not choose.
    staleness: Staleness,
    /// Of the newest round that was taken over.
    position: Position,
    tenants: BTreeMap<TenantId, Followed>,
    /// The tenants of the first round whose versions were not tried yet; nothing before that round.
    starting: Option<HashSet<TenantId>>,
    /// Whether something has to be put into force.
    changed: bool,
    /// The tenants whose standing the control plane does not know.
    unacknowledged: BTreeSet<TenantId>,
    /// Whether the floor could not be written the last time.
    floor_failed: bool,
}

/// Why a round is not taken over; nothing of it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RoundRefused {
    /// It would take a tenant back to an earlier activation (POL-2).
    #[error("it would take tenant `{0}` back to an earlier activation")]
    Behind(TenantId),
    /// A tenant that this node did not ask for (TEN-1).
    #[error("it holds another tenant than this node asked for")]
    OtherTenant,
    /// A field that cannot be what it should be.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] BadName),
    /// The first round says nothing of whom to trust.
    #[error("it does not say whose signatures count")]
    NoTrust,
    /// A tenant that stands twice.
    #[error("it names tenant `{0}` twice")]
    Twice(TenantId),
    /// More tenants than a node serves.
    #[error("with it there would be more than {} tenants", caps::FEED_TENANTS_MAX)]
    TooManyTenants,
}

/// Why a control node is not for this node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotWelcome {
    /// It is another cluster's.
    #[error("it belongs to another cluster than this node")]
    OtherCluster,
    /// It gave a number that cannot be this process'.
    #[error("it gave this process another incarnation than it has")]
    Incarnation,
    /// The audit log of the incarnation that it gave cannot be begun. Nothing is decided without.
    #[error("it is not to blame: the audit journal cannot be begun: {0}")]
    Journal(String),
}

impl Keeper {
    pub(super) fn new(
        config: FeedConfig,
        floor: Floor,
        cache: Arc<BundleCache>,
        decider: Arc<Decider>,
    ) -> Self {
        let builds = Builds::new(config.node.to_string(), cache, config.pace.fetch);
        let position = floor.position();
        Self {
            config,
            decider,
            floor,
            builds,
            verified_tokens: Arc::new(TokenCache::new()),
            client: None,
            door: watch::Sender::new(None),
            log_is_known: false,
            cluster: None,
            trust: None,
            shards: ToldShards::default(),
            placed: (Vec::new(), Arc::default()),
            staleness: Staleness::default(),
            position,
            tenants: BTreeMap::new(),
            starting: None,
            changed: false,
            unacknowledged: BTreeSet::new(),
            floor_failed: false,
        }
    }

    /// The first message to a control node.
    pub(super) fn hello(&self) -> v1::Hello {
        let held = |(tenant, followed): (&TenantId, &Followed)| v1::Held {
            tenant: tenant.to_string(),
            etag: followed.told.etag.clone(),
        };
        v1::Hello {
            node_name: self.config.node.to_string(),
            node_id: self.floor.node_id(),
            version: self.config.software.clone(),
            region: self.config.region.clone(),
            address: self.config.address.clone(),
            history: self.position.history,
            index: self.position.index,
            incarnation: self.decider.ids.incarnation(),
            tenant: self.config.tenant.as_ref().map(TenantId::to_string).unwrap_or_default(),
            held: self.tenants.iter().map(held).collect(),
            trust_etag: self.trust.as_ref().map(|trust| trust.etag.clone()).unwrap_or_default(),
            credit: caps::FEED_CREDIT,
            level: FEED_LEVEL,
            shard_map_etag: self.shards.etag.clone(),
        }
    }

    /// The newest state that was taken over.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// A control node took this node on.
    pub(super) async fn welcomed(
        &mut self,
        welcome: &v1::Welcome,
        history: u64,
        client: FeedClient<Channel>,
        channel: Channel,
    ) -> Result<(), NotWelcome> {
        let cluster: ClusterId = welcome.cluster_id.parse().map_err(|_bad| NotWelcome::OtherCluster)?;
        self.floor.belong_to(&cluster).map_err(|_other| NotWelcome::OtherCluster)?;
        if !self.decider.ids.begin(welcome.incarnation) {
            return Err(NotWelcome::Incarnation);
        }
        let (node_id, incarnation) = (self.floor.node_id(), welcome.incarnation);
        let (decider, of) = (Arc::clone(&self.decider), cluster.clone());
        // Done to its end even if the welcome takes too long for whoever waits here.
        let begun = tokio::task::spawn_blocking(move || decider.records.begin(&of, incarnation)).await;
        let begun =
            begun.map_err(|panic| panic.to_string()).and_then(|it| it.map_err(|error| error.to_string()));
        begun.map_err(NotWelcome::Journal)?;
        self.tell_of_log(channel, node_id, incarnation).await?;
        // Only the first one counts: the history in which this process got its incarnation.
        self.decider.book.begin(Identity { cluster: cluster.clone(), node_id, incarnation, history });
        self.cluster = Some(cluster);
        let seconds = welcome.settings.unwrap_or_default().staleness_max_seconds;
        let staleness = match seconds {
            0 => Staleness::default(),
            seconds => Staleness::After(Duration::from_secs(u64::from(seconds))),
        };
        self.changed |= std::mem::replace(&mut self.staleness, staleness) != staleness;
        self.client = Some(client);
        self.tenants.values_mut().for_each(Followed::hope_again);
        self.unacknowledged.extend(self.tenants.keys().cloned());
        Ok(())
    }

    /// Has the birth of this life's log written into the control log, once, and says where its growth is reported.
    async fn tell_of_log(
        &mut self,
        channel: Channel,
        node_id: u64,
        incarnation: u64,
    ) -> Result<(), NotWelcome> {
        let node = v1::EvidenceNode {
            node_name: self.config.node.to_string(),
            node_id,
            incarnation,
            tenant: self.config.tenant.as_ref().map(TenantId::to_string).unwrap_or_default(),
        };
        let Some(journal) = self.decider.records.journal() else { return Ok(()) };
        if !self.log_is_known {
            match evidence::open(channel.clone(), &node, journal.key()).await {
                Ok(()) => self.log_is_known = true,
                Err(NotReported::Unsupported) => {
                    tracing::warn!(
                        "the control node is older than this node, and keeps no evidence of its audit log"
                    );
                    return Ok(());
                }
                Err(error @ NotReported::Refused(_)) => {
                    self.decider.records.refuse(&error.to_string());
                    return Err(NotWelcome::Journal(error.to_string()));
                }
                Err(error) => return Err(NotWelcome::Journal(error.to_string())),
            }
        }
        self.door.send_replace(Some((channel, node)));
        Ok(())
    }

    /// Where the audit log is reported.
    pub(super) fn door(&self) -> watch::Receiver<Door> {
        self.door.subscribe()
    }

    /// No control node is followed any more.
    pub(super) fn left(&mut self) {
        self.client = None;
    }

    /// Takes over a round, or nothing of it.
    pub(super) fn take(&mut self, round: Round) -> Result<(), RoundRefused> {
        let Round { position, full, trust, shards, tenants, gone } = round;
        let cluster = self.cluster.as_ref().ok_or(RoundRefused::NoTrust)?;
        let trust = trust.map(|trust| ToldTrust::read(trust, cluster, &self.config.trust)).transpose()?;
        if trust.is_none() && (self.trust.is_none() || full) {
            return Err(RoundRefused::NoTrust);
        }
        let shards = match shards {
            Some(map) => Some(ToldShards::read(map)?),
            // What a full round does not name is no more.
            None => full.then(ToldShards::default),
        };
        let told: Vec<Told> = tenants.into_iter().map(Told::read).collect::<Result<_, _>>()?;
        let named = self.check_tenants(position, &told)?;
        let gone = match full {
            true => self.tenants.keys().filter(|tenant| !named.contains(*tenant)).cloned().collect(),
            false => gone.iter().map(|tenant| tenant.parse()).collect::<Result<Vec<TenantId>, _>>()?,
        };
        let added = named.iter().filter(|tenant| !self.tenants.contains_key(*tenant)).count();
        if self.tenants.len() + added > caps::FEED_TENANTS_MAX + gone.len() {
            return Err(RoundRefused::TooManyTenants);
        }
        if let Some(shards) = shards {
            self.changed |= shards != self.shards;
            self.shards = shards;
        }
        self.apply(position, trust, told, gone);
        if self.starting.is_none() {
            self.starting =
                Some(self.tenants.keys().filter(|tenant| self.builds.has(tenant)).cloned().collect());
        }
        Ok(())
    }

    /// Whether the tenants of a round may be taken over; their names.
    fn check_tenants(&self, position: Position, told: &[Told]) -> Result<HashSet<TenantId>, RoundRefused> {
        let mut named = HashSet::with_capacity(told.len());
        for told in told {
            if self.config.tenant.as_ref().is_some_and(|only| told.tenant != *only) {
                return Err(RoundRefused::OtherTenant);
            }
            let activation = told.activation.map_or(0, |activation| activation.number);
            if self.least(&told.tenant) > (Stamp { history: position.history, activation }) {
                return Err(RoundRefused::Behind(told.tenant.clone()));
            }
            if !named.insert(told.tenant.clone()) {
                return Err(RoundRefused::Twice(told.tenant.clone()));
            }
        }
        Ok(named)
    }

    /// What `tenant` may not go below: what was in force before a restart, and what was told since.
    fn least(&self, tenant: &TenantId) -> Stamp {
        let told = self.tenants.get(tenant).map_or(Stamp::default(), Followed::stamp);
        self.floor.stamp(tenant).max(told)
    }

    fn apply(&mut self, position: Position, trust: Option<ToldTrust>, told: Vec<Told>, gone: Vec<TenantId>) {
        self.position = self.position.max(position);
        self.changed |= trust.is_some() || !told.is_empty() || !gone.is_empty();
        let trust_changed = trust.is_some();
        self.trust = trust.or(self.trust.take());
        for tenant in gone {
            self.tenants.remove(&tenant);
            self.unacknowledged.insert(tenant);
        }
        let mut affected: BTreeSet<TenantId> = told.iter().map(|told| told.tenant.clone()).collect();
        for told in told {
            match self.tenants.get_mut(&told.tenant) {
                Some(followed) => followed.tell(told, position.history),
                None => drop(self.tenants.insert(told.tenant.clone(), Followed::new(told, position.history))),
            }
        }
        if trust_changed {
            // A key that was missing may be there now.
            let waiting = self.tenants.iter().filter(|(_, followed)| !followed.is_resolved());
            affected.extend(waiting.map(|(tenant, _)| tenant.clone()));
        }
        for tenant in affected {
            self.resolve(&tenant);
            self.advance(&tenant);
        }
    }

    /// Verifies the manifests of what a tenant's activation names.
    fn resolve(&mut self, tenant: &TenantId) {
        let (Some(trust), Some(followed)) = (&self.trust, self.tenants.get_mut(tenant)) else { return };
        followed.resolve(&trust.manifests);
        self.unacknowledged.insert(tenant.clone());
    }

    /// Puts a tenant's activation into force if its versions are ready, or has them made ready.
    fn advance(&mut self, tenant: &TenantId) {
        let Some(followed) = self.tenants.get_mut(tenant) else { return };
        let missing = followed.missing();
        if !missing.is_empty() {
            if followed.may_build() {
                self.builds.start(tenant, followed.activation(), missing, self.client.clone());
            }
            return;
        }
        if followed.promote() {
            self.changed = true;
            self.unacknowledged.insert(tenant.clone());
        }
    }

    /// Waits for the next version that is ready, or cannot be.
    pub(super) async fn built(&mut self) -> Built {
        self.builds.next().await
    }

    /// Takes the result of a build.
    pub(super) fn take_built(&mut self, built: Built) {
        let Built { tenant, activation, prepared, failed } = built;
        if let Some(starting) = &mut self.starting {
            // The snapshot changes even if nothing came of it: it may be whole now.
            self.changed |= starting.remove(&tenant);
        }
        let Some(followed) = self.tenants.get_mut(&tenant) else { return };
        followed.ready(prepared);
        // What failed for an activation that was replaced meanwhile says nothing about the one that is wanted now.
        if let Some(failed) = failed
            && followed.activation() == activation
        {
            followed.fail(failed, &self.config.pace);
            self.unacknowledged.insert(tenant);
            return;
        }
        self.advance(&tenant);
    }

    /// Tries again what is due. To be called every [`super::Pace::tick`].
    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        let due =
            self.tenants.iter_mut().filter_map(|(tenant, followed)| followed.is_due(now).then_some(tenant));
        for tenant in due.cloned().collect::<Vec<_>>() {
            self.advance(&tenant);
        }
    }

    /// Puts everything into force that is ready: the floor first, then the snapshot (POL-2, WALK-1).
    pub(super) async fn settle(&mut self) {
        while let Some(built) = self.builds.try_next() {
            self.take_built(built);
        }
        let (true, Some(trust)) = (self.changed, &self.trust) else { return };
        let stamps =
            self.tenants.iter().filter_map(|(tenant, followed)| Some((tenant, followed.in_force()?)));
        let raised = self.floor.raised(self.position, stamps);
        let number = raised.snapshot();
        let unplaced = (self.placed.0 != self.shards.etag).then(|| self.shards.clone());
        let me = self.floor.node_id();
        let work = move || (raised.write(), unplaced.map(|told| (told.etag.clone(), told.placed(me))));
        let (written, placed) = match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(panic) => return self.floor_failed(&panic.to_string()),
        };
        if let Some((etag, map)) = placed {
            self.placed = (etag, Arc::new(map));
        }
        match written {
            Ok(floor) => self.floor = floor,
            Err(error) => return self.floor_failed(&error.to_string()),
        }
        self.floor_failed = false;
        let verifier = Verifier::new(Arc::clone(&trust.tokens), Arc::clone(&self.verified_tokens));
        let tenants = self.tenants.values().filter_map(|followed| followed.tenant(self.staleness));
        let snapshot = Snapshot::new(number, verifier, tenants).with_shards(Arc::clone(&self.placed.1));
        let whole = self.starting.as_ref().is_some_and(HashSet::is_empty);
        let snapshot = if whole { snapshot } else { snapshot.starting() };
        match self.decider.swap(snapshot) {
            Ok(()) => self.changed = false,
            Err(refusal) => {
                tracing::error!(%refusal, "the feed would take the node back; what is in force stays");
            }
        }
    }

    /// Nothing newer is enforced before it is known for sure that a restart does not forget it.
    fn floor_failed(&mut self, error: &str) {
        if !std::mem::replace(&mut self.floor_failed, true) {
            let folder = self.config.folder.display();
            tracing::error!(%folder, error, "what is to be enforced cannot be noted; what is in force stays");
        }
    }

    /// Goes on with what needs no control node, for `time`.
    pub(super) async fn work_without_control(&mut self, time: Duration) {
        let over = Instant::now() + time;
        while let Ok(built) = tokio::time::timeout_at(over, self.built()).await {
            self.take_built(built);
            self.settle().await;
        }
    }

    /// Whether everything that is ready is in force: only then an acknowledgement is true.
    pub(super) fn is_settled(&self) -> bool {
        !self.changed
    }

    /// Whether there is a tenant to acknowledge.
    pub(super) fn has_acknowledgements(&self) -> bool {
        !self.unacknowledged.is_empty()
    }

    /// The standing of every tenant that the control plane does not know. They count as known from now on.
    pub(super) fn acknowledge(&mut self) -> v1::Ack {
        let tenants = std::mem::take(&mut self.unacknowledged).into_iter().map(|tenant| {
            match self.tenants.get(&tenant) {
                Some(followed) => followed.acknowledgement(),
                None => v1::TenantAck { tenant: tenant.to_string(), gone: true, ..Default::default() },
            }
        });
        let tenants = tenants.collect();
        v1::Ack { history: self.position.history, index: self.position.index, tenants }
    }

    /// Takes over a confirmed moment; whether it is newer than all before.
    pub(super) fn confirm(&mut self, log_time_ms: u64) -> bool {
        self.decider.confirm(log_time_ms)
    }
}
