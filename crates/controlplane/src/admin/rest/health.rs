//! Whether the node is alive, and whether it can be relied on. For load balancers and people; needs no token.

use aegis_model::caps;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::reply;
use crate::admin::Admin;
use crate::state::meta;

/// `GET /healthz`: the process answers.
pub(super) async fn alive() -> Response {
    reply::with_type(StatusCode::OK, "text/plain", Body::from("alive\n"))
}

/// Whether the node can be relied on, and if not, why.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Readiness {
    /// Whether it is.
    pub(crate) ready: bool,
    /// Why not, one sentence each.
    pub(crate) because: Vec<&'static str>,
}

/// `GET /readyz`: the cluster was made, a leader is known, what is applied is fresh, and the state can be read.
pub(super) async fn ready(State(admin): State<Admin>) -> Response {
    let readiness = readiness(&admin);
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    reply::json(status, &readiness)
}

/// How the node is now.
pub(crate) fn readiness(admin: &Admin) -> Readiness {
    let mut because = Vec::new();
    match admin.control().view().and_then(|state| meta::cluster(&state)) {
        Ok(Some(_)) => {}
        Ok(None) => because.push("the cluster was not made yet, or this node has not joined it yet"),
        Err(_logged_by_the_store) => because.push("the state cannot be read"),
    }
    if admin.membership().status().leader.is_none() {
        because.push("no leader is known");
    }
    // A majority confirms a moment of log time each second: whoever has not heard one is cut off, or its clock is wrong.
    let applied_ms = admin.control().applied().borrow().log_time_ms;
    let now_ms = admin.clock().now().0 / 1_000_000;
    if now_ms.abs_diff(applied_ms) > caps::READY_LAG_SECONDS_MAX * 1_000 {
        because.push("what this node has applied is not fresh, or its clock is wrong");
    }
    Readiness { ready: because.is_empty(), because }
}
