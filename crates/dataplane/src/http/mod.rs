//! The HTTP surface: which path is answered by whom. Paths are matched exactly, never repaired.

mod approvals;
mod authzen;
mod body;
mod complete;
pub mod decide;
mod headers;
mod health;
mod problem;
mod proof;
pub(crate) mod reply;
mod token;

use std::net::IpAddr;
use std::sync::Arc;

use aegis_proto::authzen::{EVALUATION_PATH, EVALUATIONS_PATH, METADATA_PATH, Metadata};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};

use crate::budget::ByteBudget;
use crate::decider::Decider;
use crate::readiness::Readiness;
use crate::serve::Patience;
use body::BodyReader;
pub(crate) use headers::{token_of, trace_context};
use problem::Problem;

/// Where a call is decided.
pub const DECIDE_PATH: &str = "/v1/decide";

/// Where the end of a call is told.
pub const COMPLETE_PATH: &str = "/v1/complete";

/// Where the proof is asked for that a decision's record is in the audit log.
pub const PROOF_PATH: &str = "/v1/proof";

/// What the HTTP surface needs. Shared by all requests.
#[derive(Debug)]
pub(crate) struct HttpSurface {
    decider: Arc<Decider>,
    readiness: Readiness,
    bodies: BodyReader,
    metadata: Bytes,
}

/// Below it, how the request for approval of this id stands.
pub const APPROVALS_PATH: &str = "/v1/approvals/";

type Reply = Response<Full<Bytes>>;

impl HttpSurface {
    /// A surface that clients reach at `base` (`https://…`).
    pub(crate) fn new(
        decider: Arc<Decider>,
        readiness: Readiness,
        budget: ByteBudget,
        body_bytes_max: usize,
        patience: Patience,
        base: &str,
    ) -> Self {
        let metadata = serde_json::to_vec(&Metadata::new(base)).expect("three texts are always written");
        let bodies = BodyReader { bytes_max: body_bytes_max, deadline: patience.call, budget };
        Self { decider, readiness, bodies, metadata: metadata.into() }
    }

    /// Answers one request.
    pub(crate) async fn answer(self: Arc<Self>, source: IpAddr, request: Request<Incoming>) -> Reply {
        let (head, body) = request.into_parts();
        let request_id = match headers::request_id(&head.headers) {
            Ok(request_id) => request_id,
            Err(problem) => return problem.into(),
        };
        let mut reply = match self.route(source, &head, body).await {
            Ok(reply) => reply,
            Err(problem) => problem.into(),
        };
        if let Some(request_id) = request_id {
            reply.headers_mut().insert(headers::REQUEST_ID, request_id.clone());
        }
        reply
    }

    async fn route(&self, source: IpAddr, head: &Parts, body: Incoming) -> Result<Reply, Problem> {
        headers::check_target(head)?;
        match head.uri.path() {
            DECIDE_PATH => {
                only(head, &[Method::POST])?;
                decide::answer(self, source, head, body).await
            }
            COMPLETE_PATH => {
                only(head, &[Method::POST])?;
                complete::answer(self, source, head, body).await
            }
            path if path.starts_with(APPROVALS_PATH) => {
                only(head, &[Method::GET])?;
                approvals::answer(self, source, head).await
            }
            PROOF_PATH => {
                only(head, &[Method::POST])?;
                proof::answer(self, source, head, body).await
            }
            EVALUATION_PATH => {
                only(head, &[Method::POST])?;
                authzen::evaluation(self, source, head, body).await
            }
            EVALUATIONS_PATH => {
                only(head, &[Method::POST])?;
                authzen::evaluations(self, source, head, body).await
            }
            token::TOKEN_PATH => {
                only(head, &[Method::POST])?;
                token::answer(self, source, head, body).await
            }
            token::JWKS_PATH => {
                only(head, READ)?;
                let keys = self.decider.snapshot().verifier().trust().to_jwks();
                Ok(reply::json(StatusCode::OK, decide::body(&keys)))
            }
            METADATA_PATH => {
                only(head, READ)?;
                Ok(reply::json(StatusCode::OK, self.metadata.clone()))
            }
            "/healthz" => {
                only(head, READ)?;
                Ok(health::alive())
            }
            "/readyz" => {
                only(head, READ)?;
                health::ready(&self.readiness)
            }
            _ => Err(Problem::not_found()),
        }
    }
}

const READ: &[Method] = &[Method::GET, Method::HEAD];

fn only(head: &Parts, methods: &'static [Method]) -> Result<(), Problem> {
    if methods.contains(&head.method) { Ok(()) } else { Err(Problem::method(methods)) }
}
