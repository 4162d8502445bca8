//! The service `aegis.v1.Decision`.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;

use aegis_model::caps;
use aegis_model::reason::ReasonCode;
use aegis_proto::v1::decision_server::Decision;
use aegis_proto::v1::{
    CompleteRequest, CompleteResponse, DecideRequest, DecideResponse, DecideStreamRequest,
    DecideStreamResponse, GetApprovalRequest, GetApprovalResponse,
};
use aegis_proto::{convert, status as wire_status};
use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::Semaphore;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Response, Status, Streaming};

use super::{Arrived, Peer, stream};
use crate::answer::{Answer, Refused};
use crate::approvals::status;
use crate::case::Surface;
use crate::complete::{Teller, complete};
use crate::decider::{Decider, Entry};
use crate::http::{token_of, trace_context};
use crate::peers::is_forwarded;
use crate::readiness::Readiness;
use crate::sensitive::CleanedResult;
use crate::waiting::walk_and_wait;

/// Judges calls. Shared by all requests.
#[derive(Debug)]
pub(super) struct Decisions {
    pub(super) decider: Arc<Decider>,
    pub(super) readiness: Readiness,
    /// One permit per open stream.
    streams: Arc<Semaphore>,
}

impl Decisions {
    pub(super) fn new(decider: Arc<Decider>, readiness: Readiness) -> Self {
        Self { decider, readiness, streams: Arc::new(Semaphore::new(caps::DECIDE_STREAMS_MAX)) }
    }
}

#[tonic::async_trait]
impl Decision for Decisions {
    async fn decide(&self, request: Request<DecideRequest>) -> Result<Response<DecideResponse>, Status> {
        let (metadata, extensions, message) = request.into_parts();
        arrived(&extensions);
        let (decider, source) = (&self.decider, source(&extensions));
        let token = match bearer(&metadata) {
            Ok(token) => token,
            Err(refused) => {
                return Err(status_of(&decider.turn_away(source, Surface::Grpc, refused).await));
            }
        };
        let entry = decider.enter(Surface::Grpc).map_err(|refused| status_of(&refused))?;
        let entry = entry.traced(trace_context(metadata.as_ref()));
        match decide(decider, entry, Surface::Grpc, source, token, message).await {
            Ok(response) => Ok(Response::new(response)),
            Err(refused) => Err(status_of(&refused)),
        }
    }

    async fn complete(
        &self,
        request: Request<CompleteRequest>,
    ) -> Result<Response<CompleteResponse>, Status> {
        let (metadata, extensions, message) = request.into_parts();
        let (decider, source) = (&self.decider, source(&extensions));
        let token = match bearer(&metadata) {
            Ok(token) => token,
            Err(refused) => {
                return Err(status_of(&decider.turn_away(source, Surface::Grpc, refused).await));
            }
        };
        let _entry = decider.enter(Surface::Grpc).map_err(|refused| status_of(&refused))?;
        let completion = convert::read_completion(&message).map_err(|bad| {
            decider.malformed(Surface::Grpc);
            status_of(&bad.into())
        })?;
        let forwarded = is_forwarded(&metadata);
        let trace = trace_context(metadata.as_ref());
        let teller = Teller { surface: Surface::Grpc, source, token, forwarded, trace };
        match complete(decider, teller, completion).await {
            Ok(CleanedResult { result, same, redactions, withheld, receipt, .. }) => {
                let result = match result {
                    // As it was sent, to the byte.
                    _ if same => message.result,
                    Some(result) => Bytes::from(result.to_string()),
                    None => Bytes::new(),
                };
                Ok(Response::new(convert::write_completed(result, redactions, withheld, receipt)))
            }
            Err(refused) => Err(status_of(&refused)),
        }
    }

    async fn get_approval(
        &self,
        request: Request<GetApprovalRequest>,
    ) -> Result<Response<GetApprovalResponse>, Status> {
        let (metadata, extensions, message) = request.into_parts();
        let (decider, source) = (&self.decider, source(&extensions));
        let token = match bearer(&metadata) {
            Ok(token) => token,
            Err(refused) => {
                return Err(status_of(&decider.turn_away(source, Surface::Grpc, refused).await));
            }
        };
        arrived(&extensions);
        let GetApprovalRequest { id, wait_ms } = message;
        match status(decider, Surface::Grpc, source, token, &id, wait_ms).await {
            Ok(found) => Ok(Response::new(GetApprovalResponse {
                approval: Some(convert::write_approval(found.approval)),
                state: found.state,
                override_token: found.override_token.map(|token| token.expose().clone()).unwrap_or_default(),
            })),
            Err(refused) => Err(status_of(&refused)),
        }
    }

    type DecideStreamStream = Pin<Box<dyn Stream<Item = Result<DecideStreamResponse, Status>> + Send>>;

    async fn decide_stream(
        &self,
        request: Request<Streaming<DecideStreamRequest>>,
    ) -> Result<Response<Self::DecideStreamStream>, Status> {
        let source = source(request.extensions());
        let caller = trace_context(request.metadata().as_ref());
        let Ok(permit) = Arc::clone(&self.streams).try_acquire_owned() else {
            let refused = Refused::new(ReasonCode::Overloaded, "the node has as many streams as it can take");
            return Err(status_of(&refused));
        };
        let answers = stream::answers(
            Arc::clone(&self.decider),
            self.readiness.clone(),
            stream::Opener { source, caller },
            request.into_inner(),
            permit,
        );
        Ok(Response::new(Box::pin(answers)))
    }
}

/// One message to one answer.
pub(super) async fn decide(
    decider: &Decider,
    entry: Entry,
    surface: Surface,
    source: IpAddr,
    token: &str,
    message: DecideRequest,
) -> Result<DecideResponse, Refused> {
    let params = message.params.clone();
    let call = convert::read_call(message).inspect_err(|_| decider.malformed(surface))?;
    match walk_and_wait(decider, entry, surface, source, token, call).await {
        Answer::Decided(decision) => Ok(convert::write_decision(*decision, Some(params))),
        Answer::Refused(refused) => Err(refused),
    }
}

/// The status of a call that was not judged.
pub(super) fn status_of(refused: &Refused) -> Status {
    match refused.retry_after_ms() {
        None => wire_status::refusal(refused.code, &refused.sentence()),
        Some(ms) => wire_status::refusal_for_now(refused.code, &refused.sentence(), ms),
    }
}

/// The token in the call's metadata.
fn bearer(metadata: &MetadataMap) -> Result<&str, Refused> {
    let mut values = metadata.get_all("authorization").iter();
    let value = match (values.next(), values.next()) {
        (Some(value), None) => value,
        (None, _) => {
            return Err(Refused::new(ReasonCode::Unauthenticated, "there is no `authorization` metadata"));
        }
        (Some(_), Some(_)) => {
            let detail = "the metadata `authorization` stands more than once";
            return Err(Refused::new(ReasonCode::InvalidRequest, detail));
        }
    };
    token_of(value.as_encoded_bytes()).ok_or_else(|| {
        Refused::new(ReasonCode::Unauthenticated, "the `authorization` metadata holds no bearer token")
    })
}

/// The message is there: from now on nobody waits for its client.
fn arrived(extensions: &Extensions) {
    if let Some(arrived) = extensions.get::<Arrived>() {
        arrived.set();
    }
}

/// The client's address. The surface puts it there for every request.
fn source(extensions: &Extensions) -> IpAddr {
    extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, SOURCE, by_amount};

    /// Each call's future is moved into a place of its own, and lies there with others while its record is synced: what only few calls
    /// need (control planes, people, limits that are lent) is not part of it.
    #[test]
    fn what_a_call_takes_up_while_it_waits_is_small() {
        let bench = Bench::new(by_amount);
        let entry = bench.decider.enter(Surface::Grpc).unwrap();
        let decided = decide(&bench.decider, entry, Surface::Grpc, SOURCE, "", DecideRequest::default());
        let bytes = size_of_val(&decided);
        assert!(bytes <= 4_096, "{bytes} bytes");
    }
}
