//! Making versions ready, off the hot path: tenants side by side, each version once.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use aegis_identity::manifest::Verified;
use aegis_model::caps;
use aegis_model::digest::Digest;
use aegis_model::ids::TenantId;
use aegis_policy::prepared::Prepared;
use aegis_proto::v1::feed_client::FeedClient;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use super::cache::BundleCache;
use super::fetch::{FetchError, fetch};
use super::prepare::{Unusable, prepare};

/// The work in progress; at most one build per tenant.
#[derive(Debug)]
pub(super) struct Builds {
    /// The node's name.
    node: String,
    cache: Arc<BundleCache>,
    fetch_time: Duration,
    /// Each build takes a place, so that memory is bounded.
    places: Arc<Semaphore>,
    running: JoinSet<Built>,
    tenants: HashSet<TenantId>,
}

/// What became of a build.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) tenant: TenantId,
    /// The activation for which it was begun.
    pub(super) activation: u64,
    /// What is ready now, also if something else is not.
    pub(super) prepared: Vec<(Digest, Arc<Prepared>)>,
    /// What kept the rest from it.
    pub(super) failed: Option<Failed>,
}

/// Why a version is not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failed {
    /// It could not be had; perhaps later, perhaps elsewhere.
    Fetch(FetchError),
    /// It can never judge here.
    Unusable(Unusable),
}

impl Builds {
    pub(super) fn new(node: String, cache: Arc<BundleCache>, fetch_time: Duration) -> Self {
        Self {
            node,
            cache,
            fetch_time,
            places: Arc::new(Semaphore::new(caps::FEED_BUILDS_MAX)),
            running: JoinSet::new(),
            tenants: HashSet::new(),
        }
    }

    /// Whether one is running for `tenant`.
    pub(super) fn has(&self, tenant: &TenantId) -> bool {
        self.tenants.contains(tenant)
    }

    /// Makes `versions` of `tenant` ready, one after the other; bundles that are not kept come from `client`. Does
    /// nothing while another build of the tenant is running: what is wanted is looked at again when that one ends.
    pub(super) fn start(
        &mut self,
        tenant: &TenantId,
        activation: u64,
        versions: Vec<Verified>,
        client: Option<FeedClient<Channel>>,
    ) {
        if !self.tenants.insert(tenant.clone()) {
            return;
        }
        let (tenant, cache) = (tenant.clone(), Arc::clone(&self.cache));
        let node = self.node.clone();
        let (places, fetch_time) = (Arc::clone(&self.places), self.fetch_time);
        self.running.spawn(async move {
            let mut built = Built { tenant, activation, prepared: Vec::new(), failed: None };
            let Ok(_place) = places.acquire().await else { return built };
            for version in versions {
                let digest = version.manifest().bundle;
                match build(&cache, version, client.clone(), &node, fetch_time).await {
                    Ok(prepared) => built.prepared.push((digest, prepared)),
                    Err(failed) => {
                        built.failed = Some(failed);
                        break;
                    }
                }
            }
            built
        });
    }

    /// The next result; waits for ever if nothing is running.
    pub(super) async fn next(&mut self) -> Built {
        loop {
            match self.running.join_next().await {
                Some(Ok(built)) => return self.ended(built),
                // A panic of a build is caught where it happens; what is left is a runtime that stops.
                Some(Err(_stopped)) => {}
                None => return std::future::pending().await,
            }
        }
    }

    /// A result that is there already.
    pub(super) fn try_next(&mut self) -> Option<Built> {
        let built = self.running.try_join_next()?.ok()?;
        Some(self.ended(built))
    }

    fn ended(&mut self, built: Built) -> Built {
        self.tenants.remove(&built.tenant);
        built
    }
}

async fn build(
    cache: &Arc<BundleCache>,
    version: Verified,
    client: Option<FeedClient<Channel>>,
    node: &str,
    fetch_time: Duration,
) -> Result<Arc<Prepared>, Failed> {
    let version = Arc::new(version);
    let kept = {
        let (cache, version) = (Arc::clone(cache), Arc::clone(&version));
        blocking(move || cache.get(&version)).await?
    };
    let bundle = match (kept, client) {
        (Some(bundle), _) => bundle,
        (None, None) => return Err(Failed::Fetch(FetchError::NotConnected)),
        (None, Some(client)) => {
            let fetched = tokio::time::timeout(fetch_time, fetch(client, node, &version)).await;
            let bundle = fetched.unwrap_or(Err(FetchError::Slow)).map_err(Failed::Fetch)?;
            keep(cache, &version, bundle).await?
        }
    };
    blocking(move || prepare(&bundle, &version)).await?.map(Arc::new).map_err(Failed::Unusable)
}

/// Puts a bundle into the cache, and gives it back. A cache that fails costs a fetch after a restart, nothing more.
async fn keep(cache: &Arc<BundleCache>, version: &Arc<Verified>, bundle: Vec<u8>) -> Result<Vec<u8>, Failed> {
    let (cache, version) = (Arc::clone(cache), Arc::clone(version));
    blocking(move || {
        if let Err(error) = cache.put(&version.manifest().bundle, &bundle) {
            tracing::warn!(%error, "a bundle could not be kept; it is fetched again after a restart");
        }
        bundle
    })
    .await
}

/// Runs what blocks on a thread of its own. A panic in it is that version's fault, and denies it.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failed> {
    tokio::task::spawn_blocking(work).await.map_err(|_panic| {
        let message = "making the bundle ready failed in a way that was not foreseen".to_owned();
        Failed::Unusable(Unusable { code: "bundle", message })
    })
}
