//! Decisions of a tenant, searched in the audit logs of the data nodes: each attends every control node, so that any of these can
//! ask all of them.
//!
//! ```text
//! admin API ──▶ one question per data node ══ Attend ══▶ data nodes, each with its own logs
//!           ◀── merged by time, and where each of them stands: the cursor ◀══ a page of each ═══
//! ```
//!
//! What a data node answers is held against the question before it is believed. One that does not answer is named in the answer: it
//! is never silently incomplete.

mod attending;

mod cursor;

mod merge;

use std::sync::Arc;
use std::time::Duration;

use aegis_model::caps;
use aegis_proto::v1;
use aegis_proto::v1::attend_request::Message;
use aegis_proto::v1::search_server::{Search, SearchServer};
use futures_util::StreamExt;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

use crate::control::Control;
use crate::evidence;
use crate::feed::Admission;

pub(crate) use attending::Missing;
use attending::{Attending, Way};
pub(crate) use cursor::{Cursor, Place};
pub(crate) use merge::{Asked, merge};

/// One control node's side of searches. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SearchNode {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    admission: Admission,
    control: Control,
    attending: Attending,
    /// A place for each data node.
    places: Arc<Semaphore>,
    /// A place for each search.
    searches: Semaphore,
    streams: TaskTracker,
    stopping: CancellationToken,
}

impl SearchNode {
    /// The service over `control`, for data nodes that prove who they are as `admission` says, until `stopping`.
    pub fn new(admission: Admission, control: Control, stopping: CancellationToken) -> Self {
        let shared = Shared {
            admission,
            control,
            attending: Attending::default(),
            places: Arc::new(Semaphore::new(caps::FEED_NODES_MAX)),
            searches: Semaphore::new(caps::SEARCHES_MAX),
            streams: TaskTracker::new(),
            stopping,
        };
        Self { shared: Arc::new(shared) }
    }

    /// The gRPC service, with its bounds.
    pub fn service(&self) -> SearchServer<Self> {
        SearchServer::new(self.clone())
            .max_decoding_message_size(caps::SEARCH_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(caps::SEARCH_MESSAGE_BYTES_MAX)
    }

    /// A place for a search; nothing if too many are under way.
    pub(crate) fn enter(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.shared.searches.try_acquire().ok()
    }

    /// Asks one data node, and waits for its answer for at most [`caps::SEARCH_ANSWER_MS`].
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn ask(
        &self,
        node: u64,
        question: v1::SearchQuestion,
    ) -> Result<v1::SearchAnswer, Missing> {
        let way = self.shared.attending.way(node).ok_or(Missing::NotConnected)?;
        way.ask(question, Duration::from_millis(caps::SEARCH_ANSWER_MS)).await
    }

    /// Asks about the copies of a data node that is gone: one of `readers` after the other, until one has an object store to look in.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(crate) async fn ask_copies(
        &self,
        readers: &[u64],
        question: v1::SearchQuestion,
    ) -> Result<v1::SearchAnswer, Missing> {
        let attending = readers.iter().filter(|node| self.shared.attending.way(**node).is_some());
        for node in attending.take(caps::SEARCH_READERS_MAX) {
            match self.ask(*node, question.clone()).await {
                // Of older software, it has answered about its own logs.
                Ok(answer) if answer.copies_of != question.copies_of => {}
                Err(Missing::NoStore | Missing::NotServed | Missing::NotConnected) => {}
                answer => return answer,
            }
        }
        Err(Missing::NoStore)
    }
}

#[tonic::async_trait]
impl Search for SearchNode {
    type AttendStream = ReceiverStream<Result<v1::AttendResponse, Status>>;

    async fn attend(
        &self,
        request: Request<Streaming<v1::AttendRequest>>,
    ) -> Result<Response<Self::AttendStream>, Status> {
        let shared = Arc::clone(&self.shared);
        let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() else {
            return Err(Status::resource_exhausted("too many data nodes attend this control node"));
        };
        if shared.stopping.is_cancelled() {
            return Err(Status::unavailable("this control node is stopping"));
        }
        let (_, extensions, mut up) = request.into_parts();
        let first = tokio::time::timeout(Duration::from_secs(caps::FEED_WELCOME_SECONDS), up.next());
        let node = match first.await {
            Ok(Some(request)) => match request?.message {
                Some(Message::Node(node)) => node,
                Some(Message::Answer(_)) | None => {
                    return Err(Status::invalid_argument("the first message says who attends"));
                }
            },
            Ok(None) | Err(_) => return Err(Status::invalid_argument("nobody says who attends")),
        };
        let incarnation = node.incarnation;
        let row = evidence::admitted(&shared.control, &shared.admission, &extensions, node).await?;
        if row.incarnation > incarnation || row.retired_ms > 0 {
            return Err(Status::failed_precondition(
                "another life of the data node is newer, or it was retired",
            ));
        }
        let (down, responses) = mpsc::channel(caps::SEARCHES_MAX + 1);
        // The queue is empty, and its other end is held.
        let _ = down.try_send(Ok(v1::AttendResponse { question: None }));
        let way = Arc::new(Way::new(incarnation, down));
        shared.attending.add(row.id, &way);
        tracing::debug!(node = row.id, incarnation, "a data node attends");
        self.shared.streams.spawn(async move {
            tokio::select! {
                () = listen(&way, up) => {}
                () = way.gone() => {}
                () = shared.stopping.cancelled() => {}
            }
            shared.attending.remove(row.id, &way);
            way.close();
            drop(place);
        });
        Ok(Response::new(ReceiverStream::new(responses)))
    }
}

/// Takes answers until the data node leaves or says what it may not.
async fn listen(way: &Way, mut up: Streaming<v1::AttendRequest>) {
    while let Some(Ok(request)) = up.next().await {
        match request.message {
            Some(Message::Answer(answer)) => way.take(answer),
            Some(Message::Node(_)) => return,
            // Of newer software; nothing here depends on it.
            None => {}
        }
    }
}
