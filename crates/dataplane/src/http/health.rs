//! `/healthz`: the process lives. `/readyz`: it takes calls.

use aegis_model::reason::ReasonCode;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode};

use super::problem::Problem;
use super::reply;
use crate::answer::Refused;
use crate::decider::PolicyStanding;
use crate::readiness::Readiness;

pub(super) fn alive() -> Response<Full<Bytes>> {
    reply::json(StatusCode::OK, Bytes::from_static(br#"{"status":"alive"}"#))
}

pub(super) fn ready(readiness: &Readiness) -> Result<Response<Full<Bytes>>, Problem> {
    if readiness.is_leaving() || readiness.is_stopping() {
        return Err(Refused::new(ReasonCode::Overloaded, "the node is stopping").into());
    }
    if let Some(trouble) = readiness.trouble() {
        return Err(Refused::new(ReasonCode::AuditUnavailable, trouble.to_string()).into());
    }
    match readiness.policies() {
        PolicyStanding::Awaiting => {
            let detail = "the node has not heard from a control node yet, or is making ready what it heard";
            return Err(Refused::new(ReasonCode::PolicyUnavailable, detail).into());
        }
        PolicyStanding::Stale => return Err(Refused::plain(ReasonCode::PolicyStale).into()),
        PolicyStanding::InForce => {}
    }
    Ok(reply::json(StatusCode::OK, Bytes::from_static(br#"{"status":"ready"}"#)))
}
