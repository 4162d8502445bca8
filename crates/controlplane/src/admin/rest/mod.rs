//! The REST surface under `/admin/v1`: paths, headers, strict JSON in, JSON and problem documents out.
//!
//! [`operations`] lists every operation once; the router and the OpenAPI document are both made of that list, and the
//! paths and methods stand only beside the handlers. A handler decodes, calls a function of
//! [`service`](super::service), and encodes.

pub mod listen;

pub(crate) mod openapi;
pub(crate) mod operations;

mod call;
mod head;
mod health;
mod problem;
mod problem_page;
mod query;
mod reply;
mod traced;

mod activation;
mod agents;
mod approvals;
mod budgets;
mod channels;
mod cluster;
mod data_nodes;
mod decisions;
mod evidence;
mod issuers;
mod jwks;
mod keys;
mod labels;
mod organizations;
mod people;
mod person_tokens;
mod records;
mod revocations;
mod roles;
mod tenants;
mod tokens;
mod versions;
mod whoami;

use std::convert::Infallible;
use std::time::Duration;

use aegis_model::caps;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower::ServiceExt;

use super::problem::ApiCode;
use super::{Admin, Problem};
use crate::deliveries::{callback, page};
use crate::spans::{CallSink, Surface};

pub use openapi::document as openapi_document;

/// Where the admin API begins.
pub const BASE: &str = "/admin/v1";

/// The REST surface. Cheap to clone: one clone per connection.
#[derive(Clone)]
pub struct Rest {
    router: Router,
    calls: Option<CallSink>,
}

impl Rest {
    /// The surface over `admin`.
    pub fn new(admin: Admin) -> Self {
        let api = operations::router(Router::new())
            .route("/openapi.json", get(openapi::serve))
            .route("/problems/{code}", get(problem_page::serve))
            .fallback(nothing_here)
            .method_not_allowed_fallback(other_method);
        let router = Router::new()
            .nest(BASE, api)
            .route(
                "/approvals/{tenant}/{approval}",
                get(traced::named(page::show, "ShowApprovalPage"))
                    .post(traced::named(page::take, "TakeApprovalForm")),
            )
            .route(
                "/callbacks/slack/{tenant}/{channel}",
                post(traced::named(callback::take, "TakeSlackCallback")),
            )
            .route("/healthz", get(health::alive))
            .route("/readyz", get(health::ready))
            .route("/.well-known/jwks.json", get(jwks::serve))
            .fallback(nothing_here)
            .method_not_allowed_fallback(other_method)
            .with_state(admin);
        Self { router, calls: None }
    }

    /// The same, with a span for each call.
    #[must_use]
    pub fn with_spans(self, calls: Option<CallSink>) -> Self {
        Self { calls, ..self }
    }

    /// Answers one request, and its head at least within a deadline; what is streamed has its own.
    pub async fn answer<B>(self, request: http::Request<B>) -> Response
    where
        B: hyper::body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let request: Request = request.map(Body::new);
        let (mut request, request_id) = match head::check(request) {
            Ok(checked) => checked,
            Err(problem) => return reply::finish(problem.into_response(), None),
        };
        let call = self.calls.as_ref().map(|calls| calls.open(Surface::Http, request.headers()));
        if let Some(call) = &call {
            request.extensions_mut().insert(call.notes());
        }
        let patience = Duration::from_secs(caps::ADMIN_BODY_SECONDS + caps::ADMIN_CALL_SECONDS);
        let answered = tokio::time::timeout(patience, self.router.oneshot(request)).await;
        let response = match answered {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => never_happens(never),
            Err(_elapsed) => Problem::new(ApiCode::TimedOut, "the call took too long").into_response(),
        };
        if let Some(call) = call {
            call.close(traced::answered(&response));
        }
        reply::finish(response, request_id)
    }
}

fn never_happens(never: Infallible) -> Response {
    match never {}
}

async fn nothing_here() -> Problem {
    Problem::new(ApiCode::NotFound, "nothing is served at this path")
}

async fn other_method() -> Problem {
    Problem::new(ApiCode::MethodNotAllowed, "the path does not take this method")
}
