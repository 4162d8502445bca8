//! HTTP servers for tests: on a port from the kernel, with faults that can be switched on.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::task::JoinSet;

use crate::sockets::loopback;

/// What a server answers with.
pub type Answer = Response<UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>>;

/// How a server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Mood {
    /// Answers.
    Well = 0,
    /// Closes every connection at once.
    Down = 1,
    /// Answers 500 to everything.
    Failing = 2,
    /// Never answers.
    Silent = 3,
}

/// A running server; it ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    mood: Arc<AtomicU8>,
    _running: JoinSet<()>,
}

impl Server {
    /// Answers every request with `answer`. To be called within a runtime, which has to go on.
    ///
    /// # Panics
    /// Without a free port on the loopback interface.
    pub fn start<F>(answer: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let (listener, address) = loopback().expect("a free port");
        let listener = tokio::net::TcpListener::from_std(listener).expect("it does not block");
        let mood = Arc::new(AtomicU8::new(0));
        let mut running = JoinSet::new();
        let seen = Arc::clone(&mood);
        running.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((socket, _)) = listener.accept().await else { continue };
                if seen.load(Ordering::SeqCst) == Mood::Down as u8 {
                    continue;
                }
                let (answer, seen) = (answer.clone(), Arc::clone(&seen));
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let mood = seen.load(Ordering::SeqCst);
                        let answer = (mood == Mood::Well as u8).then(|| answer(request));
                        async move {
                            if mood == Mood::Silent as u8 {
                                std::future::pending::<()>().await;
                            }
                            match answer {
                                Some(answer) => Ok::<_, Infallible>(answer.await),
                                None => Ok(plain(StatusCode::INTERNAL_SERVER_ERROR, "switched off")),
                            }
                        }
                    });
                    let socket = TokioIo::new(socket);
                    drop(Builder::new(TokioExecutor::new()).serve_connection(socket, service).await);
                });
            }
        });
        Self { address, mood, _running: running }
    }

    /// From now on it behaves like this.
    pub fn set(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::SeqCst);
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// An answer of these bytes.
///
/// # Panics
/// Never: a status and a body are an answer.
pub fn plain(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let body = Full::new(text.into()).map_err(|never| match never {}).boxed_unsync();
    Response::builder().status(status).body(body).expect("an answer")
}
