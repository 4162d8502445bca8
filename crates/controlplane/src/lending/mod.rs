//! Lending to data nodes: parts of budgets and of rates, by the control plane's leader.
//!
//! ```text
//!  data node ══ hello, ask, tick ══▶ stream ──▶ lender ── gathers 5 ms ──▶ `Lend`, one entry ──▶ ledgers, rates
//!            ◀═ answer, share, recall ═══════════ │ ◀───────── applied, or confirmed by a quorum ────────┘
//!                                                 └──▶ who lives
//! ```
//!
//! One task owns everything that is not in the replicated state: who is connected, and what of each rate was given out. It leads
//! a *reign*: from the moment at which `TakeLending` made it the newest lender until another node leads. Nothing that it says of
//! budgets or rates is its own word: it is answered after it was replicated, or, where nothing has changed, after a
//! quorum confirmed that this is still the newest lender.
//!
//! Start at [`LendingNode`], then `reign`. `docs/internals/limits.md` tells what a crash leaves.

mod stream;

mod lender;

mod reign;

mod gather;

mod rates;

mod recalls;

mod live;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use aegis_model::caps;
use aegis_model::clock::Clock;
use aegis_proto::v1;
use aegis_proto::v1::lending_server::{Lending, LendingServer};
use futures_util::Stream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

use crate::control::Control;
use crate::feed::Admission;

pub use live::LiveNode;

/// What a control node's lending is made from.
#[derive(Debug, Clone)]
pub struct LendingConfig {
    /// The control node's name, for people.
    pub name: String,
    /// Its Raft node id: in whose name it lends.
    pub id: u64,
    /// How data nodes prove who they are.
    pub admission: Admission,
    /// Where the time comes from.
    pub clock: Clock,
}

/// Who leads the control plane, as a control node knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lead {
    /// This node.
    Here,
    /// Another one, reached at this address.
    There(String),
    /// Nobody that is known.
    Nobody,
}

/// One control node's side of lending. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LendingNode {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: LendingConfig,
    control: Control,
    lead: watch::Receiver<Lead>,
    live: watch::Sender<Arc<BTreeMap<u64, LiveNode>>>,
    counters: Counters,
    /// To the lender's task; what waits is bounded, and so streams wait with it.
    events: mpsc::Sender<stream::Event>,
    inbox: std::sync::Mutex<Option<mpsc::Receiver<stream::Event>>>,
    /// A place for each data node.
    places: Arc<Semaphore>,
    streams: TaskTracker,
    stopping: CancellationToken,
}

/// What was done, for metrics and tests.
#[derive(Debug, Default)]
pub struct Counters {
    /// Asks of data nodes for budgets.
    pub asks: AtomicU64,
    /// Ticks of data nodes for rates.
    pub ticks: AtomicU64,
    /// Commands proposed for both.
    pub commands: AtomicU64,
    /// Confirmations by a quorum, for ticks that changed nothing.
    pub confirmations: AtomicU64,
    /// Recalls sent to data nodes.
    pub recalls: AtomicU64,
    /// Alerts about budgets of which much is charged.
    pub alerts: AtomicU64,
    /// How often this node became the lender.
    pub reigns: AtomicU64,
}

impl LendingNode {
    /// Lending over `control`, while `lead` says that this node leads. It lends nothing before [`LendingNode::run`].
    pub fn new(config: LendingConfig, control: Control, lead: watch::Receiver<Lead>) -> Self {
        let (events, inbox) = mpsc::channel(caps::LEND_QUEUE_MAX);
        let shared = Shared {
            config,
            control,
            lead,
            live: watch::Sender::new(Arc::default()),
            counters: Counters::default(),
            events,
            inbox: std::sync::Mutex::new(Some(inbox)),
            places: Arc::new(Semaphore::new(caps::LEND_NODES_MAX)),
            streams: TaskTracker::new(),
            stopping: CancellationToken::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The gRPC service, with its bounds.
    pub fn service(&self) -> LendingServer<Self> {
        LendingServer::new(self.clone())
            .max_decoding_message_size(caps::LEND_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(caps::LEND_MESSAGE_BYTES_MAX)
    }

    /// The data nodes that live, by their ids: those that borrow here and are not leaving. Empty while this node does not lend, or
    /// has done so for less than [`caps::LEND_ABSENT_SECONDS`]: then nothing may be concluded from who is missing.
    pub fn live(&self) -> watch::Receiver<Arc<BTreeMap<u64, LiveNode>>> {
        self.shared.live.subscribe()
    }

    /// What it did.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Lends until `stopping`, then says farewell to every data node and waits until they are told. To be called once.
    pub async fn run(&self, stopping: CancellationToken) {
        let inbox = self.shared.inbox.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(inbox) = inbox else {
            return tracing::error!("lending runs already");
        };
        lender::run(&self.shared, inbox, stopping).await;
        self.shared.stopping.cancel();
        self.shared.streams.close();
        self.shared.streams.wait().await;
    }
}

type Responses = Pin<Box<dyn Stream<Item = Result<v1::LendResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Lending for LendingNode {
    type LendStream = Responses;

    async fn lend(
        &self,
        request: Request<Streaming<v1::LendRequest>>,
    ) -> Result<Response<Responses>, Status> {
        let shared = Arc::clone(&self.shared);
        let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() else {
            return Err(Status::resource_exhausted("too many data nodes borrow from this control node"));
        };
        if shared.stopping.is_cancelled() {
            return Err(Status::unavailable("this control node is stopping"));
        }
        let (_, extensions, up) = request.into_parts();
        let responses = stream::open(shared, &extensions, up, place).await.inspect_err(|status| {
            tracing::warn!(code = %status.code(), reason = status.message(), "a data node may not borrow");
        })?;
        Ok(Response::new(responses))
    }
}
