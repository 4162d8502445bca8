//! The certificate of the HTTP port, which can be exchanged while it serves; and the port of the metrics.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use aegis_identity::tls::{IdentityPem, TlsError, server_config};
use aegis_model::caps;
use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::admin::rest::listen::TlsSource;

/// The certificate that is shown over HTTP. Cheap to clone; all clones change together.
#[derive(Clone)]
pub(super) struct HttpTls(Arc<ArcSwap<ServerConfig>>);

impl HttpTls {
    pub(super) fn new(identity: IdentityPem<'_>) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(ArcSwap::from_pointee(Self::read(identity)?))))
    }

    /// People come without certificates.
    pub(super) fn read(identity: IdentityPem<'_>) -> Result<ServerConfig, TlsError> {
        server_config(identity, None, &[b"h2", b"http/1.1"])
    }

    pub(super) fn replace(&self, config: ServerConfig) {
        self.0.store(Arc::new(config));
    }

    /// What the listener asks for each new connection.
    pub(super) fn source(&self) -> TlsSource {
        let current = Arc::clone(&self.0);
        Arc::new(move || current.load_full())
    }
}

/// Pause after a failed accept, most often for want of file descriptors: they come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `router` in the clear until `stop`, for scrapers: over HTTP/1.1, on few connections. What is under way then is
/// cut off.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_ended) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) if connections.len() < caps::METRICS_CONNECTIONS_MAX => {
                connections.spawn(answer(stream, router.clone()));
            }
            Ok(_one_too_many) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection for metrics could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    connections.shutdown().await;
}

async fn answer(stream: TcpStream, router: Router) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let router = router.clone();
        async move {
            let answer = router.oneshot(request.map(Body::new)).await;
            answer.map_err(|never: Infallible| match never {})
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(caps::HEAD_SECONDS))
        .max_buf_size(caps::HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection for metrics ended early");
    }
}
