//! `POST /v1/decide`.

use std::net::IpAddr;

use aegis_proto::http_json;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;

use super::problem::Problem;
use super::{HttpSurface, Reply, headers, reply};
use crate::answer::{Answer, Refused};
use crate::case::Surface;
use crate::decider::{Decider, Entry};
use crate::waiting::walk_and_wait;
use crate::walk::walk;

/// Answers one request: reads its body, walks, writes.
pub(super) async fn answer(
    surface: &HttpSurface,
    source: IpAddr,
    head: &Parts,
    body: Incoming,
) -> Result<Reply, Problem> {
    let token = surface.token(source, Surface::Http, head).await?;
    headers::check_json(&head.headers)?;
    let entry = surface.enter(Surface::Http)?.traced(headers::trace_context(&head.headers));
    let body = surface.bodies.read(body).await?;
    let call = http_json::read_call(&body).map_err(|bad| {
        surface.decider.malformed(Surface::Http);
        Refused::from(bad)
    })?;
    drop(body);
    match walk_and_wait(&surface.decider, entry, Surface::Http, source, token, call).await {
        Answer::Decided(decision) => {
            Ok(reply::json(StatusCode::OK, http_json::write_decision(&decision).into()))
        }
        Answer::Refused(refused) => Err(refused.into()),
    }
}

/// The whole way of one call that waits for nobody, without its sockets: the body of a request in, the body of a 200 answer out.
///
/// # Errors
/// Why there is no decision.
pub async fn decide(
    decider: &Decider,
    entry: &Entry,
    source: IpAddr,
    token: &str,
    body: &[u8],
) -> Result<Vec<u8>, Refused> {
    let call = http_json::read_call(body).inspect_err(|_| decider.malformed(Surface::Http))?;
    match walk(decider, decider.receive(entry, Surface::Http, source, token, None, call)).await {
        Answer::Decided(decision) => Ok(http_json::write_decision(&decision)),
        Answer::Refused(refused) => Err(refused),
    }
}

impl HttpSurface {
    /// The token of a request. A request without one is turned away before its body is read.
    pub(super) async fn token<'h>(
        &self,
        source: IpAddr,
        surface: Surface,
        head: &'h Parts,
    ) -> Result<&'h str, Problem> {
        match headers::bearer(&head.headers) {
            Ok(token) => Ok(token),
            Err(problem) => Err(self.decider.turn_away(source, surface, problem.refused).await.into()),
        }
    }

    /// Room for one call.
    pub(super) fn enter(&self, surface: Surface) -> Result<Entry, Problem> {
        self.decider.enter(surface).map_err(Problem::from)
    }
}

/// The body of an answer.
pub(super) fn body<T: serde::Serialize>(document: &T) -> Bytes {
    serde_json::to_vec(document).expect("an answer has text keys only, so it is written").into()
}
