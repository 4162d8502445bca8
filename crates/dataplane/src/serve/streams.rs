//! Where the requests of an HTTP/2 connection are answered: right there in a turn of the connection, as long as they take little
//! of it, the others in tasks of their own.
//!
//! A task of its own costs most requests more than the task has to do: a place in memory, a queue, another thread that is woken,
//! and in the end a write for each answer. Requests that take longer and arrive together are spread over threads.
//!
//! A request that was judged in a turn and only waits for its record stays with its connection, too: when the sync is done that
//! covers many of them, each connection is woken once, and writes its answers together.

use std::cell::Cell;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hyper::rt::Executor;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

thread_local! {
    /// Whether what was polled last in this thread has next to nothing left to do once it is woken.
    static NEARLY_DONE: Cell<bool> = const { Cell::new(false) };
}

/// Says that what is polled in this thread waits, and has next to nothing left to do afterwards. A hint: nothing but time
/// depends on it.
pub(crate) fn nearly_done() {
    NEARLY_DONE.set(true);
}

/// `work` on one call of several: its request is not nearly done when it waits for this one's record.
pub(crate) async fn more_follows<W: Future>(work: W) -> W::Output {
    let mut work = pin!(work);
    std::future::poll_fn(|cx| {
        let polled = work.as_mut().poll(cx);
        NEARLY_DONE.set(false);
        polled
    })
    .await
}

/// Runs the streams of one connection under the node's ownership.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    pub(super) tasks: TaskTracker,
    pub(super) turn: Turn,
}

/// What a turn of a connection may take for requests until others are given to tasks: a few ordinary ones.
const TURN: Duration = Duration::from_micros(50);

/// The turns of a connection, and the streams that are answered in them. Only the task of the connection comes here.
#[derive(Debug, Clone, Default)]
pub(super) struct Turn(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    room: Mutex<Room>,
    /// Streams that are nearly done.
    waiting: Mutex<FuturesUnordered<BoxFuture<'static, ()>>>,
}

/// Whether a turn goes on, and what it has room for.
#[derive(Debug, Default)]
struct Room {
    open: bool,
    /// When it began to answer requests.
    since: Option<Instant>,
    /// Whether streams wait that do not know yet whom to wake.
    kept: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Turn {
    /// Whether one more request may be answered in this turn.
    fn take(&self) -> bool {
        let mut room = lock(&self.0.room);
        room.open
            && match room.since {
                Some(since) => since.elapsed() < TURN,
                None => {
                    room.since = Some(Instant::now());
                    true
                }
            }
    }

    fn keep(&self, stream: BoxFuture<'static, ()>) {
        lock(&self.0.waiting).push(stream);
        lock(&self.0.room).kept = true;
    }

    /// Looks at the streams that were woken.
    fn go_on(&self, cx: &mut Context<'_>) {
        let mut waiting = lock(&self.0.waiting);
        while let Poll::Ready(Some(())) = waiting.poll_next_unpin(cx) {}
    }

    /// `connection`, each poll of which is a turn.
    pub(super) async fn of<C: Future>(&self, mut connection: Pin<&mut C>) -> C::Output {
        std::future::poll_fn(|cx| {
            // First, so that their answers are written in this turn.
            self.go_on(cx);
            *lock(&self.0.room) = Room { open: true, ..Room::default() };
            let polled = connection.as_mut().poll(cx);
            if std::mem::take(&mut *lock(&self.0.room)).kept {
                self.go_on(cx);
            }
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
        let mut stream = AssertUnwindSafe(stream.map(drop)).catch_unwind().map(drop).boxed();
        NEARLY_DONE.set(false);
        // Nobody is to be woken: what is not finished at once is looked at again, here or in a task of its own.
        match stream.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(()) => {}
            Poll::Pending if NEARLY_DONE.get() => self.turn.keep(stream),
            Poll::Pending => drop(self.tasks.spawn(stream)),
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
    use super::*;

    /// Answers with the task that it runs in, after a pause or a panic if the path asks for it.
    async fn answer(path: String) -> Response<Full<Bytes>> {
        match path.as_str() {
            "/later" => tokio::task::yield_now().await,
            "/long" => {
                let began = Instant::now();
                while began.elapsed() < 20 * TURN {
                    std::hint::spin_loop();
                }
            }
            "/record" => recorded().await,
            "/records" => more_follows(recorded()).await,
            "/panic" => panic!("asked for"),
            _ => {}
        }
        let task = tokio::task::try_id().map(|id| id.to_string()).unwrap_or_default();
        Response::new(Full::new(Bytes::from(task)))
    }

    /// Waits twice, and says so.
    async fn recorded() {
        let mut looks = 0;
        std::future::poll_fn(|cx| {
            looks += 1;
            cx.waker().wake_by_ref();
            nearly_done();
            if looks < 3 { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
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

    /// The tasks that answer eight requests which come together.
    async fn tasks(site: &mut Site, path: &str) -> Vec<String> {
        let asked: Vec<_> = (0..8).map(|_| site.ask(path)).collect();
        let mut tasks: Vec<String> =
            futures_util::future::join_all(asked).await.into_iter().map(Result::unwrap).collect();
        tasks.sort();
        tasks.dedup();
        tasks
    }

    #[tokio::test]
    async fn long_requests_that_come_together_are_spread() {
        let mut site = Site::new().await;
        let tasks = tasks(&mut site, "/long").await;
        assert!(tasks.len() >= 5, "{tasks:?}");
    }

    /// Here no time goes by, so all of them are short.
    #[tokio::test(start_paused = true)]
    async fn short_requests_that_come_together_are_answered_by_their_connection() {
        let mut site = Site::new().await;
        assert_eq!(tasks(&mut site, "/").await, [site.connection.clone()]);
        assert_eq!(tasks(&mut site, "/record").await, [site.connection.clone()]);
    }

    #[tokio::test]
    async fn one_that_is_nearly_done_stays_with_its_connection() {
        let mut site = Site::new().await;
        assert_eq!(site.ask("/record").await.unwrap(), site.connection);
        assert_ne!(site.ask("/records").await.unwrap(), site.connection, "it has more to do");
        assert_eq!(site.ask("/").await.unwrap(), site.connection);
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
