//! One control node, attended again and again for as long as the node runs.

use std::sync::Arc;
use std::time::Duration;

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::v1;
use aegis_proto::v1::attend_request::Message;
use aegis_proto::v1::search_client::SearchClient;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::desk::{Desk, Question, Running};
use super::wire;
use crate::decider::Decider;
use crate::feed::{Connector, ControlAddress, Pauses, causes};
use crate::limits::Identity;

/// The way to one control node.
pub(super) struct Link {
    pub(super) node: String,
    pub(super) tenant: Option<TenantId>,
    pub(super) identity: Identity,
    pub(super) address: ControlAddress,
    pub(super) connector: Connector,
    pub(super) desk: Arc<Desk>,
    /// Answers what leads to the object store; nothing without one.
    pub(super) far: Option<Arc<Desk>>,
    pub(super) decider: Arc<Decider>,
    pub(super) pauses: Pauses,
}

/// Why a control node is not attended, or not any more.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("it answered {code}: {message}", code = .0.code(), message = .0.message())]
    Refused(Box<Status>),
    #[error("it ended the stream")]
    Closed,
}

impl From<Status> for Cut {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

/// Answers on their way up. Beyond, the next one waits.
const UPSTREAM: usize = 2;

/// A stream that lasted as long was of use.
const OF_USE: Duration = Duration::from_secs(5);

impl Link {
    pub(super) async fn run(mut self) {
        loop {
            let begun = Instant::now();
            let Err(cut) = self.attend().await;
            // Searches alone suffer from it; the feed says loudly that a control node is gone.
            tracing::debug!(control = %self.address, %cut, "a control node is not attended");
            if begun.elapsed() > OF_USE {
                self.pauses.begin_anew();
            }
            tokio::time::sleep(self.pauses.next()).await;
        }
    }

    async fn attend(&self) -> Result<std::convert::Infallible, Cut> {
        let (up, mut down) = self.begin().await?;
        let mut working = FuturesUnordered::new();
        loop {
            tokio::select! {
                message = down.message() => {
                    // Without a question it says that this node was taken on.
                    if let Some(question) = message?.ok_or(Cut::Closed)?.question {
                        if working.len() > caps::SEARCH_QUEUE_MAX {
                            let busy = wire::found(question.number, Err(self.desk.busy()));
                            up.send(answer(busy)).await.map_err(|_gone| Cut::Closed)?;
                        } else {
                            working.push(self.answer(question));
                        }
                    }
                }
                Some(said) = working.next() => {
                    up.send(answer(said)).await.map_err(|_gone| Cut::Closed)?;
                }
            }
        }
    }

    /// From no connection to a stream.
    async fn begin(&self) -> Result<(mpsc::Sender<v1::AttendRequest>, Streaming<v1::AttendResponse>), Cut> {
        let unreachable = |error: tonic::transport::Error| Cut::Unreachable(causes(&error));
        let channel = self.connector.channel(&self.address).await.map_err(unreachable)?;
        let mut client = SearchClient::new(channel)
            .max_decoding_message_size(caps::SEARCH_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(caps::SEARCH_MESSAGE_BYTES_MAX);
        let (up, requests) = mpsc::channel(UPSTREAM);
        let node = v1::EvidenceNode {
            node_name: self.node.clone(),
            node_id: self.identity.node_id,
            incarnation: self.identity.incarnation,
            tenant: self.tenant.as_ref().map(TenantId::to_string).unwrap_or_default(),
        };
        // The queue is empty, and its other end is held.
        let _ = up.try_send(v1::AttendRequest { message: Some(Message::Node(node)) });
        let down = client.attend(ReceiverStream::new(requests)).await?.into_inner();
        Ok((up, down))
    }

    /// Answers a question about a tenant that this node serves (TEN-1).
    async fn answer(&self, asked: v1::SearchQuestion) -> v1::SearchAnswer {
        let number = asked.number;
        let Some(question) = wire::read(&asked, &self.node) else {
            return wire::refused(number, "malformed");
        };
        if self.tenant.as_ref().is_some_and(|only| *only != question.tenant) {
            return wire::refused(number, "not_served");
        }
        let running = self.decider.records.journal().map(|journal| Running {
            life: self.identity.incarnation,
            origin: journal.key().name().to_string(),
            synced: journal.newest().map_or(0, |newest| newest.checkpoint.size),
        });
        let desk = match &self.far {
            Some(far) if self.leads_away(&question).await => far,
            None if question.copies_only => return wire::refused(number, "no_store"),
            Some(_) | None => &self.desk,
        };
        let found = wire::found(number, desk.ask(question, running).await);
        v1::SearchAnswer { copies_of: asked.copies_of, ..found }
    }

    /// Whether a question may lead to the object store: logs are wanted that are not in the node's folder.
    async fn leads_away(&self, question: &Question) -> bool {
        let wanted: Vec<u64> =
            question.known.iter().filter(|(_, known)| known.wanted).map(|(life, _)| *life).collect();
        if question.copies_only || wanted.is_empty() {
            return question.copies_only;
        }
        let decider = Arc::clone(&self.decider);
        let lives = tokio::task::spawn_blocking(move || decider.records.lives()).await.unwrap_or_default();
        wanted.iter().any(|wanted| !lives.iter().any(|(life, _, _)| life == wanted))
    }
}

fn answer(said: v1::SearchAnswer) -> v1::AttendRequest {
    v1::AttendRequest { message: Some(Message::Answer(said)) }
}
