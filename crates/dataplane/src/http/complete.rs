//! `POST /v1/complete`.

use std::net::IpAddr;

use aegis_model::completion::Completed;
use aegis_proto::http_json;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;

use super::problem::Problem;
use super::{HttpSurface, Reply, headers, reply};
use crate::answer::Refused;
use crate::case::Surface;
use crate::complete::{Teller, complete};
use crate::sensitive::CleanedResult;

/// Answers one request: reads its body, settles, writes.
pub(super) async fn answer(
    surface: &HttpSurface,
    source: IpAddr,
    head: &Parts,
    body: Incoming,
) -> Result<Reply, Problem> {
    let token = surface.token(source, Surface::Http, head).await?;
    headers::check_json(&head.headers)?;
    let _entry = surface.enter(Surface::Http)?;
    let body = surface.bodies.read(body).await?;
    let completion = http_json::read_completion(&body).map_err(|bad| {
        surface.decider.malformed(Surface::Http);
        Refused::from(bad)
    })?;
    drop(body);
    let teller = Teller {
        surface: Surface::Http,
        source,
        token,
        forwarded: false,
        trace: headers::trace_context(&head.headers),
    };
    let CleanedResult { result, redactions, withheld, receipt, .. } =
        complete(&surface.decider, teller, completion).await?;
    let completed = Completed { result, redactions, withheld, receipt };
    Ok(reply::json(StatusCode::OK, http_json::write_completed(&completed).into()))
}
