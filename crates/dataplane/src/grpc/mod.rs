//! The gRPC surface: `aegis.v1.Decision`, health and reflection, behind one HTTP/2 listener.

mod decision;
mod farewell;
mod health;
mod stream;

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aegis_model::caps;
use aegis_proto::v1::decision_server::{DecisionServer, SERVICE_NAME};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response, StatusCode};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic_health::server::HealthReporter;

use crate::budget::{ByteBudget, Metered};
use crate::decider::Decider;
use crate::readiness::Readiness;
use crate::serve::Patience;
use decision::Decisions;
pub(crate) use health::report as report_health;

/// Unary calls have a deadline; streams go on.
const DECIDE: &str = "/aegis.v1.Decision/Decide";
/// Likewise.
const COMPLETE: &str = "/aegis.v1.Decision/Complete";

/// Likewise.
const GET_APPROVAL: &str = "/aegis.v1.Decision/GetApproval";

/// Longest that a call may go on after it has arrived.
const WAIT: Duration = Duration::from_millis(caps::APPROVAL_WAIT_MS_MAX as u64 + caps::APPROVAL_LINK_MS);

/// Told by a service once the whole message of a call is there.
#[derive(Debug, Clone, Default)]
struct Arrived(Arc<AtomicBool>);

impl Arrived {
    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The services. Shared by all requests.
pub(crate) struct GrpcSurface {
    decision: DecisionServer<Decisions>,
    others: Arc<Others>,
    readiness: Readiness,
    budget: ByteBudget,
    deadline: Duration,
}

/// The services that are seldom asked.
struct Others {
    health: health::Server,
    reflection: health::Reflection,
}

/// Where a request came from, as the services see it.
#[derive(Debug, Clone, Copy)]
struct Peer(IpAddr);

impl GrpcSurface {
    /// The services over `decider`, and what reports their health.
    pub(crate) fn new(
        decider: Arc<Decider>,
        readiness: Readiness,
        budget: ByteBudget,
        body_bytes_max: usize,
        patience: Patience,
    ) -> (Self, HealthReporter) {
        let decisions = Decisions::new(decider, readiness.clone());
        let decision = DecisionServer::new(decisions).max_decoding_message_size(body_bytes_max);
        let (reporter, health) = health::server();
        let others = Arc::new(Others { health, reflection: health::reflection() });
        (Self { decision, others, readiness, budget, deadline: patience.call }, reporter)
    }

    /// Answers one request.
    pub(crate) async fn answer(
        self: Arc<Self>,
        source: IpAddr,
        request: Request<Incoming>,
    ) -> Response<Body> {
        if let Some(response) = not_grpc(&request) {
            return response;
        }
        let mut request = request;
        request.extensions_mut().insert(Peer(source));
        let path = request.uri().path();
        let service = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        if [DECIDE, COMPLETE, GET_APPROVAL].contains(&path) {
            let arrived = Arrived::default();
            request.extensions_mut().insert(arrived.clone());
            let budget = self.budget.clone();
            let mut decision = self.decision.clone();
            let mut call = std::pin::pin!(decision.call(request.map(|body| Metered::new(body, budget))));
            let late = || Status::deadline_exceeded("the call took too long to arrive").into_http();
            return match tokio::time::timeout(self.deadline, &mut call).await {
                Ok(response) => infallible(response),
                // It has arrived, and its client waits for people.
                Err(_elapsed) if arrived.is_set() => match tokio::time::timeout(WAIT, call).await {
                    Ok(response) => infallible(response),
                    Err(_elapsed) => late(),
                },
                Err(_elapsed) => late(),
            };
        }
        match service {
            SERVICE_NAME => infallible(self.decision.clone().call(request).await),
            health::HEALTH_NAME => self.ending(self.others.health.clone().call(request).await),
            health::REFLECTION_NAME => self.ending(self.others.reflection.clone().call(request).await),
            _ => Status::unimplemented("no such service is served here").into_http(),
        }
    }
}

impl GrpcSurface {
    /// An answer that may go on for as long as the client likes, but not longer than the node.
    fn ending(&self, response: Result<Response<Body>, Infallible>) -> Response<Body> {
        infallible(response).map(|body| farewell::until_stopped(body, self.readiness.clone()))
    }
}

/// The answer to what is not gRPC at all.
fn not_grpc(request: &Request<Incoming>) -> Option<Response<Body>> {
    let content_type = request.headers().get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    let status = if request.method() != Method::POST {
        StatusCode::METHOD_NOT_ALLOWED
    } else if !matches!(content_type, b"application/grpc" | b"application/grpc+proto") {
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    } else {
        return None;
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    Some(response)
}

fn infallible(response: Result<Response<Body>, Infallible>) -> Response<Body> {
    match response {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
