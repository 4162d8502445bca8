//! One data node's stream: who it is, and what it says, on to the lender.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::control::DataNode;
use aegis_proto::v1;
use aegis_proto::v1::lend_farewell::Reason;
use aegis_proto::v1::lend_request::Message as Up;
use aegis_proto::v1::lend_response::Message as Down;
use aegis_raft_store::tables::StoreError;
use futures_util::StreamExt;
use http::Extensions;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::{Lead, Responses, Shared};
use crate::state::{data_nodes, meta};

/// What happens at a stream.
#[derive(Debug)]
pub(super) enum Event {
    /// A data node was let in.
    Joined(Box<Guest>),
    /// It said something.
    Said(StreamId, Up),
    /// Its stream ended.
    Left(StreamId),
}

/// Which stream of which data node. No number is used twice in one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StreamId {
    pub(super) node: u64,
    number: u64,
}

/// A data node that was let in.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) id: StreamId,
    /// Its row: the newest incarnation, and its only tenant.
    pub(super) row: DataNode,
    /// The history in which it was let in.
    pub(super) history: u64,
    pub(super) way: Way,
}

/// The way to a data node.
#[derive(Debug, Clone)]
pub(super) struct Way {
    sender: mpsc::Sender<Result<v1::LendResponse, Status>>,
    over: CancellationToken,
}

impl Way {
    /// Sends what there is room for: whether there was.
    pub(super) fn say(&self, message: Down) -> bool {
        self.sender.try_send(Ok(v1::LendResponse { message: Some(message) })).is_ok()
    }

    /// Ends the stream with a last word, if there is room for one.
    pub(super) fn end(&self, last: Result<v1::LendFarewell, Status>) {
        let last = last.map(|farewell| v1::LendResponse { message: Some(Down::Farewell(farewell)) });
        // Whoever does not take it learns by the end of the stream.
        let _no_room = self.sender.try_send(last);
        self.over.cancel();
    }

    /// Ends the stream without a word.
    pub(super) fn cut(&self) {
        self.over.cancel();
    }
}

/// A last word to a data node.
pub(super) fn farewell(reason: Reason, message: &str) -> v1::LendFarewell {
    v1::LendFarewell { reason: reason.into(), message: message.to_owned(), leader: String::new() }
}

/// The last word of a node that does not lead.
pub(super) fn not_leader(lead: &Lead) -> v1::LendFarewell {
    let leader = match lead {
        Lead::There(address) => address.clone(),
        Lead::Here | Lead::Nobody => String::new(),
    };
    v1::LendFarewell { leader, ..farewell(Reason::NotLeader, "this control node does not lead") }
}

/// Why a data node is not let in.
enum Refusal {
    /// In the words of the protocol.
    Farewell(v1::LendFarewell),
    /// As a status.
    Status(Status),
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Status(Status::unavailable(error.to_string()))
    }
}

/// Lets a data node in, if it may borrow and this control node leads, and listens to it from then on.
pub(super) async fn open(
    shared: Arc<Shared>,
    extensions: &Extensions,
    mut up: Streaming<v1::LendRequest>,
    place: OwnedSemaphorePermit,
) -> Result<Responses, Status> {
    let hello = hello(&mut up).await?;
    let (sender, responses) = mpsc::channel(caps::LEND_DOWNSTREAM_MAX);
    let way = Way { sender, over: CancellationToken::new() };
    match admit(&shared, extensions, &hello, way.clone()).await {
        Ok(guest) => {
            shared.streams.spawn(listen(Arc::clone(&shared), guest, up, place));
        }
        Err(Refusal::Farewell(last)) => way.end(Ok(last)),
        Err(Refusal::Status(status)) => return Err(status),
    }
    Ok(Box::pin(ReceiverStream::new(responses)))
}

async fn hello(up: &mut Streaming<v1::LendRequest>) -> Result<v1::LendHello, Status> {
    let first = tokio::time::timeout(Duration::from_secs(caps::FEED_WELCOME_SECONDS), up.next());
    match first.await {
        Ok(Some(request)) => match request?.message {
            Some(Up::Hello(hello)) => Ok(hello),
            _ => Err(Status::invalid_argument("the first message is `LendHello`")),
        },
        Ok(None) | Err(_) => Err(Status::invalid_argument("there is no `LendHello`")),
    }
}

/// Who says `hello`, as the newest state knows it.
async fn admit(
    shared: &Shared,
    extensions: &Extensions,
    hello: &v1::LendHello,
    way: Way,
) -> Result<Guest, Refusal> {
    let only: Option<TenantId> = match hello.tenant.as_str() {
        "" => None,
        tenant => Some(tenant.parse().map_err(|_bad| Status::invalid_argument("`tenant` is no name"))?),
    };
    shared.config.admission.admit(extensions, &hello.node_name, only.as_ref())?;
    let lead = shared.lead.borrow().clone();
    if lead != Lead::Here {
        return Err(Refusal::Farewell(not_leader(&lead)));
    }
    // Whoever was given an incarnation by another control node is known here only after this one caught up.
    let read = tokio::time::timeout(Duration::from_secs(caps::LEND_PROPOSE_SECONDS), shared.control.read());
    let view = read.await.map_err(|_late| Status::unavailable("no quorum answers"))?;
    let view = view.map_err(|error| Status::unavailable(error.to_string()))?;
    let history = meta::history(&view)?;
    if hello.history < history {
        let message = "the cluster's history has changed; the data node has to start anew";
        return Err(Refusal::Farewell(farewell(Reason::History, message)));
    }
    let row = data_nodes::data_node(&view, hello.node_id)?
        .filter(|row| row.incarnation >= hello.incarnation && hello.history == history)
        .ok_or_else(|| Status::unavailable("this control node does not know the data node's incarnation"))?;
    // The certificate proves the name, and the row binds the id to it.
    if row.name != hello.node_name || row.tenant != hello.tenant {
        return Err(Status::permission_denied("the id belongs to another data node").into());
    }
    // LIM-2: whoever was replaced is told so before it asks for anything.
    if row.incarnation > hello.incarnation || row.retired_ms > 0 {
        return Err(Refusal::Farewell(fenced()));
    }
    let id = StreamId { node: row.id, number: NEXT.fetch_add(1, Ordering::Relaxed) };
    Ok(Guest { id, row, history, way })
}

static NEXT: AtomicU64 = AtomicU64::new(1);

/// The last word to a data node that was replaced.
pub(super) fn fenced() -> v1::LendFarewell {
    farewell(Reason::Fenced, "another process has started with this data node's id, or it was retired")
}

/// Passes on what the data node says, until one of the two ends it.
async fn listen(
    shared: Arc<Shared>,
    guest: Guest,
    mut up: Streaming<v1::LendRequest>,
    place: OwnedSemaphorePermit,
) {
    let (id, over, sender) = (guest.id, guest.way.over.clone(), guest.way.sender.clone());
    let incarnation = guest.row.incarnation;
    let _over = over.clone().drop_guard();
    // Nobody closes the inbox but a node that stops.
    if shared.events.send(Event::Joined(Box::new(guest))).await.is_err() {
        return;
    }
    tracing::info!(node = id.node, incarnation, "a data node borrows");
    let said = async {
        let silence = Duration::from_secs(caps::LEND_SILENCE_SECONDS);
        while let Ok(Some(Ok(request))) = tokio::time::timeout(silence, up.next()).await {
            // A message of newer software has no content here; nothing depends on it.
            let Some(message) = request.message else { continue };
            if shared.events.send(Event::Said(id, message)).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = said => {}
        () = over.cancelled() => {}
        () = sender.closed() => {}
    }
    let _stopped = shared.events.send(Event::Left(id)).await;
    drop(place);
}
