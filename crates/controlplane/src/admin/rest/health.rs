//! Whether the node is alive, and whether it can be relied on. For load balancers and people; needs no token.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::reply;
use crate::admin::Admin;
use crate::readiness::Standing;

/// `GET /healthz`: the process answers.
pub(super) async fn alive() -> Response {
    reply::with_type(StatusCode::OK, "text/plain", Body::from("alive\n"))
}

/// Whether the node can be relied on, and if not, why.
#[derive(Debug, Serialize, PartialEq, Eq)]
struct Shown {
    /// Whether it is.
    ready: bool,
    /// Why not, one sentence each.
    because: Vec<String>,
}

/// `GET /readyz`: what [`Readiness`](crate::readiness::Readiness) says.
pub(super) async fn ready(State(admin): State<Admin>) -> Response {
    let standing = admin.readiness().standing();
    match standing {
        Standing::Ready => reply::json(StatusCode::OK, &Shown { ready: true, because: Vec::new() }),
        Standing::Starting
        | Standing::Alone
        | Standing::NoState
        | Standing::NoLeader
        | Standing::InDoubt
        | Standing::Stale
        | Standing::ClockOff
        | Standing::Stopping => {
            let shown = Shown { ready: false, because: vec![standing.to_string()] };
            reply::json(StatusCode::SERVICE_UNAVAILABLE, &shown)
        }
    }
}
