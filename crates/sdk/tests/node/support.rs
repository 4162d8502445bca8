//! A node for tests: answers by a script, remembers what it saw, and can lose an answer.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use aegis_proto::v1;
use aegis_proto::v1::decision_server::{Decision, DecisionServer};
use aegis_sdk::{Client, ClientBuilder};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};

/// What a scripted node does with a call.
pub(crate) enum Reply {
    /// Answers.
    Answer(Result<v1::DecideResponse, Status>),
    /// Never answers.
    Never,
    /// Answers, but the connection breaks before the answer is out.
    Lost(v1::DecideResponse),
}

type Script = Box<dyn Fn(usize, &v1::DecideRequest) -> Reply + Send + Sync>;

/// A node that answers the nth call, counted from 0, by a script.
pub(crate) struct Scripted {
    script: Script,
    calls: AtomicUsize,
    seen: Arc<Mutex<Vec<Seen>>>,
    broken: Arc<AtomicBool>,
}

/// One call as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) request_id: String,
    pub(crate) authorization: String,
    pub(crate) has_timeout: bool,
}

#[tonic::async_trait]
impl Decision for Scripted {
    async fn decide(
        &self,
        request: Request<v1::DecideRequest>,
    ) -> Result<Response<v1::DecideResponse>, Status> {
        let header =
            |name| request.metadata().get(name).map(|value| value.to_str().expect("ASCII").to_owned());
        self.seen.lock().expect("not poisoned").push(Seen {
            request_id: request.get_ref().request_id.clone(),
            authorization: header("authorization").unwrap_or_default(),
            has_timeout: header("grpc-timeout").is_some(),
        });
        let nth = self.calls.fetch_add(1, Ordering::SeqCst);
        match (self.script)(nth, request.get_ref()) {
            Reply::Answer(answer) => answer.map(Response::new),
            Reply::Never => std::future::pending().await,
            Reply::Lost(response) => {
                self.broken.store(true, Ordering::SeqCst);
                Ok(Response::new(response))
            }
        }
    }

    async fn get_approval(
        &self,
        _: Request<aegis_proto::v1::GetApprovalRequest>,
    ) -> Result<Response<aegis_proto::v1::GetApprovalResponse>, Status> {
        Err(Status::unimplemented("nobody asks in these tests"))
    }

    async fn complete(
        &self,
        request: Request<v1::CompleteRequest>,
    ) -> Result<Response<v1::CompleteResponse>, Status> {
        Ok(Response::new(v1::CompleteResponse { result: request.into_inner().result, ..Default::default() }))
    }

    type DecideStreamStream = tokio_stream::Empty<Result<v1::DecideStreamResponse, Status>>;

    async fn decide_stream(
        &self,
        _: Request<Streaming<v1::DecideStreamRequest>>,
    ) -> Result<Response<Self::DecideStreamStream>, Status> {
        Err(Status::unimplemented("this node is scripted for single calls"))
    }
}

/// A running node; it stops when this is dropped.
pub(crate) struct Node {
    pub(crate) endpoint: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    _tasks: JoinSet<()>,
}

impl Node {
    /// Runs a node that answers by `script`.
    pub(crate) async fn scripted(
        script: impl Fn(usize, &v1::DecideRequest) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let broken = Arc::new(AtomicBool::new(false));
        let node = Scripted {
            script: Box::new(script),
            calls: AtomicUsize::new(0),
            seen: Arc::clone(&seen),
            broken: Arc::clone(&broken),
        };
        Self::run(Server::builder(), node, seen, broken).await
    }

    /// Runs a node of another kind, or with TLS.
    pub(crate) async fn serve(server: Server, node: impl Decision) -> Self {
        Self::run(server, node, Arc::default(), Arc::default()).await
    }

    async fn run(
        mut server: Server,
        node: impl Decision,
        seen: Arc<Mutex<Vec<Seen>>>,
        broken: Arc<AtomicBool>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of the loopback");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let incoming = TcpListenerStream::new(listener)
            .map(move |socket| socket.map(|socket| Breakable { socket, broken: Arc::clone(&broken) }));
        let router = server.add_service(DecisionServer::new(node));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            router.serve_with_incoming(incoming).await.expect("the node runs");
        });
        Self { endpoint, seen, _tasks: tasks }
    }

    /// A client of this node with short pauses.
    pub(crate) fn client(&self) -> ClientBuilder {
        Client::builder(&self.endpoint)
            .token("t-1")
            .pauses(Duration::from_millis(1), Duration::from_millis(2))
            .deadline(Duration::from_secs(30))
    }

    /// The calls that arrived.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("not poisoned").clone()
    }
}

/// An allowance.
pub(crate) fn allow() -> v1::DecideResponse {
    v1::DecideResponse {
        decision_id: "d-1".to_owned(),
        outcome: v1::Outcome::Allow.into(),
        params: r#"{"amount":1}"#.into(),
        ..Default::default()
    }
}

/// A connection that breaks at its next write once `broken` is set; the next connection is whole again.
struct Breakable {
    socket: TcpStream,
    broken: Arc<AtomicBool>,
}

impl Connected for Breakable {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl AsyncRead for Breakable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Breakable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.broken.swap(false, Ordering::SeqCst) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
