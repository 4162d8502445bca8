//! One data node: what differs between the newest picture and what was sent is sent; what it answers is noted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_model::tenant_key::TenantKeys;
use aegis_proto::v1;
use aegis_proto::v1::farewell::Reason;
use aegis_proto::v1::follow_request::Message as Up;
use aegis_proto::v1::follow_response::Message;
use futures_util::StreamExt;
use http::Extensions;
use tokio::sync::{Semaphore, mpsc};
use tonic::{Status, Streaming};

use super::Shared;
use super::acks::Standing;
use super::board::Board;
use super::register;
use super::rows::News;
use super::upstream;
use crate::keys::{ClusterKeys, UnwrapError, unwrapped_tenant_keys};

/// From which level on a data node knows `ShardMap`: it ends the stream at a message that it does not know.
const SHARD_MAP_LEVEL: u32 = 2;

/// A data node that was taken on.
pub(super) struct Follower {
    shared: Arc<Shared>,
    up: Streaming<v1::FollowRequest>,
    node: u64,
    incarnation: u64,
    /// The only tenant it may see.
    only: Option<TenantId>,
    sent: Sent,
    /// For how many messages within rounds the data node has room.
    credit: Semaphore,
    standing: Standing,
    begin: Arc<Board>,
}

/// What the data node holds, once everything that was sent has arrived.
struct Sent {
    /// Whether the next round holds everything.
    full: bool,
    /// The picture that was compared last; nothing before the first round.
    generation: Option<u64>,
    log_time_ms: u64,
    trust_etag: Vec<u8>,
    /// Nothing: the data node is told of no shard map.
    shards_etag: Option<Vec<u8>>,
    tenants: HashMap<TenantId, Vec<u8>>,
}

impl Follower {
    /// Takes on the data node that speaks through `up`, if it may follow and this control node can serve it.
    pub(super) async fn admit(
        shared: Arc<Shared>,
        extensions: &Extensions,
        mut up: Streaming<v1::FollowRequest>,
    ) -> Result<Self, Status> {
        let hello = tokio::time::timeout(Duration::from_secs(caps::FEED_WELCOME_SECONDS), up.next());
        let hello = match hello.await {
            Ok(Some(request)) => match request?.message {
                Some(Up::Hello(hello)) => hello,
                _ => return Err(Status::invalid_argument("the first message is `Hello`")),
            },
            Ok(None) | Err(_) => return Err(Status::invalid_argument("there is no `Hello`")),
        };
        let only = match hello.tenant.as_str() {
            "" => None,
            tenant => Some(tenant.parse().map_err(|_bad| Status::invalid_argument("`tenant` is no name"))?),
        };
        shared.config.admission.admit(extensions, &hello.node_name, only.as_ref())?;
        let begin = register::caught_up(&shared, &hello).await?;
        let incarnation = register::incarnation(&shared, &hello).await?;
        let sent = Sent::of(&hello, &begin, only.is_some())?;
        let standing = shared.acks.begin(&hello, incarnation, only.clone(), begin.log_time_ms);
        let room = (hello.credit as usize).min(caps::FEED_CREDIT_MAX);
        let credit = Semaphore::new(room);
        Ok(Self { node: hello.node_id, shared, up, incarnation, only, sent, credit, standing, begin })
    }

    /// Serves it until one of the two ends it.
    pub(super) async fn run(self, down: mpsc::Sender<Result<v1::FollowResponse, Status>>) {
        let Self { shared, mut up, node, incarnation, only, sent, credit, standing, begin } = self;
        tracing::info!(node, incarnation, only = only.as_ref().map(TenantId::as_str), "a data node follows");
        let mut telling =
            Telling { shared: &shared, down: &down, node, incarnation, only, sent, credit: &credit };
        let end = tokio::select! {
            end = telling.run(begin) => end,
            end = upstream::listen(&mut up, &credit, &standing) => end,
            () = shared.stopping.cancelled() => End::Stopping,
        };
        // Whoever does not take it learns by the end of the stream.
        let last = match end {
            End::Left => return,
            End::Refused(status) => Err(status),
            End::Stopping => {
                farewell(&shared, Reason::Stopping, "this control node stops; follow another one")
            }
            End::Fenced => farewell(&shared, Reason::Fenced, register::fenced().message()),
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), down.send(last)).await;
    }
}

/// Why a follower ends.
pub(super) enum End {
    /// The data node is gone, or too slow.
    Left,
    /// It does what it may not.
    Refused(Status),
    /// The control node stops.
    Stopping,
    /// The data node was replaced.
    Fenced,
}

fn farewell(shared: &Shared, reason: Reason, message: &str) -> Result<v1::FollowResponse, Status> {
    let farewell = v1::Farewell { reason: reason.into(), message: message.to_owned() };
    Ok(stamped(&shared.board.borrow(), Message::Farewell(farewell)))
}

fn stamped(board: &Board, message: Message) -> v1::FollowResponse {
    v1::FollowResponse { history: board.history, index: board.index, message: Some(message) }
}

impl Sent {
    /// What a data node says that it holds. In another history that is nothing.
    fn of(hello: &v1::Hello, board: &Board, sidecar: bool) -> Result<Self, Status> {
        let resumes = hello.history == board.history && !hello.trust_etag.is_empty();
        let mut tenants = HashMap::new();
        if resumes {
            if hello.held.len() > caps::FEED_TENANTS_MAX {
                return Err(Status::invalid_argument("`held` names too many tenants"));
            }
            for held in &hello.held {
                let tenant =
                    held.tenant.parse().map_err(|_bad| Status::invalid_argument("`held` has no name"))?;
                tenants.insert(tenant, held.etag.clone());
            }
        }
        let trust_etag = if resumes { hello.trust_etag.clone() } else { Vec::new() };
        // Whoever asks a sidecar is to stay with it, and what other nodes there are is none of its business.
        let told_of_shards = hello.level >= SHARD_MAP_LEVEL && !sidecar;
        let held = if resumes { hello.shard_map_etag.clone() } else { Vec::new() };
        let shards_etag = told_of_shards.then_some(held);
        Ok(Self { full: !resumes, generation: None, log_time_ms: 0, trust_etag, shards_etag, tenants })
    }

    /// What makes that which was sent equal to `board`, as far as `only` may see it (TEN-1); noted as sent.
    fn differences(&mut self, board: &Board, only: Option<&TenantId>) -> Vec<Difference> {
        let visible = |tenant: &TenantId| only.is_none_or(|only| only == tenant);
        let mut found = Vec::new();
        if self.full || self.trust_etag != board.trust.etag {
            self.trust_etag.clone_from(&board.trust.etag);
            found.push(Difference::Trust(Arc::clone(&board.trust)));
        }
        if let Some(etag) = self.shards_etag.as_mut().filter(|etag| **etag != board.shards.etag) {
            etag.clone_from(&board.shards.etag);
            found.push(Difference::Shards(Arc::clone(&board.shards)));
        }
        let gone: Vec<TenantId> = self
            .tenants
            .keys()
            .filter(|tenant| !visible(tenant) || !board.tenants.contains_key(*tenant))
            .cloned()
            .collect();
        for tenant in gone {
            self.tenants.remove(&tenant);
            found.push(Difference::Gone(tenant));
        }
        for (tenant, news) in board.tenants.iter().filter(|(tenant, _)| visible(tenant)) {
            if self.tenants.get(tenant) != Some(&news.state.etag) {
                self.tenants.insert(tenant.clone(), news.state.etag.clone());
                found.push(Difference::Tenant(Arc::clone(news)));
            }
        }
        found
    }
}

/// One message of a round, shared with all other followers until it is sent.
enum Difference {
    Trust(Arc<v1::Trust>),
    Shards(Arc<v1::ShardMap>),
    Gone(TenantId),
    Tenant(Arc<News>),
}

impl Difference {
    fn message(self, cluster: &str, cluster_keys: &ClusterKeys) -> Result<Message, End> {
        Ok(match self {
            Self::Trust(trust) => Message::Trust(v1::Trust::clone(&trust)),
            Self::Shards(map) => Message::ShardMap(v1::ShardMap::clone(&map)),
            Self::Gone(tenant) => Message::TenantGone(v1::TenantGone { tenant: tenant.into() }),
            Self::Tenant(news) => Message::Tenant(with_keys(&news, cluster, cluster_keys)?),
        })
    }
}

/// The message of a tenant with its secret keys. Without them a data node cannot do what the tenant's policy asks, so a control
/// node that lacks the cluster key leaves it to another one.
fn with_keys(news: &News, cluster: &str, cluster_keys: &ClusterKeys) -> Result<v1::TenantState, End> {
    let tenant = &news.state.tenant;
    let unwrapped = match (cluster.parse(), tenant.parse()) {
        (Ok(cluster), Ok(tenant)) => unwrapped_tenant_keys(&cluster, cluster_keys, &tenant, &news.keys),
        (Err(_), _) | (_, Err(_)) => Err(UnwrapError::Form),
    };
    let keys = match unwrapped {
        Ok(keys) => keys,
        Err(error @ UnwrapError::UnknownClusterKey(_)) => {
            tracing::error!(tenant, %error, "the secret keys of a tenant cannot be unwrapped here; another control node has to");
            let why = "this control node cannot unwrap the secret keys of a tenant";
            return Err(End::Refused(Status::unavailable(why)));
        }
        // No other tenant suffers from it.
        Err(error @ (UnwrapError::Form | UnwrapError::Refused)) => {
            tracing::error!(tenant, %error, "the secret keys of a tenant are damaged; what needs them is refused");
            None
        }
    };
    let secret_keys = keys.iter().flat_map(TenantKeys::versions).map(|key| v1::TenantSecretKey {
        version: key.version(),
        key: key.expose().to_vec(),
        sealing_public_key: key.sealing().map(|key| key.to_vec()).unwrap_or_default(),
    });
    Ok(v1::TenantState { secret_keys: secret_keys.collect(), ..news.state.clone() })
}

/// The half of a follower that speaks.
struct Telling<'f> {
    shared: &'f Shared,
    down: &'f mpsc::Sender<Result<v1::FollowResponse, Status>>,
    node: u64,
    incarnation: u64,
    only: Option<TenantId>,
    sent: Sent,
    credit: &'f Semaphore,
}

impl Telling<'_> {
    async fn run(&mut self, begin: Arc<Board>) -> End {
        let mut board = self.shared.board.subscribe();
        let welcome = Message::Welcome(v1::Welcome {
            cluster_id: begin.cluster.clone(),
            control_node: self.shared.config.name.clone(),
            incarnation: self.incarnation,
            settings: Some(self.shared.config.settings),
        });
        if self.say(&begin, welcome).await.is_err() {
            return End::Left;
        }
        loop {
            let newest = Arc::clone(&board.borrow_and_update());
            let told = self.tell(&newest).await;
            if let Err(end) = told {
                return end;
            }
            if board.changed().await.is_err() {
                return End::Left;
            }
        }
    }

    /// Sends what is new in `board`.
    async fn tell(&mut self, board: &Board) -> Result<(), End> {
        if self.sent.generation != Some(board.generation) {
            match board.nodes.get(&self.node) {
                Some(node) if node.incarnation > self.incarnation || node.retired => return Err(End::Fenced),
                // A row that is not here yet is on its way: this control node has just proposed it.
                Some(_) | None => {}
            }
            let (first, full) = (self.sent.generation.is_none(), self.sent.full);
            let differences = self.sent.differences(board, self.only.as_ref());
            self.sent.full = false;
            if first || !differences.is_empty() {
                self.round(board, full, differences).await?;
            }
            self.sent.generation = Some(board.generation);
        }
        // Everything up to here was said, so the moment counts.
        if board.log_time_ms > self.sent.log_time_ms {
            self.sent.log_time_ms = board.log_time_ms;
            self.say(board, Message::Freshness(v1::Freshness { log_time_ms: board.log_time_ms })).await?;
        }
        Ok(())
    }

    async fn round(&self, board: &Board, full: bool, differences: Vec<Difference>) -> Result<(), End> {
        let count = u32::try_from(differences.len()).unwrap_or(u32::MAX);
        self.say(board, Message::Begin(v1::Begin { full })).await?;
        for difference in differences {
            match self.patiently(self.credit.acquire()).await? {
                Ok(room) => room.forget(),
                // Nobody closes it.
                Err(_closed) => return Err(End::Left),
            }
            let message = difference.message(&board.cluster, &self.shared.config.cluster_keys)?;
            self.say(board, message).await?;
        }
        self.say(board, Message::End(v1::End { messages: count })).await
    }

    async fn say(&self, board: &Board, message: Message) -> Result<(), End> {
        let sent = self.patiently(self.down.send(Ok(stamped(board, message)))).await?;
        sent.map_err(|_gone| End::Left)
    }

    /// Waits for the data node, but not for ever: one that takes nothing holds a picture of the past in memory.
    async fn patiently<T>(&self, future: impl Future<Output = T>) -> Result<T, End> {
        let patience = Duration::from_secs(caps::FEED_SLOW_SECONDS);
        tokio::time::timeout(patience, future).await.map_err(|_elapsed| {
            tracing::warn!(node = self.node, "a data node takes nothing; its stream is ended");
            End::Left
        })
    }
}
