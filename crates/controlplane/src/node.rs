//! One control node: its storage, its part in Raft, and everything that is served on top; started, and ended in order.
//!
//! Start at [`ControlNode::start`]. What a cluster begins with is in [`found`]; when a node may be sent requests, in
//! `readiness`.

pub mod found;
mod readiness;

mod backups;
mod house;
mod http;
mod metrics;
mod pages;
mod rotation;
mod state_page;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aegis_identity::tls::{IdentityPem, TlsError};
use aegis_identity::trust::TrustError;
use aegis_model::caps;
use aegis_model::clock::Clock;
use aegis_model::ids::ClusterId;
use aegis_model::metric;
use aegis_raft_store::store::{ClusterError, OpenError, Store, StoreHandle, StoreOptions};
use aegis_raft_store::tables::StoreError;
use aegis_raft_store::types::Peer;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin::Admin;
use crate::admin::rest::listen as http_port;
use crate::approvals::ApprovalsNode;
use crate::control::Control;
use crate::deliveries::{Counters, NoWayOut};
use crate::evidence::EvidenceNode;
use crate::feed::FeedNode;
use crate::keys::ClusterKeys;
use crate::lending::LendingNode;
use crate::machine::{self, ControlMachine};
use crate::publish::Publisher;
use crate::raft::listen;
use crate::raft::node::{End, RaftNode, Setup};
use crate::raft::replicate::{ControlState, Replicated};
use crate::raft::timings::Timings;
use crate::raft::tls::{TlsIdentity, TlsPem};
use crate::readiness::Readiness;
use crate::search::SearchNode;
use crate::spans::CallSink;
use crate::state::control_tree;
use crate::store::{Shelf, StoreStatus, Worker};
use crate::tokens::TokensNode;
use crate::witnesses::{NoClient, Witness};
use http::HttpTls;
pub use metrics::Metrics;

/// What a control node is made from: plain data, but for what was read from files.
pub struct NodeConfig {
    /// Its name, as in its certificate.
    pub name: String,
    /// Its cluster, as in its certificate.
    pub cluster: ClusterId,
    /// Where the other nodes reach its gRPC port, e.g. `https://control-1:7071`; port 0 stands for the one that is taken.
    pub advertise: String,
    /// Its folder: what it promised to the others is in it. One process at a time.
    pub directory: PathBuf,
    /// Where gRPC is served, always with TLS; port 0 takes a free one.
    pub grpc: SocketAddr,
    /// Where HTTP is served. Nothing: not at all.
    pub http: Option<SocketAddr>,
    /// How people reach HTTP, e.g. `https://aegis.example.com`. Nothing: by its address.
    pub public_url: Option<String>,
    /// Whether HTTP is served without TLS; for loopback.
    pub http_plain: bool,
    /// Where `/metrics` is served, always without TLS. It shows all tenants, so it should be loopback.
    pub metrics: Option<SocketAddr>,
    /// What `/metrics` shows beside what the node has to tell.
    pub more_metrics: Option<metric::Source>,
    /// Where spans of calls go. Nothing: calls are only counted.
    pub spans: Option<CallSink>,
    /// Certificate, key, and who vouches for other nodes.
    pub tls: OwnedPem,
    /// What the cluster's private keys are wrapped under.
    pub cluster_keys: Arc<ClusterKeys>,
    /// The object store. Nothing: bundles stay in the state.
    pub shelf: Option<Shelf>,
    /// Outside witnesses of the control log. Nobody: its checkpoints are signed by the cluster only.
    pub witnesses: Vec<Witness>,
    /// Whether messages about approvals may go to private addresses, and to them in the clear.
    pub deliver_to_private: bool,
    /// Seconds for which a data node may judge by what it knows, where a tenant does not say. 0: the product's default.
    pub staleness_seconds_max: u32,
    /// How long Raft waits for what.
    pub timings: Timings,
    /// Where the wall time comes from.
    pub clock: Clock,
    /// The version of its software.
    pub software: String,
}

/// A certificate chain, its key and authorities, as the bytes of PEM files.
#[derive(Clone)]
pub struct OwnedPem {
    /// The chain, the leaf first.
    pub chain: Vec<u8>,
    /// The leaf's private key.
    pub key: aegis_model::secret::Secret<Vec<u8>>,
    /// Who vouches for other nodes.
    pub authorities: Vec<u8>,
}

impl OwnedPem {
    fn identity(&self) -> IdentityPem<'_> {
        IdentityPem { chain: &self.chain, key: self.key.expose() }
    }

    fn pem(&self) -> TlsPem<'_> {
        TlsPem { identity: self.identity(), authorities: &self.authorities }
    }
}

/// Why a control node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be bound.
    #[error("the {listener} address `{address}` cannot be bound: {source}")]
    Bind {
        /// `HTTP`, `gRPC` or `metrics`.
        listener: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Its folder cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its folder belongs to another cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Raft does not start.
    #[error(transparent)]
    Raft(#[from] crate::raft::node::StartError),
    /// The storage failed, or is of newer software.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread that opened the folder panicked.
    #[error("the folder could not be opened")]
    Panicked,
    /// The cluster's name cannot issue tokens.
    #[error(transparent)]
    Issuer(#[from] TrustError),
    /// Messages about approvals cannot be sent.
    #[error(transparent)]
    Deliveries(#[from] NoWayOut),
    /// Outside witnesses cannot be asked.
    #[error(transparent)]
    Witnesses(#[from] NoClient),
}

/// Where a control node listens, ports resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// gRPC.
    pub grpc: SocketAddr,
    /// HTTP.
    pub http: Option<SocketAddr>,
    /// `/metrics`.
    pub metrics: Option<SocketAddr>,
}

/// A running control node. Dropping it cuts everything off; [`ControlNode::shutdown`] ends it in order.
pub struct ControlNode {
    parts: Parts,
    feed: FeedNode,
    lending: LendingNode,
    approvals: ApprovalsNode,
    evidence: EvidenceNode,
    tokens: TokensNode,
    search: SearchNode,
    admin: Admin,
    deliveries: Arc<Counters>,
    store: StoreHandle,
    addresses: Addresses,
    more_metrics: Option<metric::Source>,
    calls: CallSink,
    identity: TlsIdentity,
    http_tls: Option<HttpTls>,
    readiness: Readiness,
    stop: CancellationToken,
    /// Tasks that run as long as the node does; each returns its name.
    tasks: JoinSet<&'static str>,
}

/// What the services of a node are made from. Cheap to clone.
#[derive(Clone)]
pub struct Parts {
    /// The state, and the way to change it.
    pub control: Control,
    /// This node's part in Raft.
    pub raft: RaftNode,
    /// What the cluster's private keys are wrapped under.
    pub cluster_keys: Arc<ClusterKeys>,
    /// Publishes versions.
    pub publisher: Publisher,
    /// Where the wall time comes from.
    pub clock: Clock,
    /// Who this node is to the others.
    pub me: Peer,
    /// How far the object store is; nothing without one.
    pub shelving: Option<watch::Receiver<StoreStatus>>,
}

/// The sockets of a node.
struct Sockets {
    grpc: TcpListener,
    http: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

impl ControlNode {
    /// Binds, opens the folder, and takes part in its cluster, if it belongs to one. To be called within a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]; then nothing runs.
    pub async fn start(config: NodeConfig) -> Result<Self, StartError> {
        let identity = TlsIdentity::new(config.tls.pem())?;
        let http_tls = if config.http_plain { None } else { Some(HttpTls::new(config.tls.identity())?) };
        let (sockets, addresses) = Sockets::bind(&config).await?;
        let (raft, control, store) = replicated(&config, identity.clone()).await?;

        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let leads = readiness::watch_leading(&mut tasks, raft.clone(), stop.clone());
        let shelving = config.shelf.clone().map(|shelf| {
            let (worker, status) = Worker::new(control.clone(), shelf, config.clock.clone(), leads.clone());
            let stopping = stop.clone();
            tasks.spawn(async move {
                worker.run(stopping).await;
                "the keeper of the object store"
            });
            status
        });
        let parts = Parts {
            publisher: Publisher::new(control.clone(), Arc::clone(&config.cluster_keys)),
            control,
            raft,
            cluster_keys: Arc::clone(&config.cluster_keys),
            clock: config.clock.clone(),
            me: Peer { name: config.name.clone(), address: reached_at(&config.advertise, addresses.grpc) },
            shelving,
        };
        if let Some(shelving) = &parts.shelving {
            parts.raft.answer_object_store(Arc::new(shelving.clone()));
        }
        let feed = pages::feed(&config, &parts)?;
        pages::keep_feed(&mut tasks, feed.clone(), stop.clone());
        let lead = readiness::watch_lead(&mut tasks, parts.raft.clone(), stop.clone());
        let lending = pages::lending(&config, &parts, lead);
        pages::keep_lending(&mut tasks, lending.clone(), stop.clone());
        pages::keep_shards(&mut tasks, &parts, &lending, stop.clone());
        let evidence = pages::evidence(&config, &parts);
        pages::keep_evidence(&mut tasks, evidence.clone(), leads.clone(), stop.clone());
        let tokens = pages::tokens(&config, &parts);
        rotation::keep(&mut tasks, parts.clone(), feed.acks().clone(), leads.clone(), stop.clone());
        let readiness = readiness::watch(&mut tasks, &parts, stop.clone());
        pages::keep_approvals(&mut tasks, &parts, leads.clone(), stop.clone());
        let approvals = pages::approvals(&config, &parts, public_url(&config, &addresses), stop.clone());
        let sender = pages::sender(&config, public_url(&config, &addresses))?;
        let deliveries = sender.counters();
        pages::keep_deliveries(&mut tasks, &parts, sender.clone(), leads.clone(), stop.clone());
        pages::ask_witnesses(&mut tasks, &config, &parts, leads.clone(), stop.clone())?;
        house::keep(&mut tasks, parts.clone(), leads, stop.clone());
        let scratch = config.directory.with_extension("scratch");
        let backups = backups::backups(parts.raft.clone(), store.clone(), scratch);
        let search = pages::search(&config, &parts, stop.clone());
        let admin = pages::admin(&parts, &feed, backups, readiness.clone(), sender, search.clone());
        let calls = config.spans.clone().unwrap_or_else(|| CallSink::counting(config.clock.clone()));
        let mut node = Self {
            parts,
            feed,
            lending,
            approvals,
            evidence,
            tokens,
            search,
            admin,
            deliveries,
            store,
            addresses,
            more_metrics: config.more_metrics.clone(),
            calls,
            identity,
            http_tls,
            readiness,
            stop,
            tasks,
        };
        node.serve(sockets);
        Ok(node)
    }

    /// What its services are made from.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Its side of the feed.
    pub fn feed(&self) -> &FeedNode {
        &self.feed
    }

    /// Its side of lending to data nodes.
    pub fn lending(&self) -> &LendingNode {
        &self.lending
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Whether it should be sent requests.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// What it has to tell in numbers.
    pub fn metrics(&self) -> Metrics {
        Metrics {
            parts: self.parts.clone(),
            lending: self.lending.clone(),
            acks: self.feed.acks().clone(),
            store: self.store.clone(),
            readiness: self.readiness.clone(),
            deliveries: Arc::clone(&self.deliveries),
            calls: self.calls.clone(),
            more: self.more_metrics.clone(),
        }
    }

    /// Its storage.
    pub fn store(&self) -> &StoreHandle {
        &self.store
    }

    /// Exchanges certificate and authorities while it serves.
    ///
    /// # Errors
    /// [`TlsError`]; what was in force stays in force.
    pub fn replace_tls(&self, pem: &OwnedPem) -> Result<(), TlsError> {
        let http = self.http_tls.as_ref().map(|_| HttpTls::read(pem.identity())).transpose()?;
        self.identity.replace(pem.pem())?;
        if let (Some(tls), Some(read)) = (&self.http_tls, http) {
            tls.replace(read);
        }
        Ok(())
    }

    /// Waits until something ends that should run as long as the node: a fault. The node should then be shut down.
    pub async fn faulted(&mut self) -> String {
        let raft = self.parts.raft.clone();
        tokio::select! {
            end = raft.ended() => match end {
                End::Stopped => "raft was stopped".to_owned(),
                End::Failed(why) => why,
            },
            // A task may end because of the fault, and be seen before it.
            Some(ended) = self.tasks.join_next() => raft.fault().unwrap_or_else(|| match ended {
                Ok(name) => format!("{name} ended"),
                Err(_panic) => "a task panicked".to_owned(),
            }),
        }
    }

    /// Ends the node: not ready, nothing more accepted, what is under way answered within
    /// [`caps::CONTROL_DRAIN_SECONDS`], then Raft, then the storage.
    ///
    /// # Errors
    /// The storage failed.
    pub async fn shutdown(mut self) -> Result<(), StoreError> {
        self.stop.cancel();
        let patience = Duration::from_secs(caps::CONTROL_DRAIN_SECONDS) + GRACE;
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, drained).await.is_err() {
            tracing::warn!("what was under way was cut off, since the time to drain is over");
            self.tasks.shutdown().await;
        }
        self.parts.raft.stop().await;
        self.store.close().await
    }

    fn serve(&mut self, sockets: Sockets) {
        let (identity, stop) = (self.identity.clone(), self.stop.clone());
        let served = pages::ForDataNodes {
            feed: &self.feed,
            lending: &self.lending,
            approvals: &self.approvals,
            evidence: &self.evidence,
            tokens: &self.tokens,
            search: &self.search,
        };
        let calls = self.calls.clone();
        let routes = pages::routes(&self.parts, &served, &self.admin, &calls, &mut self.tasks, stop.clone());
        self.tasks.spawn(async move {
            if let Err(error) = listen::serve(sockets.grpc, identity, routes, stop).await {
                tracing::error!(%error, "gRPC cannot be served");
            }
            "the gRPC listener"
        });
        if let Some(listener) = sockets.http {
            let (rest, stop) = (pages::rest(&self.admin, &self.calls), self.stop.clone());
            let tls = self.http_tls.as_ref().map(HttpTls::source);
            self.tasks.spawn(async move {
                http_port::serve(listener, tls, rest, stop).await;
                "the HTTP listener"
            });
        }
        if let Some(listener) = sockets.metrics {
            let router = metrics::router(self.metrics());
            let stop = self.stop.clone();
            self.tasks.spawn(async move {
                http::serve(listener, router, stop).await;
                "the metrics listener"
            });
        }
    }
}

/// What tasks may take to end after the connections have.
const GRACE: Duration = Duration::from_secs(2);

impl Drop for ControlNode {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Where people reach the admin API.
fn public_url(config: &NodeConfig, addresses: &Addresses) -> String {
    let scheme = if config.http_plain { "http" } else { "https" };
    let own = || addresses.http.map(|address| format!("{scheme}://{address}"));
    config.public_url.clone().or_else(own).unwrap_or_default()
}

/// The address that other nodes are told: port 0 stands for the one that was taken.
fn reached_at(advertise: &str, bound: SocketAddr) -> String {
    match advertise.strip_suffix(":0") {
        Some(host) => format!("{host}:{}", bound.port()),
        None => advertise.to_owned(),
    }
}

/// Opens the folder and starts Raft over it.
async fn replicated(
    config: &NodeConfig,
    identity: TlsIdentity,
) -> Result<(RaftNode, Control, StoreHandle), StartError> {
    let options = StoreOptions { cluster_id: Some(config.cluster.clone()), ..StoreOptions::default() };
    let directory = config.directory.clone();
    // Reads and checks both files: as long as they are large.
    let opened =
        tokio::task::spawn_blocking(move || Store::open(&directory, options, Arc::new(ControlMachine)));
    let (log, state, store) = opened.await.map_err(|_panicked| StartError::Panicked)??;
    machine::supported(&store.view()?)?;
    control_tree::check_ends(&store.view()?)?;
    store.set_cluster_id(&config.cluster).await?;
    let setup = Setup {
        cluster: config.cluster.clone(),
        node: store.node_id(),
        name: config.name.clone(),
        timings: config.timings.clone(),
        clock: config.clock.clone(),
        identity,
        local: ControlState::new(store.clone()),
    };
    let raft = RaftNode::start(setup, log, state).await?;
    let replicated = Replicated::new(raft.clone(), store.clone(), &config.software)?;
    Ok((raft, Control::new(replicated), store))
}

impl Sockets {
    async fn bind(config: &NodeConfig) -> Result<(Self, Addresses), StartError> {
        let (grpc, grpc_address) = bind("gRPC", config.grpc).await?;
        let (mut http, mut metrics) = (None, None);
        if let Some(address) = config.http {
            http = Some(bind("HTTP", address).await?);
        }
        if let Some(address) = config.metrics {
            metrics = Some(bind("metrics", address).await?);
        }
        let addresses = Addresses {
            grpc: grpc_address,
            http: http.as_ref().map(|(_, address)| *address),
            metrics: metrics.as_ref().map(|(_, address)| *address),
        };
        let sockets =
            Self { grpc, http: http.map(|(socket, _)| socket), metrics: metrics.map(|(socket, _)| socket) };
        Ok((sockets, addresses))
    }
}

async fn bind(listener: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let refused = |source| StartError::Bind { listener, address, source };
    let socket = TcpListener::bind(address).await.map_err(refused)?;
    let address = socket.local_addr().map_err(refused)?;
    Ok((socket, address))
}
