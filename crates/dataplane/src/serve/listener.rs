//! One listening socket: accepts, shakes hands, and starts a task per connection.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use aegis_model::caps;
use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::{Request, Response};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::connection::{Connections, serve};
use super::{Life, OpenConnection, Patience, PeerCertificate, Traffic};

/// What is spoken on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1 and HTTP/2.
    Http,
    /// HTTP/2 only, as gRPC needs.
    Http2,
}

/// A bound socket that has not accepted anything yet.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    protocol: Protocol,
    tls: Option<Arc<ServerConfig>>,
    traffic: Arc<Traffic>,
}

/// Pause after a failed accept, most often for want of file descriptors: they come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Listener {
    /// Binds `address`; port 0 takes a free one. With `tls` nothing else is spoken.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub(crate) async fn bind(
        name: &'static str,
        address: SocketAddr,
        protocol: Protocol,
        tls: Option<&ServerConfig>,
    ) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let tls = tls.map(|config| {
            let mut config = config.clone();
            config.alpn_protocols = match protocol {
                Protocol::Http => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
                Protocol::Http2 => vec![b"h2".to_vec()],
            };
            Arc::new(config)
        });
        Ok(Self { socket, protocol, tls, traffic: Traffic::new(name) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Its connections.
    pub(crate) fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    /// Accepts until told to stop, and answers every request with `handler`.
    pub(crate) async fn run<H, F, B>(self, patience: Patience, life: Life, handler: H)
    where
        H: Fn(IpAddr, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let connections = Connections::new(self.protocol, patience, &life);
        let acceptor = self.tls.map(TlsAcceptor::from);
        loop {
            let accepted = tokio::select! {
                () = life.stopping.cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(listener = self.traffic.name, %error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Some(open) = self.traffic.begin(caps::CONNECTIONS_MAX) else { continue };
            let welcome =
                welcome(stream, peer.ip(), open, acceptor.clone(), connections.clone(), handler.clone());
            life.tasks.spawn(welcome);
        }
    }
}

/// Serves one connection from its first byte to its last.
async fn welcome<H, F, B>(
    stream: TcpStream,
    peer: IpAddr,
    _open: OpenConnection,
    acceptor: Option<TlsAcceptor>,
    connections: Connections,
    handler: H,
) where
    H: Fn(IpAddr, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // Answers are small and wanted at once. Where the option cannot be set, they are only slower.
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = acceptor else {
        return serve(connections, stream, move |request| handler(peer, request)).await;
    };
    let handshake = tokio::time::timeout(connections.patience().handshake, acceptor.accept(stream));
    let shaken = tokio::select! {
        () = connections.life().stopping.cancelled() => return,
        shaken = handshake => shaken,
    };
    match shaken {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let shown = shown.map(|leaf| PeerCertificate(Arc::new(leaf.clone().into_owned())));
            let handler = move |mut request: Request<Incoming>| {
                if let Some(shown) = &shown {
                    request.extensions_mut().insert(shown.clone());
                }
                handler(peer, request)
            };
            serve(connections, stream, handler).await;
        }
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
        Err(_slow) => tracing::debug!(%peer, "a TLS handshake took too long"),
    }
}
