//! The control plane's HTTP port: connections, with TLS if there is any, until the node stops.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aegis_model::caps;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::Rest;

/// Where the TLS settings of a new connection come from: they may change while the node runs.
pub type TlsSource = Arc<dyn Fn() -> Arc<ServerConfig> + Send + Sync>;

/// Pause after a failed accept, most often for want of file descriptors: they come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `rest` at `listener` until `stop`, and then what is under way for at most
/// [`caps::CONTROL_DRAIN_SECONDS`]. Afterwards no connection is left. Without `tls`, in plain text: for a loopback
/// address, or behind something that ends TLS.
pub async fn serve(listener: TcpListener, tls: Option<TlsSource>, rest: Rest, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(caps::ADMIN_CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_ended) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection to the admin API could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            tracing::warn!(%address, "a connection to the admin API was closed: there are too many");
            continue;
        };
        let (tls, rest, stop) = (tls.clone(), rest.clone(), stop.clone());
        connections.spawn(async move {
            let _held = permit;
            connection(stream, address, tls, rest, stop).await;
        });
    }
    let patience = Duration::from_secs(caps::CONTROL_DRAIN_SECONDS);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(patience, drained).await.is_err() {
        tracing::warn!("calls of the admin API were cut off: the node stops");
    }
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsSource>,
    rest: Rest,
    stop: CancellationToken,
) {
    // Answers are small and wanted at once. Where the option cannot be set, they are only slower.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return serve_one(stream, rest, stop).await };
    let patience = Duration::from_secs(caps::HANDSHAKE_SECONDS);
    match tokio::time::timeout(patience, TlsAcceptor::from(tls()).accept(stream)).await {
        Ok(Ok(stream)) => serve_one(stream, rest, stop).await,
        Ok(Err(error)) => tracing::debug!(%address, %error, "a TLS handshake with the admin API failed"),
        Err(_slow) => tracing::debug!(%address, "a TLS handshake with the admin API took too long"),
    }
}

async fn serve_one(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    rest: Rest,
    stop: CancellationToken,
) {
    let answer = service_fn(move |request| {
        let rest = rest.clone();
        async move { Ok::<_, Infallible>(rest.answer(request).await) }
    });
    let builder = builder();
    let serving = builder.serve_connection(TokioIo::new(stream), answer);
    let mut serving = std::pin::pin!(serving);
    let ended: Result<(), Box<dyn std::error::Error + Send + Sync>> = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the admin API ended");
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(caps::HEAD_SECONDS))
        .max_buf_size(caps::HEAD_BYTES_MAX)
        .max_headers(caps::HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_secs(caps::HEAD_SECONDS)))
        .keep_alive_timeout(Duration::from_secs(caps::HEAD_SECONDS))
        .max_concurrent_streams(caps::CONNECTION_STREAMS_MAX)
        .max_header_list_size(u32::try_from(caps::HEAD_BYTES_MAX).unwrap_or(u32::MAX));
    builder
}
