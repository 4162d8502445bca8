//! In front of a gRPC service: opens the span of each call, and closes it with what is answered.

use std::convert::Infallible;
use std::task::{Context, Poll};

use aegis_proto::status::reason_of;
use futures_util::future::{BoxFuture, FutureExt};
use http::{HeaderMap, Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower::Service;

use super::{Answered, CallSink, Outcome, Surface};
use crate::admin::{grpc, rest};

/// A service whose calls have spans, if there is where they can go.
#[derive(Debug, Clone)]
pub(crate) struct Traced<S> {
    inner: S,
    sink: Option<CallSink>,
}

impl<S> Traced<S> {
    pub(crate) fn new(inner: S, sink: Option<CallSink>) -> Self {
        Self { inner, sink }
    }
}

/// What data nodes ask about approvals. That they wait for people is no call of its own.
const APPROVALS: [&str; 3] = ["OpenApproval", "RedeemApproval", "GiveBackApproval"];

/// The operation at `path`, if its calls have spans: never a name that a client made up.
fn operation(path: &str) -> Option<&'static str> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let known: &[&str] = match service {
        "aegis.v1.Admin" => rest::operations::IDS,
        "aegis.v1.Approvals" => &APPROVALS,
        "aegis.v1.Tokens" => return (method == "Issue").then_some("IssueAgentToken"),
        _ => return None,
    };
    known.iter().find(|known| **known == method).copied()
}

impl<S> Service<Request<Body>> for Traced<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let known = self.sink.as_ref().zip(operation(request.uri().path()));
        let Some((sink, operation)) = known else { return self.inner.call(request).boxed() };
        let call = sink.open(Surface::Grpc, request.headers());
        call.notes().operation(operation);
        request.extensions_mut().insert(call.notes());
        let answer = self.inner.call(request);
        async move {
            let response = answer.await?;
            call.close(answered(response.headers()));
            Ok(response)
        }
        .boxed()
    }
}

impl<S: NamedService> NamedService for Traced<S> {
    const NAME: &'static str = S::NAME;
}

/// What the head of an answer says. Without a status in it, what was asked for is on its way.
fn answered(headers: &HeaderMap) -> Answered {
    let replayed = headers.contains_key(grpc::IDEMPOTENCY_REPLAYED);
    let status = Status::from_header_map(headers).filter(|status| status.code() != Code::Ok);
    let Some(status) = status else { return Answered { outcome: Outcome::Done, code: None, replayed } };
    let outcome = match status.code() {
        Code::Unknown
        | Code::DeadlineExceeded
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => Outcome::Failed,
        _ => Outcome::Refused,
    };
    let code = reason_of(&status).map_or_else(|| format!("{:?}", status.code()), str::to_owned);
    Answered { outcome, code: Some(code), replayed }
}
