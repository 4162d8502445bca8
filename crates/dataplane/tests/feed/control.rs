//! A control node without a state: the test says every word of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aegis_identity::manifest::{chunks_of, digest_of};
use aegis_proto::v1;
use aegis_proto::v1::feed_server::{Feed, FeedServer};
use aegis_proto::v1::follow_request::Message as Up;
use aegis_proto::v1::follow_response::Message as Down;
use futures_util::{Stream, StreamExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for what has to come.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_elapsed) => panic!("waited {PATIENCE:?} in vain for {what}"),
    }
}

/// How a bundle is answered.
#[derive(Debug, Clone)]
pub(crate) enum Serve {
    /// These pieces.
    Pieces(Vec<Vec<u8>>),
    /// These pieces, and no end.
    Endless(Vec<Vec<u8>>),
    /// Nothing, and no end.
    Hang,
    /// An error.
    Fail(Status),
}

#[derive(Debug, Default)]
struct Bundles {
    serve: HashMap<String, Serve>,
    fetched: Vec<String>,
}

/// A control node on loopback.
pub(crate) struct Control {
    pub(crate) address: SocketAddr,
    sessions: mpsc::Receiver<Session>,
    bundles: Arc<Mutex<Bundles>>,
    _tasks: JoinSet<()>,
}

/// One data node's stream.
pub(crate) struct Session {
    pub(crate) hello: v1::Hello,
    up: Streaming<v1::FollowRequest>,
    down: mpsc::Sender<Result<v1::FollowResponse, Status>>,
    pub(crate) history: u64,
    pub(crate) credit: u64,
}

struct Service {
    sessions: mpsc::Sender<Session>,
    bundles: Arc<Mutex<Bundles>>,
}

impl Control {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (queue, sessions) = mpsc::channel(16);
        let bundles = Arc::<Mutex<Bundles>>::default();
        let service = Service { sessions: queue, bundles: Arc::clone(&bundles) };
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let service = FeedServer::new(service)
                .max_decoding_message_size(64 << 20)
                .max_encoding_message_size(64 << 20);
            Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
        Self { address, sessions, bundles, _tasks: tasks }
    }

    /// The next stream of a data node, not welcomed yet.
    pub(crate) async fn session(&mut self) -> Session {
        soon("a data node", self.sessions.recv()).await.unwrap()
    }

    /// The same, welcomed.
    pub(crate) async fn welcomed(&mut self, index: u64) -> Session {
        let session = self.session().await;
        session.welcome(index, 1).await;
        session
    }

    /// Serves `bundle` as it should be; gives its digest.
    pub(crate) fn offer(&self, bundle: &[u8]) -> String {
        let digest = digest_of(bundle).to_string();
        self.serve(&digest, Serve::Pieces(chunks_of(bundle).map(<[u8]>::to_vec).collect()));
        digest
    }

    pub(crate) fn serve(&self, digest: &str, serve: Serve) {
        self.bundles.lock().unwrap().serve.insert(digest.to_owned(), serve);
    }

    /// How often bundles were asked for.
    pub(crate) fn fetches(&self) -> usize {
        self.bundles.lock().unwrap().fetched.len()
    }
}

impl Session {
    pub(crate) async fn send(&self, index: u64, message: Down) {
        let response = v1::FollowResponse { history: self.history, index, message: Some(message) };
        // A stream that the data node has left takes nothing; the test notices by what follows.
        let _ = self.down.send(Ok(response)).await;
    }

    pub(crate) async fn welcome(&self, index: u64, incarnation: u64) {
        self.welcome_to("test-cluster", index, incarnation).await;
    }

    pub(crate) async fn welcome_to(&self, cluster: &str, index: u64, incarnation: u64) {
        let welcome = v1::Welcome {
            cluster_id: cluster.to_owned(),
            control_node: "control-1".to_owned(),
            incarnation,
            settings: None,
        };
        self.send(index, Down::Welcome(welcome)).await;
    }

    /// A whole round.
    pub(crate) async fn round(&self, index: u64, full: bool, messages: Vec<Down>) {
        self.send(index, Down::Begin(v1::Begin { full })).await;
        let count = messages.len();
        for message in messages {
            self.send(index, message).await;
        }
        self.send(index, Down::End(v1::End { messages: u32::try_from(count).unwrap() })).await;
    }

    pub(crate) async fn confirm(&self, index: u64, log_time_ms: u64) {
        self.send(index, Down::Freshness(v1::Freshness { log_time_ms })).await;
    }

    /// Ends the stream with an error.
    pub(crate) async fn fail(self, status: Status) {
        let _ = self.down.send(Err(status)).await;
    }

    /// Ends the stream without a word.
    pub(crate) fn cut(&mut self) {
        (self.down, _) = mpsc::channel(1);
    }

    /// The next acknowledgement.
    pub(crate) async fn ack(&mut self) -> v1::Ack {
        loop {
            match soon("an acknowledgement", self.up.next())
                .await
                .expect("the stream goes on")
                .unwrap()
                .message
            {
                Some(Up::Ack(ack)) => return ack,
                Some(Up::Credit(credit)) => self.credit += u64::from(credit.messages),
                other => panic!("{other:?}"),
            }
        }
    }

    /// The acknowledgement in which `expected` holds of the tenant.
    pub(crate) async fn ack_of(
        &mut self,
        tenant: &str,
        expected: impl Fn(&v1::TenantAck) -> bool,
    ) -> v1::TenantAck {
        let mut seen = Vec::new();
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let ack = self.ack().await;
                if let Some(found) = ack.tenants.iter().find(|ack| ack.tenant == tenant && expected(ack)) {
                    return found.clone();
                }
                seen.push(ack);
            }
        });
        match found.await {
            Ok(found) => found,
            Err(_elapsed) => panic!("not acknowledged as expected: {seen:?}"),
        }
    }

    /// Waits until `activation` is in force for each of `tenants`.
    pub(crate) async fn all_in_force(&mut self, tenants: &[&str], activation: u64) {
        let mut missing: Vec<&str> = tenants.to_vec();
        while !missing.is_empty() {
            let ack = self.ack().await;
            let here = |tenant: &str| {
                ack.tenants.iter().any(|ack| ack.tenant == tenant && ack.activation == activation)
            };
            missing.retain(|tenant| !here(tenant));
        }
    }

    /// Waits until `activation` is in force for `tenant`.
    pub(crate) async fn in_force(&mut self, tenant: &str, activation: u64) -> v1::TenantAck {
        self.ack_of(tenant, |ack| ack.activation == activation).await
    }

    /// Waits until the data node has left the stream.
    pub(crate) async fn left(mut self) {
        soon("the end of the stream", async { while let Some(Ok(_request)) = self.up.next().await {} }).await;
    }
}

type BundleStream = Pin<Box<dyn Stream<Item = Result<v1::GetBundleResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Feed for Service {
    type FollowStream = ReceiverStream<Result<v1::FollowResponse, Status>>;

    async fn follow(
        &self,
        request: Request<Streaming<v1::FollowRequest>>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let mut up = request.into_inner();
        let Some(Up::Hello(hello)) = up.next().await.unwrap()?.message else {
            panic!("the first message is a hello")
        };
        let (down, responses) = mpsc::channel(1_024);
        let credit = u64::from(hello.credit);
        let _ = self.sessions.send(Session { hello, up, down, history: 1, credit }).await;
        Ok(Response::new(ReceiverStream::new(responses)))
    }

    type GetBundleStream = BundleStream;

    async fn get_bundle(
        &self,
        request: Request<v1::GetBundleRequest>,
    ) -> Result<Response<BundleStream>, Status> {
        let digest = request.into_inner().digest;
        let serve = {
            let mut bundles = self.bundles.lock().unwrap();
            bundles.fetched.push(digest.clone());
            bundles.serve.get(&digest).cloned()
        };
        match serve {
            None => Err(Status::not_found("no such bundle")),
            Some(Serve::Fail(status)) => Err(status),
            Some(Serve::Hang) => Ok(Response::new(Box::pin(futures_util::stream::pending()))),
            Some(Serve::Pieces(pieces)) => Ok(Response::new(Box::pin(pieces_of(pieces)))),
            Some(Serve::Endless(pieces)) => {
                Ok(Response::new(Box::pin(pieces_of(pieces).chain(futures_util::stream::pending()))))
            }
        }
    }
}

fn pieces_of(pieces: Vec<Vec<u8>>) -> impl Stream<Item = Result<v1::GetBundleResponse, Status>> + Send {
    let pieces = pieces.into_iter().map(|piece| Ok(v1::GetBundleResponse { chunk: piece.into() }));
    futures_util::stream::iter(pieces)
}
