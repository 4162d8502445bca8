//! `DecideStream`: many calls over one stream, each identified by its own token.

use std::net::IpAddr;
use std::sync::Arc;

use aegis_model::caps;
use aegis_model::reason::ReasonCode;
use aegis_model::trace::TraceContext;
use aegis_proto::status::stream_error;
use aegis_proto::v1::decide_stream_response::Result as Outcome;
use aegis_proto::v1::{DecideStreamRequest, DecideStreamResponse};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Status, Streaming};

use super::decision::{decide, status_of};
use crate::answer::Refused;
use crate::case::Surface;
use crate::decider::Decider;
use crate::readiness::Readiness;
use crate::serve::more_follows;

/// Who opened a stream.
#[derive(Debug, Clone)]
pub(super) struct Opener {
    pub(super) source: IpAddr,
    /// Its trace, for messages that name none.
    pub(super) caller: Option<TraceContext>,
}

/// The answers to `messages`, as they become ready. At most [`caps::STREAM_CALLS_MAX`] calls are in progress; the
/// next message is read when one of them was answered, and taken, by the client.
///
/// A call that cannot be judged is answered with its error, and the stream goes on. A malformed message ends it: what
/// follows cannot be told apart. When the node stops, nothing more is read, and what was read is still answered.
pub(super) fn answers(
    decider: Arc<Decider>,
    readiness: Readiness,
    opener: Opener,
    messages: Streaming<DecideStreamRequest>,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<DecideStreamResponse, Status>> + Send {
    let stopping = readiness.clone();
    let answers = messages
        .take_until(async move { stopping.stopped().await })
        .map(move |message| {
            let (decider, opener) = (Arc::clone(&decider), opener.clone());
            async move {
                match message {
                    Ok(message) => Ok(more_follows(answer(&decider, opener, message)).await),
                    Err(status) => Err(status),
                }
            }
        })
        .buffer_unordered(caps::STREAM_CALLS_MAX);
    let farewell = stream::once(async move {
        let _until_the_end = permit;
        readiness
            .is_stopping()
            .then(|| Err(Status::unavailable("the node is stopping; open the stream anew")))
    });
    answers.chain(farewell.filter_map(std::future::ready))
}

async fn answer(decider: &Decider, opener: Opener, message: DecideStreamRequest) -> DecideStreamResponse {
    let correlation_id = message.correlation_id;
    let result = match judge(decider, opener, message).await {
        Ok(decision) => Outcome::Decision(decision),
        Err(refused) => Outcome::Error(stream_error(&status_of(&refused))),
    };
    DecideStreamResponse { correlation_id, result: Some(result) }
}

async fn judge(
    decider: &Decider,
    opener: Opener,
    message: DecideStreamRequest,
) -> Result<aegis_proto::v1::DecideResponse, Refused> {
    let Opener { source, caller } = opener;
    let surface = Surface::GrpcStream;
    if message.token.is_empty() {
        let refused = Refused::new(ReasonCode::Unauthenticated, "the message has no token");
        return Err(decider.turn_away(source, surface, refused).await);
    }
    let Some(call) = message.request else {
        decider.malformed(surface);
        return Err(Refused::new(ReasonCode::InvalidRequest, "the message has no request"));
    };
    let own = TraceContext::read(&message.traceparent, &message.tracestate).ok();
    let entry = decider.enter(surface)?.traced(own.or(caller));
    decide(decider, entry, surface, source, &message.token, call).await
}
