//! Answers as HTTP responses.

use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use super::head::{IDEMPOTENCY_REPLAYED, REQUEST_ID};
use crate::admin::Problem;
use crate::admin::caller::Caller;

/// What a handler gives.
pub(super) type Answer = Result<Response, Problem>;

/// An answer of this type.
pub(super) fn with_type(status: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// What was asked for.
pub(super) fn ok(document: &impl Serialize) -> Answer {
    Ok(json(StatusCode::OK, document))
}

/// What was asked for, and what `If-Match` has to say for it to be changed as it is now.
pub(super) fn tagged(document: &impl Serialize, revision: u64) -> Answer {
    Ok(with_tag(json(StatusCode::OK, document), revision))
}

/// What a write gave.
pub(super) fn done(caller: &Caller, document: &impl Serialize) -> Answer {
    Ok(noted(json(StatusCode::OK, document), caller))
}

/// What a write made anew.
pub(super) fn created(caller: &Caller, document: &impl Serialize) -> Answer {
    Ok(noted(json(StatusCode::CREATED, document), caller))
}

/// The same with the tag of its revision.
pub(super) fn with_tag(mut response: Response, revision: u64) -> Response {
    let tag = HeaderValue::from_str(&format!("\"{revision}\"")).expect("digits in quotes are header text");
    response.headers_mut().insert(ETAG, tag);
    response
}

/// Says whether the answer is an earlier one.
pub(super) fn noted(mut response: Response, caller: &Caller) -> Response {
    if caller.replayed() {
        response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// What holds for every answer.
pub(super) fn finish(mut response: Response, request_id: Option<HeaderValue>) -> Response {
    let headers = response.headers_mut();
    // Answers hold tokens, and are of the moment.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(request_id) = request_id {
        headers.insert(REQUEST_ID, request_id);
    }
    response
}

pub(super) fn json(status: StatusCode, document: &impl Serialize) -> Response {
    let body = serde_json::to_vec(document).expect("an answer has text keys only, so it is written");
    with_type(status, "application/json", Body::from(body))
}
