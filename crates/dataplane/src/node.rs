//! One node: binds its sockets, owns every task, and ends in order.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aegis_audit::journal::JournalError;
use aegis_model::caps;
use aegis_model::clock::Clock;
use aegis_model::metric;
use aegis_model::secret::Secret;
use rustls::ServerConfig;
use tokio::task::JoinSet;

use crate::archive::{Archive, Keeper};
use crate::budget::ByteBudget;
use crate::decider::{Decider, DeciderConfig};
use crate::decision_id::NodeName;
use crate::evidence;
use crate::export::{Export, Worker};
use crate::feed::Feed;
use crate::grpc::{GrpcSurface, report_health};
use crate::http::HttpSurface;
use crate::metrics_page;
use crate::occupied;
use crate::readiness::Readiness;
use crate::records::JournalConfig;
use crate::retention::Pruner;
use crate::search;
use crate::serve::{Life, Listener, Patience, Protocol, Traffic};
use crate::snapshot::{ShardMap, Snapshot, SwapRefusal};
use crate::spans::SpanSink;

/// What a node is made from: plain data. The one thing that is opened is the journal.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Its name; stands in every decision id.
    pub name: NodeName,
    /// A number that no start of this node has had before; 0 for a node whose feed brings it.
    pub incarnation: u64,
    /// 32 random bytes, made at this start: what the digests and the ids of records and the key of the log are made from.
    pub secret: Secret<[u8; 32]>,
    /// Where the time comes from.
    pub clock: Clock,
    /// The journal of the node's audit logs, one per start.
    pub journal: JournalConfig,
    /// Where HTTP is served; port 0 takes a free one. Nothing: not served.
    pub http: Option<SocketAddr>,
    /// Where gRPC is served.
    pub grpc: Option<SocketAddr>,
    /// Where `/metrics` is served, always without TLS. It shows all tenants, so it should be loopback.
    pub metrics: Option<SocketAddr>,
    /// TLS for HTTP and gRPC. Nothing: both in the clear. Its list of protocols (ALPN) is replaced.
    pub tls: Option<Arc<ServerConfig>>,
    /// How clients reach HTTP, e.g. `https://aegis.example.com`, for the AuthZEN metadata. Nothing: by its address.
    pub public_url: Option<String>,
    /// Largest request body, in bytes; at most [`caps::BODY_BYTES_MAX`].
    pub body_bytes_max: usize,
    /// Most calls in progress; at most [`caps::CALLS_IN_PROGRESS_MAX`].
    pub calls_in_progress_max: usize,
    /// How long the parties of a connection may take.
    pub patience: Patience,
    /// Where a span per decision goes. Nothing: there are none.
    pub spans: Option<SpanSink>,
    /// Where its audit logs are copied to. Nothing: nowhere.
    pub archive: Option<Archive>,
    /// Where events of its records are sent.
    pub exports: Vec<Export>,
    /// What `/metrics` shows beside what the node has to tell.
    pub more_metrics: Option<metric::Source>,
}

impl NodeConfig {
    /// A node that listens nowhere yet, with the bounds of `model::caps`.
    pub fn new(name: NodeName, incarnation: u64, secret: Secret<[u8; 32]>, journal: PathBuf) -> Self {
        Self {
            name,
            incarnation,
            secret,
            clock: Clock::System,
            journal: journal.into(),
            http: None,
            grpc: None,
            metrics: None,
            tls: None,
            public_url: None,
            body_bytes_max: caps::BODY_BYTES_MAX,
            calls_in_progress_max: caps::CALLS_IN_PROGRESS_MAX,
            patience: Patience::default(),
            spans: None,
            archive: None,
            exports: Vec::new(),
            more_metrics: None,
        }
    }
}

/// Where a node listens, ports resolved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Addresses {
    /// HTTP.
    pub http: Option<SocketAddr>,
    /// gRPC.
    pub grpc: Option<SocketAddr>,
    /// `/metrics`.
    pub metrics: Option<SocketAddr>,
}

/// A running node. Dropping it cuts everything off; [`Node::shutdown`] ends it in order.
#[derive(Debug)]
pub struct Node {
    decider: Arc<Decider>,
    addresses: Addresses,
    readiness: Readiness,
    life: Life,
    traffic: Vec<Arc<Traffic>>,
    /// Tasks that run as long as the node does; each returns its name.
    tasks: JoinSet<&'static str>,
    drain: Duration,
    archive: Option<Archive>,
    exports: Vec<Export>,
    /// The journal's folder.
    journal: PathBuf,
}

/// How a node ended.
#[derive(Debug)]
pub struct Ended {
    /// Connections and streams that were cut off, unanswered, since they took longer than the drain may.
    pub cut_off: usize,
    /// Whether the audit log of this start is closed.
    pub log: io::Result<()>,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal cannot be opened, or the log of this start not begun.
    #[error("the audit journal cannot be opened: {0}")]
    Journal(#[from] JournalError),
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
}

/// How often silent sources and old request ids are looked after.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// Every how many rounds old request ids are forgotten: it looks at each of them.
const FORGET_EVERY: u32 = 5;

impl Node {
    /// Binds, starts, and is ready when this returns; with [`Snapshot::awaiting`] once its feed ([`Node::follow`]) has
    /// brought policies. To be called within a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]; then nothing runs.
    pub async fn start(config: NodeConfig, snapshot: Snapshot) -> Result<Self, StartError> {
        let journal = config.journal.folder.clone();
        let decider = DeciderConfig {
            node: config.name,
            incarnation: config.incarnation,
            secret: config.secret,
            clock: config.clock,
            journal: config.journal,
            calls_in_progress_max: config.calls_in_progress_max,
            spans: config.spans,
            more_metrics: config.more_metrics,
        };
        let opened = tokio::task::spawn_blocking(|| Decider::new(decider, snapshot)).await;
        let decider = opened.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        let tls = config.tls.as_deref();
        let http = bind("HTTP", config.http, Protocol::Http, tls).await?;
        let grpc = bind("gRPC", config.grpc, Protocol::Http2, tls).await?;
        let metrics = bind("metrics", config.metrics, Protocol::Http, None).await?;

        let life = Life::default();
        let readiness = Readiness::new(life.stopping.clone(), &decider);
        let addresses = Addresses {
            http: http.as_ref().map(|(_, address)| *address),
            grpc: grpc.as_ref().map(|(_, address)| *address),
            metrics: metrics.as_ref().map(|(_, address)| *address),
        };
        let mut node = Self {
            decider: Arc::new(decider),
            addresses,
            readiness,
            life,
            traffic: Vec::new(),
            tasks: JoinSet::new(),
            drain: config.patience.drain,
            archive: config.archive,
            exports: config.exports,
            journal,
        };
        let traffic = [&http, &grpc, &metrics].into_iter().flatten().map(|(listener, _)| listener.traffic());
        let traffic: Vec<Arc<Traffic>> = traffic.collect();
        node.traffic.clone_from(&traffic);
        let budget = ByteBudget::new(caps::BODY_BYTES_IN_PROGRESS_MAX);
        let body_bytes_max = config.body_bytes_max.clamp(1, caps::BODY_BYTES_MAX);
        let patience = config.patience;
        if let Some((listener, address)) = http {
            let scheme = if tls.is_some() { "https" } else { "http" };
            let base = config.public_url.unwrap_or_else(|| format!("{scheme}://{address}"));
            node.serve_http(listener, budget.clone(), body_bytes_max, patience, &base);
        }
        if let Some((listener, _)) = grpc {
            node.serve_grpc(listener, budget, body_bytes_max, patience);
        }
        if let Some((listener, _)) = metrics {
            node.serve_metrics(listener, traffic, patience);
        }
        node.keep_house();
        node.keep_copies();
        node.keep_exporting();
        node.keep_retention();
        node.watch_the_disk();
        Ok(node)
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Whether it takes calls.
    pub fn is_ready(&self) -> bool {
        self.readiness.is_ready()
    }

    /// What it has to tell in numbers: what `/metrics` shows.
    pub fn metrics(&self) -> metric::Source {
        let (decider, traffic) = (Arc::clone(&self.decider), self.traffic.clone());
        metric::Source::new(move || decider.families(&traffic))
    }

    /// The decision point behind the surfaces.
    pub fn decider(&self) -> &Arc<Decider> {
        &self.decider
    }

    /// Puts `snapshot` into force for every call received from now on; calls in progress end under theirs.
    ///
    /// # Errors
    /// [`SwapRefusal`]; then nothing has changed.
    pub fn swap(&self, snapshot: Snapshot) -> Result<(), SwapRefusal> {
        self.decider.swap(snapshot)
    }

    /// Follows `feed` for as long as the node runs, and borrows budgets and rates from the same control plane, and asks it for
    /// approvals. Either that
    /// ends by itself is a fault ([`Node::faulted`]).
    ///
    /// For a node that was started with [`Snapshot::awaiting`]; its snapshots are the feed's matter from now on.
    pub fn follow(&mut self, feed: Feed) {
        // A second feed would ask the same control plane.
        let _first_one_stays = self.decider.tokens.set(feed.tokens());
        let (lending, book) = (feed.lending(), Arc::clone(&self.decider.book));
        self.decider.know_peers(feed.peers());
        self.tasks.spawn(async move {
            lending.run(book).await;
            "lending"
        });
        if let Some(mut returns) =
            self.decider.approvals.begin(feed.approvals(), Arc::clone(&self.decider.book))
        {
            let decider = Arc::clone(&self.decider);
            self.tasks.spawn(async move {
                decider.approvals.give_back(&mut returns).await;
                "the return of approvals"
            });
        }
        let (attendance, decider) = (feed.attendance(), Arc::clone(&self.decider));
        let archive = self.archive.clone();
        self.tasks.spawn(async move {
            if let Err(error) = search::attend(attendance, decider, archive).await {
                tracing::error!(%error, "searches for decisions cannot be answered");
            }
            "the search for decisions"
        });
        let (decider, stopping) = (Arc::clone(&self.decider), self.life.stopping.clone());
        self.tasks.spawn(async move {
            feed.run(decider, stopping).await;
            "the feed"
        });
    }

    /// Waits until the node takes calls, or was told to stop. What is awaited does not borrow the node.
    pub fn ready(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut readiness = self.readiness.clone();
        async move { while !readiness.is_ready() && readiness.changed().await {} }
    }

    /// Waits until a task ends that should run as long as the node: a fault. Returns its name. The node should then
    /// be shut down.
    pub async fn faulted(&mut self) -> &'static str {
        match self.tasks.join_next().await {
            Some(Ok(name)) => name,
            Some(Err(_panic)) => "a task that panicked",
            // A node that serves nothing still keeps house, so there is always a task.
            None => std::future::pending().await,
        }
    }

    /// Ends the node: not ready, its slots given to others where there are any, nothing more accepted, calls in progress
    /// answered (as long as the drain may take), then what was borrowed returned (waiting at most
    /// [`caps::LEND_RETURN_SECONDS`]), the audit log closed, and its end reported (waiting at most [`caps::EVIDENCE_END_SECONDS`]).
    pub async fn shutdown(mut self) -> Ended {
        self.leave().await;
        self.life.stopping.cancel();
        self.life.tasks.close();
        let finished = tokio::time::timeout(self.drain, self.life.tasks.wait()).await.is_ok();
        let cut_off = if finished { 0 } else { self.life.tasks.len() };
        self.life.over.cancel();
        // What was cut off ends at its next await, so this does not wait for any client.
        self.life.tasks.wait().await;
        // No call can spend anything from here on.
        self.decider.book.close().await;
        self.tasks.shutdown().await;
        self.decider.tell_overdue_refusals();
        let decider = Arc::clone(&self.decider);
        let log = tokio::task::spawn_blocking(move || decider.records.close()).await;
        let log = log.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        if log.is_ok() {
            evidence::report_end(&self.decider).await;
        }
        tokio::join!(self.copy_the_end(), self.export_the_end());
        Ended { cut_off, log }
    }

    /// Says that this node leaves, and answers calls as before until its clients can know whom to ask instead.
    async fn leave(&self) {
        self.decider.leave();
        let mut shards = self.decider.shards();
        let others = |map: &ShardMap| map.nodes().len() > 1;
        if !shards.borrow().holds_me() || !others(&shards.borrow()) {
            return;
        }
        let gone = shards.wait_for(|map| !map.holds_me());
        match tokio::time::timeout(Duration::from_secs(caps::LEAVE_SECONDS), gone).await {
            Ok(Ok(_others_own_its_slots)) => {
                tokio::time::sleep(Duration::from_millis(caps::LEAVE_LINGER_MS)).await;
            }
            Ok(Err(_)) | Err(_) => tracing::warn!("the node stops before its slots were given to others"),
        }
    }

    fn serve_http(
        &mut self,
        listener: Listener,
        budget: ByteBudget,
        body_bytes_max: usize,
        patience: Patience,
        base: &str,
    ) {
        let decider = Arc::clone(&self.decider);
        let surface =
            HttpSurface::new(decider, self.readiness.clone(), budget, body_bytes_max, patience, base);
        let surface = Arc::new(surface);
        let life = self.life.clone();
        self.tasks.spawn(async move {
            let handler = move |source, request| Arc::clone(&surface).answer(source, request);
            listener.run(patience, life, handler).await;
            "the HTTP listener"
        });
    }

    fn serve_grpc(
        &mut self,
        listener: Listener,
        budget: ByteBudget,
        body_bytes_max: usize,
        patience: Patience,
    ) {
        let decider = Arc::clone(&self.decider);
        let (surface, reporter) =
            GrpcSurface::new(decider, self.readiness.clone(), budget, body_bytes_max, patience);
        let surface = Arc::new(surface);
        let life = self.life.clone();
        self.tasks.spawn(async move {
            let handler = move |source, request| Arc::clone(&surface).answer(source, request);
            listener.run(patience, life, handler).await;
            "the gRPC listener"
        });
        // Ends with the node's readiness, so it belongs to the tasks that are waited for.
        self.life.tasks.spawn(report_health(reporter, self.readiness.clone()));
    }

    fn serve_metrics(&mut self, listener: Listener, traffic: Vec<Arc<Traffic>>, patience: Patience) {
        let page = Arc::new(metrics_page::MetricsPage::new(Arc::clone(&self.decider), traffic));
        let life = self.life.clone();
        self.tasks.spawn(async move {
            let handler = move |_source, request| std::future::ready(page.answer(&request));
            listener.run(patience, life, handler).await;
            "the metrics listener"
        });
    }

    fn keep_house(&mut self) {
        let decider = Arc::clone(&self.decider);
        self.tasks.spawn(async move {
            let mut rounds = tokio::time::interval(HOUSEKEEPING);
            rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            for round in (0..FORGET_EVERY).cycle() {
                rounds.tick().await;
                decider.tell_overdue_refusals();
                decider.records.look();
                decider.look_at_policies();
                if round == 0 {
                    decider.forget_old_requests();
                }
            }
            "housekeeping"
        });
    }
}

impl Node {
    /// Copies the logs for as long as the node runs, if it is told where to.
    fn keep_copies(&mut self) {
        let Some(archive) = self.archive.clone() else { return };
        let mut keeper = Keeper::new(Arc::clone(&self.decider), archive);
        self.tasks.spawn(async move {
            keeper.run().await;
            "the copying of audit logs"
        });
    }

    /// Sends events for as long as the node runs, if it is told where to.
    fn keep_exporting(&mut self) {
        let workers: Vec<Worker> = self.workers().collect();
        let _once = self.decider.exports.set(workers.iter().map(Worker::counts).collect());
        for mut worker in workers {
            self.tasks.spawn(async move {
                worker.run().await;
                "an export of events"
            });
        }
    }

    /// What was recorded at the end is sent now, if that takes not long.
    async fn export_the_end(&self) {
        let mut ends: JoinSet<()> =
            self.workers().map(|mut worker| async move { worker.finish().await }).collect();
        while ends.join_next().await.is_some() {}
    }

    fn workers(&self) -> impl Iterator<Item = Worker> {
        let made = |export: &Export| Worker::new(Arc::clone(&self.decider), export.clone(), &self.journal);
        self.exports.iter().map(made)
    }

    /// Deletes what retention says for as long as the node runs.
    fn keep_retention(&mut self) {
        let pruner = Pruner::new(Arc::clone(&self.decider), self.archive.as_ref());
        self.tasks.spawn(async move {
            pruner.run().await;
            "retention"
        });
    }

    /// Tells how much of the disk the audit logs take, for as long as the node runs.
    fn watch_the_disk(&mut self) {
        let decider = Arc::clone(&self.decider);
        self.tasks.spawn(async move {
            occupied::run(decider).await;
            "the look at the disk"
        });
    }

    /// What was sealed at the end goes to the store now, if that takes not long: this node may never start again.
    async fn copy_the_end(&self) {
        let Some(archive) = self.archive.clone() else { return };
        let mut keeper = Keeper::new(Arc::clone(&self.decider), archive);
        let within = Duration::from_secs(caps::ARCHIVE_END_SECONDS);
        if !tokio::time::timeout(within, keeper.look()).await.unwrap_or(false) {
            tracing::warn!(
                "the end of the audit log is not in the store; the next start of this node copies it"
            );
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.life.stopping.cancel();
        self.life.over.cancel();
    }
}

async fn bind(
    name: &'static str,
    address: Option<SocketAddr>,
    protocol: Protocol,
    tls: Option<&ServerConfig>,
) -> Result<Option<(Listener, SocketAddr)>, StartError> {
    let Some(address) = address else { return Ok(None) };
    let refused = |source| StartError::Bind { listener: name, address, source };
    let listener = Listener::bind(name, address, protocol, tls).await.map_err(refused)?;
    let address = listener.address().map_err(refused)?;
    Ok(Some((listener, address)))
}
