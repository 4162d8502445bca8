//! `GET /v1/approvals/{id}`: how a request for approval stands, for the agent whose call it is about. `Prefer: wait=SECONDS`
//! (RFC 7240) waits for people.

use std::net::IpAddr;

use aegis_model::caps;
use aegis_model::decision::Approval;
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode};
use serde::Serialize;

use super::decide::body;
use super::problem::Problem;
use super::{APPROVALS_PATH, HttpSurface, Reply, reply};
use crate::approvals::status;
use crate::case::Surface;

/// The document.
#[derive(Serialize)]
struct Document<'a> {
    approval: &'a Approval,
    state: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    override_token: Option<&'a str>,
}

/// Answers one request.
pub(super) async fn answer(surface: &HttpSurface, source: IpAddr, head: &Parts) -> Result<Reply, Problem> {
    let token = surface.token(source, Surface::Http, head).await?;
    let id = head.uri.path().strip_prefix(APPROVALS_PATH).unwrap_or_default();
    if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        return Err(Problem::not_found());
    }
    let wait_ms = wait_ms(&head.headers);
    let found = status(&surface.decider, Surface::Http, source, token, id, wait_ms).await?;
    let document = Document {
        approval: &found.approval,
        state: &found.state,
        override_token: found.override_token.as_ref().map(|token| token.expose().as_str()),
    };
    Ok(reply::json(StatusCode::OK, body(&document)))
}

/// What `Prefer: wait=SECONDS` says; a preference that nobody understands is none.
fn wait_ms(headers: &HeaderMap) -> u32 {
    let mut preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let seconds = preferences.find_map(|value| {
        value.split(',').find_map(|one| one.trim().strip_prefix("wait=")?.trim().parse::<u32>().ok())
    });
    seconds.unwrap_or_default().saturating_mul(1_000).min(caps::APPROVAL_WAIT_MS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preference_is_in_seconds_and_bounded() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", value.parse().unwrap());
            wait_ms(&headers)
        };
        assert_eq!(of("wait=10"), 10_000);
        assert_eq!(of("respond-async, wait=3"), 3_000);
        assert_eq!(of("wait=4294967295"), caps::APPROVAL_WAIT_MS_MAX);
        assert_eq!(of("wait=soon"), 0);
        assert_eq!(wait_ms(&HeaderMap::new()), 0);
    }
}
