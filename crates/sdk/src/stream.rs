//! Many calls over one exchange, paired with their answers by number.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aegis_model::caps;
use aegis_proto::convert::BadAnswer;
use aegis_proto::status::stream_status;
use aegis_proto::v1;
use aegis_proto::v1::decide_stream_response::Result as Answer;
use aegis_proto::v1::decision_client::DecisionClient;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::Channel;

use crate::call::Call;
use crate::error::{NodeStatus, SdkError};
use crate::outcome::Outcome;
use crate::token::TokenSource;

/// A stream of calls to one node. Cheap to clone; calls of all clones share it. It ends when the last clone is
/// dropped, or when the connection breaks: then every waiting and later call gets [`SdkError::StreamClosed`].
#[derive(Debug, Clone)]
pub struct DecisionStream {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    outgoing: mpsc::Sender<v1::DecideStreamRequest>,
    waiting: Arc<Waiting>,
    next_id: AtomicU64,
    /// A place for each unanswered call; with none left, `decide` waits.
    places: Semaphore,
    token: TokenSource,
    deadline: Duration,
    /// Owns the task that reads answers; it ends with the stream.
    _reader: JoinSet<()>,
}

impl DecisionStream {
    pub(crate) fn open(node: DecisionClient<Channel>, token: TokenSource, deadline: Duration) -> Self {
        let (outgoing, receiver) = mpsc::channel(caps::SDK_STREAM_CALLS_MAX);
        let waiting = Arc::new(Waiting::default());
        let mut reader = JoinSet::new();
        reader.spawn(read_answers(node, receiver, Arc::clone(&waiting)));
        let inner = Inner {
            outgoing,
            waiting,
            next_id: AtomicU64::new(1),
            places: Semaphore::new(caps::SDK_STREAM_CALLS_MAX),
            token,
            deadline,
            _reader: reader,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Asks whether `call` may go on. The token is asked for anew, as each call of a stream is identified anew.
    ///
    /// Errors: as [`crate::Client::decide`], and [`SdkError::StreamClosed`]. Nothing is retried here.
    pub async fn decide(&self, call: Call) -> Result<Outcome, SdkError> {
        let request = call.into_request()?;
        let deadline = Instant::now() + self.inner.deadline;
        let answer = timeout_at(deadline, self.exchange(request)).await.map_err(|_| SdkError::Deadline)??;
        match answer {
            Some(Answer::Decision(response)) => Ok(Outcome::read(response)?),
            Some(Answer::Error(error)) => Err(SdkError::Refused(NodeStatus::from(&stream_status(&error)))),
            None => Err(BadAnswer::Empty.into()),
        }
    }

    async fn exchange(&self, request: v1::DecideRequest) -> Result<Option<Answer>, SdkError> {
        let inner = &*self.inner;
        let _place = inner.places.acquire().await.expect("the semaphore is never closed");
        let token = inner.token.token().await.map_err(SdkError::Token)?;
        let correlation_id = inner.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        inner.waiting.add(correlation_id, sender).map_err(SdkError::StreamClosed)?;
        let _forget = Forget { waiting: &inner.waiting, correlation_id };
        let message = v1::DecideStreamRequest {
            correlation_id,
            token: token.expose().clone(),
            request: Some(request),
            ..v1::DecideStreamRequest::default()
        };
        // A failure to send is told by the reader as well, with its reason.
        let _ = inner.outgoing.send(message).await;
        match receiver.await {
            Ok(answer) => answer.map_err(SdkError::StreamClosed),
            Err(_) => Err(SdkError::StreamClosed(NodeStatus::from(&ended()))),
        }
    }
}

/// What a waiting call gets: the answer, or how the stream ended.
type Told = Result<Option<Answer>, NodeStatus>;

/// The unanswered calls of a stream.
#[derive(Debug, Default)]
struct Waiting {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    calls: HashMap<u64, oneshot::Sender<Told>>,
    closed: Option<NodeStatus>,
}

impl Waiting {
    /// Adds a call, unless the stream is closed: then nobody would ever answer it.
    fn add(&self, correlation_id: u64, sender: oneshot::Sender<Told>) -> Result<(), NodeStatus> {
        let mut state = self.lock();
        if let Some(status) = &state.closed {
            return Err(status.clone());
        }
        state.calls.insert(correlation_id, sender);
        Ok(())
    }

    /// Hands an answer to its call. An answer to no call is one that came too late.
    fn answer(&self, response: v1::DecideStreamResponse) {
        let sender = self.lock().calls.remove(&response.correlation_id);
        if let Some(sender) = sender {
            let _ = sender.send(Ok(response.result));
        }
    }

    /// Tells every call, and every later one, how the stream ended.
    fn close(&self, status: &Status) {
        let status = NodeStatus::from(status);
        let mut state = self.lock();
        state.closed = Some(status.clone());
        for (_, sender) in state.calls.drain() {
            let _ = sender.send(Err(status.clone()));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing panics while it is held, and a map is whole after each step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a call out of the waiting ones, however its future ended.
struct Forget<'a> {
    waiting: &'a Waiting,
    correlation_id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.waiting.lock().calls.remove(&self.correlation_id);
    }
}

/// Opens the exchange and hands out answers until it ends. Opening belongs here: a node may send its first
/// header with its first answer, which waits for a call.
async fn read_answers(
    mut node: DecisionClient<Channel>,
    outgoing: mpsc::Receiver<v1::DecideStreamRequest>,
    waiting: Arc<Waiting>,
) {
    let mut answers = match node.decide_stream(ReceiverStream::new(outgoing)).await {
        Ok(response) => response.into_inner(),
        Err(status) => return waiting.close(&status),
    };
    loop {
        match answers.message().await {
            Ok(Some(response)) => waiting.answer(response),
            Ok(None) => return waiting.close(&ended()),
            Err(status) => return waiting.close(&status),
        }
    }
}

fn ended() -> Status {
    Status::unavailable("the node ended the stream")
}
