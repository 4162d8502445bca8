//! Problems as HTTP answers: RFC 9457 documents.

use aegis_model::caps;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use super::reply;
use crate::admin::Problem;
use crate::admin::problem::status;
use crate::command::Code;

/// The media type of a problem document.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = status::http(self.code);
        let document = serde_json::to_vec(&self.document())
            .expect("a problem document has text keys only, so it is written");
        let mut response = reply::with_type(status, PROBLEM_JSON, Body::from(document));
        response.extensions_mut().insert(self.code);
        let headers = response.headers_mut();
        if self.code == Code::Unauthenticated.into() {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer realm="aegis-admin""#));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from(caps::RETRY_AFTER_MS.div_ceil(1_000)));
        }
        response
    }
}
