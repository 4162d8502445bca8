//! One HTTP connection: bounded in every direction, closed when idle, finished in order when the node stops.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use aegis_model::caps;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};

use super::held::{Activity, Held};
use super::joined::Joined;
use super::streams::{Streams, Turn};
use super::{Life, Patience, Protocol};

/// How connections of one listener are served. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connections {
    protocol: Protocol,
    patience: Patience,
    life: Life,
}

impl Connections {
    pub(super) fn new(protocol: Protocol, patience: Patience, life: &Life) -> Self {
        Self { protocol, patience, life: life.clone() }
    }

    /// What serves one connection, whose turns are told by `turn`.
    fn builder(&self, turn: Turn) -> Builder<Streams> {
        let mut builder = Builder::new(Streams { tasks: self.life.tasks.clone(), turn });
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.patience.head)
            .max_headers(caps::HEADERS_MAX)
            .max_buf_size(caps::HEAD_BYTES_MAX);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(caps::CONNECTION_STREAMS_MAX)
            .max_header_list_size(u32::try_from(caps::HEAD_BYTES_MAX).unwrap_or(u32::MAX))
            .keep_alive_interval(self.patience.idle / 2)
            .keep_alive_timeout(self.patience.head);
        match self.protocol {
            Protocol::Http => builder,
            Protocol::Http2 => builder.http2_only(),
        }
    }

    pub(super) fn patience(&self) -> &Patience {
        &self.patience
    }

    pub(super) fn life(&self) -> &Life {
        &self.life
    }
}

/// Serves `stream` until its client closes it, is idle for too long, or the node ends.
pub(super) async fn serve<S, H, F, B>(connections: Connections, stream: S, handler: H)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let activity = Arc::new(Activity::default());
    let service = service_fn(|request| {
        let busy = activity.begin();
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await.map(|body| Held::new(body, busy))) }
    });
    let turn = Turn::default();
    let builder = connections.builder(turn.clone());
    let mut connection = pin!(builder.serve_connection(TokioIo::new(Joined(stream)), service));
    // Each in a place of its own that is looked at only when it was woken: what all connections wait for is behind locks,
    // and a busy connection is polled some ten thousand times a second.
    let mut events = FuturesUnordered::new();
    events.push(event(&connections, false));
    let (mut closing, mut begun) = (false, 0);
    loop {
        let event_now = tokio::select! {
            result = turn.of(connection.as_mut()) => {
                if let Err(error) = result {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            Some(event_now) = events.next() => event_now,
        };
        match event_now {
            Event::Over => return,
            Event::Stopping => {}
            Event::Look if !activity.is_idle_since(&mut begun) => {
                events.push(event(&connections, closing));
                continue;
            }
            // Asked once in order; a client that does not care is cut off at the next look.
            Event::Look if closing => return,
            Event::Look => {}
        }
        closing = true;
        connection.as_mut().graceful_shutdown();
        events.push(event(&connections, closing));
    }
}

/// What happens to a connection without its client's doing.
enum Event {
    /// The node is told to stop: what is under way may end.
    Stopping,
    /// The node's patience with what is under way is over.
    Over,
    /// It is time to look whether the connection is idle.
    Look,
}

/// Waits for the next event; a connection that is closing is not told again that the node stops.
async fn event(connections: &Connections, closing: bool) -> Event {
    let life = &connections.life;
    tokio::select! {
        () = life.over.cancelled() => Event::Over,
        () = life.stopping.cancelled(), if !closing => Event::Stopping,
        () = tokio::time::sleep(connections.patience.idle) => Event::Look,
    }
}
