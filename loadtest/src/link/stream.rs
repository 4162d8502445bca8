//! `DecideStream`: all calls of a connection over one stream; answers come in any order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aegis_proto::v1::decide_stream_response::Result as Answer;
use aegis_proto::v1::decision_client::DecisionClient;
use aegis_proto::v1::{DecideRequest, DecideStreamRequest, DecideStreamResponse};
use anyhow::Context;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::{Ask, grpc};
use crate::bounds;
use crate::calls::Calls;
use crate::pump::Link;
use crate::tally::Failure;

/// One stream, and who waits for which of its answers.
pub struct StreamLink {
    calls: Arc<Calls>,
    messages: Vec<DecideRequest>,
    token: Arc<str>,
    requests: mpsc::Sender<DecideStreamRequest>,
    waiting: Arc<Waiting>,
    _reader: JoinSet<()>,
}

/// Calls without an answer, by correlation id; nothing once the stream has ended. Bounded by the calls on their way.
#[derive(Debug)]
struct Waiting(Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>);

impl StreamLink {
    /// Connects and opens the stream.
    ///
    /// # Errors
    /// Nobody listens there, or the stream is refused.
    pub async fn connect(ask: &Ask) -> anyhow::Result<Self> {
        let mut client = DecisionClient::new(grpc::channel(ask).await?);
        let (requests, outgoing) = mpsc::channel(bounds::STREAM_WAITING_MAX);
        let answers =
            client.decide_stream(ReceiverStream::new(outgoing)).await.context("opening a stream")?;
        let waiting = Arc::new(Waiting(Mutex::new(Some(HashMap::new()))));
        let mut reader = JoinSet::new();
        reader.spawn(hand_out(answers.into_inner(), Arc::clone(&waiting)));
        let (calls, token) = (Arc::clone(&ask.calls), Arc::clone(&ask.token));
        Ok(Self { messages: calls.messages(), calls, token, requests, waiting, _reader: reader })
    }
}

impl Link for StreamLink {
    async fn call(&self, number: u64) -> Result<&'static str, Failure> {
        let ended = || Failure("the stream has ended".to_owned());
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().as_mut().ok_or_else(ended)?.insert(number, answer);
        let message = DecideStreamRequest {
            correlation_id: number,
            token: self.token.as_ref().to_owned(),
            request: Some(self.messages[self.calls.turn(number)].clone()),
            ..DecideStreamRequest::default()
        };
        self.requests.send(message).await.map_err(|_| ended())?;
        match answered.await {
            Ok(Answer::Decision(decision)) => grpc::check(&self.calls, number, &decision),
            Ok(Answer::Error(error)) => Err(Failure(format!("{}: {}", error.code, error.message))),
            Err(_) => Err(ended()),
        }
    }
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Option<HashMap<u64, oneshot::Sender<Answer>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives each answer to the call that waits for it; ends with the stream, and then so do all that wait.
async fn hand_out(mut answers: Streaming<DecideStreamResponse>, waiting: Arc<Waiting>) {
    while let Some(Ok(answer)) = answers.next().await {
        let waits = waiting.lock().as_mut().and_then(|waiting| waiting.remove(&answer.correlation_id));
        if let (Some(waits), Some(result)) = (waits, answer.result) {
            // Whoever waited may have been told to stop.
            drop(waits.send(result));
        }
    }
    waiting.lock().take();
}
