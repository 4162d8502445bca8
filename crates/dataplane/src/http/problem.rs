//! RFC 9457 problem documents: every answer that is not the one asked for.

use aegis_model::reason::ReasonCode;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONNECTION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Method, Response, StatusCode};
use serde::Serialize;

use super::reply;
use crate::answer::{Refused, Standing};

/// A problem, ready to be sent. Holds no value of the call.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) refused: Refused,
    allow: Option<&'static [Method]>,
    /// Whether the client's connection is closed: what it still sends is not read.
    close: bool,
}

/// The document.
#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: ReasonCode,
    detail: &'a str,
    next: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl Problem {
    /// A malformed request with a status of its own.
    pub(crate) fn malformed(status: StatusCode, detail: impl Into<String>) -> Self {
        let refused = Refused::new(ReasonCode::InvalidRequest, detail);
        Self { status, refused, allow: None, close: false }
    }

    /// 404.
    pub(crate) fn not_found() -> Self {
        Self::malformed(StatusCode::NOT_FOUND, "nothing is served at this path")
    }

    /// 405, with the methods that are permitted.
    pub(crate) fn method(allow: &'static [Method]) -> Self {
        let problem = Self::malformed(StatusCode::METHOD_NOT_ALLOWED, "the path does not take this method");
        Self { allow: Some(allow), ..problem }
    }

    /// The same, and the connection is closed.
    pub(crate) fn closing(self) -> Self {
        Self { close: true, ..self }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let status = match refused.standing() {
            Standing::Unproven => StatusCode::UNAUTHORIZED,
            Standing::Foreign | Standing::Decision => StatusCode::FORBIDDEN,
            Standing::Malformed => StatusCode::BAD_REQUEST,
            Standing::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self { status, refused, allow: None, close: false }
    }
}

impl From<Problem> for Response<Full<Bytes>> {
    fn from(problem: Problem) -> Self {
        let Problem { status, refused, allow, close } = problem;
        let document = Document {
            r#type: format!("urn:aegis:reason:{}", refused.code),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code: refused.code,
            detail: &refused.detail,
            next: refused.code.next_step(),
            path: &refused.path,
            retry_after_ms: refused.retry_after_ms(),
        };
        let body = serde_json::to_vec(&document).expect("a problem has text keys only, so it is written");
        let mut response = reply::with_type(status, "application/problem+json", body.into());
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge(refused.code)));
        }
        if let Some(ms) = refused.retry_after_ms() {
            headers.insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000)));
        }
        if let Some(methods) = allow {
            let list = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
            headers.insert(ALLOW, HeaderValue::from_str(&list).expect("method names are header text"));
        }
        if close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// The challenge of RFC 6750.
fn challenge(code: ReasonCode) -> &'static str {
    match code {
        ReasonCode::TokenExpired => {
            r#"Bearer realm="aegis", error="invalid_token", error_description="the token's time is over""#
        }
        ReasonCode::TokenRevoked => {
            r#"Bearer realm="aegis", error="invalid_token", error_description="the token was revoked""#
        }
        _ => r#"Bearer realm="aegis""#,
    }
}
