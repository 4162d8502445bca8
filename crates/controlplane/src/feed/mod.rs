//! The feed to data nodes: each is told the newest state that it does not have, and says what it enforces.
//!
//! ```text
//! applied ──▶ board ──▶ one picture of what data nodes have to know, kept up to date by notes of changes
//!               │
//!               ├──▶ follower (a data node) ──▶ what differs from what was sent ──▶ round, freshness ──▶ data node
//!               └──▶ follower …                                    acks ◀────────── credit, ack ◀──────────┘
//! ```
//!
//! No queue of changes lies anywhere: a follower compares the newest picture with what it has sent, so that a slow data
//! node gets the newest state and nothing in between.
//!
//! Start at [`FeedNode`]. `docs/internals/feed.md` tells the states, what survives a crash, and what each failure means.

mod board;

mod picture;

mod rows;

mod follower;

mod register;

mod upstream;

mod bundle;

mod acks;

mod peer;

use std::pin::Pin;
use std::sync::Arc;

use aegis_identity::trust::Issuer;
use aegis_model::caps;
use aegis_proto::v1;
use aegis_proto::v1::feed_server::{Feed, FeedServer};
use aegis_raft_store::tables::StoreError;
use futures_util::Stream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

use crate::control::Control;
use crate::keys::ClusterKeys;
use board::Board;
use follower::Follower;

pub use acks::{Acks, NodeStanding, Progress, TenantStanding, Trouble};
pub use peer::{Admission, DataNames};

/// What a control node's feed is made from.
#[derive(Debug, Clone)]
pub struct FeedNodeConfig {
    /// The control node's name, for people.
    pub name: String,
    /// Its Raft node id: in whose name data nodes are registered.
    pub id: u64,
    /// Who mints the tokens that the cluster's keys sign (`iss`).
    pub issuer: Issuer,
    /// How data nodes prove who they are.
    pub admission: Admission,
    /// Unwrap the secret keys of tenants for the data nodes that serve them.
    pub cluster_keys: Arc<ClusterKeys>,
    /// What holds for all data nodes.
    pub settings: v1::FeedSettings,
}

/// One control node's side of the feed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FeedNode {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: FeedNodeConfig,
    control: Control,
    board: watch::Sender<Arc<Board>>,
    acks: Acks,
    /// A place for each data node.
    places: Arc<Semaphore>,
    followers: TaskTracker,
    stopping: CancellationToken,
}

impl FeedNode {
    /// The feed over `control`. It serves nothing before [`FeedNode::run`] has seen a state.
    pub fn new(config: FeedNodeConfig, control: Control) -> Self {
        let shared = Shared {
            config,
            control,
            board: watch::Sender::new(Arc::new(Board::default())),
            acks: Acks::new(),
            places: Arc::new(Semaphore::new(caps::FEED_NODES_MAX)),
            followers: TaskTracker::new(),
            stopping: CancellationToken::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The gRPC service, with its bounds.
    pub fn service(&self) -> FeedServer<Self> {
        FeedServer::new(self.clone())
            .max_decoding_message_size(caps::FEED_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(caps::FEED_MESSAGE_BYTES_MAX)
    }

    /// What the data nodes that follow this control node enforce.
    pub fn acks(&self) -> &Acks {
        &self.shared.acks
    }

    /// Keeps the picture up to date until `stopping`, then says farewell to every data node and waits until they are
    /// told.
    ///
    /// # Errors
    /// The storage failed; this control node has to stop.
    pub async fn run(&self, stopping: CancellationToken) -> Result<(), StoreError> {
        let Shared { config, control, board, followers, stopping: farewell, .. } = &*self.shared;
        let kept = tokio::select! {
            () = stopping.cancelled() => Ok(()),
            kept = board::keep(control, board, &config.issuer) => kept,
        };
        farewell.cancel();
        followers.close();
        followers.wait().await;
        kept
    }
}

type Responses = ReceiverStream<Result<v1::FollowResponse, Status>>;
type Pieces = Pin<Box<dyn Stream<Item = Result<v1::GetBundleResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Feed for FeedNode {
    type FollowStream = Responses;

    async fn follow(
        &self,
        request: Request<Streaming<v1::FollowRequest>>,
    ) -> Result<Response<Responses>, Status> {
        let shared = Arc::clone(&self.shared);
        let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() else {
            return Err(Status::resource_exhausted("too many data nodes follow this control node"));
        };
        if shared.stopping.is_cancelled() {
            return Err(Status::unavailable("this control node is stopping"));
        }
        let (_, extensions, up) = request.into_parts();
        let follower = Follower::admit(shared, &extensions, up).await.inspect_err(|status| {
            tracing::warn!(code = %status.code(), reason = status.message(), "a data node was not taken on");
        })?;
        let (down, responses) = mpsc::channel(caps::FEED_DOWNSTREAM_MAX);
        self.shared.followers.spawn(async move {
            follower.run(down).await;
            drop(place);
        });
        Ok(Response::new(ReceiverStream::new(responses)))
    }

    type GetBundleStream = Pieces;

    async fn get_bundle(&self, request: Request<v1::GetBundleRequest>) -> Result<Response<Pieces>, Status> {
        let (_, extensions, wanted) = request.into_parts();
        let pieces = bundle::pieces(&self.shared, &extensions, &wanted)?;
        Ok(Response::new(Box::pin(pieces)))
    }
}
