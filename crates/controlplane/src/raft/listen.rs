//! The control plane's gRPC port: TLS by our own hand, so that certificates can change while it serves.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use aegis_model::caps;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::Connected;

use super::tls::TlsIdentity;

/// Who is at the other end of a connection. Every request's extensions hold one.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Where it connected from.
    pub address: SocketAddr,
    /// The certificate it showed, verified against the authorities; nothing if it showed none.
    pub certificate: Option<Arc<CertificateDer<'static>>>,
}

/// Serves `routes` at `listener` until `stop`, and then what is under way for at most
/// [`caps::CONTROL_DRAIN_SECONDS`]. Afterwards no connection is left.
///
/// # Errors
/// gRPC cannot be served.
pub async fn serve(
    listener: TcpListener,
    identity: TlsIdentity,
    routes: Routes,
    stop: CancellationToken,
) -> io::Result<()> {
    let over = CancellationToken::new();
    // Whatever way this function ends, the connections end with it.
    let _over = over.clone().drop_guard();
    let (connections, incoming) = mpsc::channel(HANDSHAKEN_MAX);
    let door = Door { listener, identity, connections, stop: stop.clone(), over };
    let serving = builder()
        .add_routes(routes)
        .serve_with_incoming_shutdown(ReceiverStream::new(incoming), stop.clone().cancelled_owned());
    let drained = async {
        stop.cancelled().await;
        tokio::time::sleep(Duration::from_secs(caps::CONTROL_DRAIN_SECONDS)).await;
    };
    tokio::select! {
        ((), served) = async { tokio::join!(door.accept(), serving) } => served.map_err(io::Error::other),
        () = drained => Ok(()),
    }
}

fn builder() -> Server {
    Server::builder()
        .max_concurrent_streams(caps::CONNECTION_STREAMS_MAX)
        .max_connection_age(Duration::from_secs(caps::CONTROL_CONNECTION_SECONDS_MAX))
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .http2_max_header_list_size(u32::try_from(caps::HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(2 * WINDOW_BYTES)
}

/// Connections that shook hands and wait to be served: they are taken at once.
const HANDSHAKEN_MAX: usize = 16;

/// Silence after which a peer is asked whether it lives, and how long it may take to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// What a peer may send before it is read: more than the largest message of Raft, so that none waits for a round trip.
const WINDOW_BYTES: u32 = 4 << 20;

/// Pause after a failed accept, most often for want of file descriptors: they come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where connections come in.
struct Door {
    listener: TcpListener,
    identity: TlsIdentity,
    connections: mpsc::Sender<Result<Secured, Infallible>>,
    stop: CancellationToken,
    over: CancellationToken,
}

impl Door {
    async fn accept(self) {
        let room = Arc::new(Semaphore::new(caps::CONTROL_CONNECTIONS_MAX));
        let mut handshakes = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                Some(_ended) = handshakes.join_next() => continue,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection to the control plane could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
                tracing::warn!(%address, "a connection to the control plane was closed: there are too many");
                continue;
            };
            // The settings of this moment: a certificate that was exchanged counts from the next handshake on.
            let acceptor = TlsAcceptor::from(self.identity.server());
            let (connections, over) = (self.connections.clone(), self.over.clone());
            handshakes.spawn(async move {
                if let Some(stream) = shake_hands(acceptor, stream, address).await {
                    let secured = Secured::new(stream, address, over, permit);
                    // Nobody takes it any more when the node stops.
                    let _ = connections.send(Ok(secured)).await;
                }
            });
        }
    }
}

async fn shake_hands(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    address: SocketAddr,
) -> Option<TlsStream<TcpStream>> {
    // Answers are small and wanted at once. Where the option cannot be set, they are only slower.
    let _ = stream.set_nodelay(true);
    let patience = Duration::from_secs(caps::HANDSHAKE_SECONDS);
    match tokio::time::timeout(patience, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => tracing::warn!(%address, %error, "a TLS handshake with the control plane failed"),
        Err(_slow) => tracing::warn!(%address, "a TLS handshake with the control plane took too long"),
    }
    None
}

/// A connection that shook hands; it breaks when the node's drain is over.
struct Secured {
    stream: TlsStream<TcpStream>,
    caller: Caller,
    over: Pin<Box<WaitForCancellationFutureOwned>>,
    _room: OwnedSemaphorePermit,
}

impl Secured {
    fn new(
        stream: TlsStream<TcpStream>,
        address: SocketAddr,
        over: CancellationToken,
        room: OwnedSemaphorePermit,
    ) -> Self {
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let certificate = shown.map(|it| Arc::new(it.clone().into_owned()));
        let caller = Caller { address, certificate };
        Self { stream, caller, over: Box::pin(over.cancelled_owned()), _room: room }
    }
}

impl Connected for Secured {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
