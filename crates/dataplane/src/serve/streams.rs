//! Where the requests of an HTTP/2 connection are answered: one per turn of the connection right there, the others in tasks
//! of their own.
//!
//! A task of its own costs a request that is alone on its connection more than the task has to do: a place in memory, a queue,
//! and mostly another thread that is woken. Requests that arrive together are spread over threads.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use hyper::rt::Executor;
use tokio_util::task::TaskTracker;

/// Runs the streams of one connection under the node's ownership.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    pub(super) tasks: TaskTracker,
    pub(super) turn: Turn,
}

/// Whether a stream may still be answered in this turn of its connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Turn(Arc<AtomicBool>);

impl Turn {
    /// Whether this is the first one to ask in this turn.
    fn take(&self) -> bool {
        // Only the task of the connection comes here.
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }

    /// `connection`, each poll of which is a turn.
    pub(super) async fn of<C: Future>(&self, mut connection: Pin<&mut C>) -> C::Output {
        std::future::poll_fn(|cx| {
            self.0.store(true, Ordering::Relaxed);
            let polled = connection.as_mut().poll(cx);
            self.0.store(false, Ordering::Relaxed);
            polled
        })
        .await
    }
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        if !self.turn.take() {
            self.tasks.spawn(stream);
            return;
        }
        let mut stream = Box::pin(stream);
        // Nobody is to be woken: what is not finished at once is looked at again in a task of its own.
        let mut nobody = Context::from_waker(Waker::noop());
        match catch_unwind(AssertUnwindSafe(|| stream.as_mut().poll(&mut nobody))) {
            Ok(Poll::Ready(_answered)) => {}
            Ok(Poll::Pending) => drop(self.tasks.spawn(stream)),
            // As in a task of its own: this stream is reset, and the connection goes on.
            Err(_panic) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt, Empty, Full};
    use hyper::{Request, Response};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::task::JoinSet;

    use super::super::connection::{Connections, serve};
    use super::super::{Life, Patience, Protocol};

    /// Answers with the task that it runs in, after a pause or a panic if the path asks for it.
    async fn answer(path: String) -> Response<Full<Bytes>> {
        match path.as_str() {
            "/later" => tokio::task::yield_now().await,
            "/panic" => panic!("asked for"),
            _ => {}
        }
        let task = tokio::task::try_id().map(|id| id.to_string()).unwrap_or_default();
        Response::new(Full::new(Bytes::from(task)))
    }

    struct Site {
        sender: hyper::client::conn::http2::SendRequest<Empty<Bytes>>,
        /// The task of the server's end.
        connection: String,
        _tasks: JoinSet<()>,
    }

    impl Site {
        async fn new() -> Self {
            let (client, server) = tokio::io::duplex(1 << 16);
            let connections = Connections::new(Protocol::Http2, Patience::default(), &Life::default());
            let mut tasks = JoinSet::new();
            let handler = |request: Request<_>| answer(request.uri().path().to_owned());
            let connection = tasks.spawn(serve(connections, server, handler)).id().to_string();
            let shaken = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client));
            let (sender, driver) = shaken.await.unwrap();
            tasks.spawn(async { driver.await.unwrap() });
            Self { sender, connection, _tasks: tasks }
        }

        fn ask(&mut self, path: &str) -> impl Future<Output = Result<String, hyper::Error>> + use<> {
            let request = Request::get(format!("http://node{path}")).body(Empty::<Bytes>::new()).unwrap();
            let answer = self.sender.send_request(request);
            async move {
                let body = answer.await?.into_body().collect().await?.to_bytes();
                Ok(String::from_utf8(body.to_vec()).unwrap())
            }
        }
    }

    #[tokio::test]
    async fn a_request_alone_is_answered_by_its_connection() {
        let mut site = Site::new().await;
        for _ in 0..3 {
            assert_eq!(site.ask("/").await.unwrap(), site.connection);
        }
    }

    #[tokio::test]
    async fn requests_that_come_together_are_spread() {
        let mut site = Site::new().await;
        let asked: Vec<_> = (0..8).map(|_| site.ask("/")).collect();
        let mut tasks: Vec<String> =
            futures_util::future::join_all(asked).await.into_iter().map(Result::unwrap).collect();
        tasks.sort();
        tasks.dedup();
        assert!(tasks.len() >= 5, "{tasks:?}");
    }

    #[tokio::test]
    async fn one_that_waits_goes_on_in_a_task_of_its_own() {
        let mut site = Site::new().await;
        let task = site.ask("/later").await.unwrap();
        assert!(!task.is_empty() && task != site.connection);
    }

    #[tokio::test]
    async fn a_panic_ends_its_stream_only() {
        let mut site = Site::new().await;
        assert!(site.ask("/panic").await.is_err());
        assert_eq!(site.ask("/").await.unwrap(), site.connection, "the connection goes on");
    }
}
