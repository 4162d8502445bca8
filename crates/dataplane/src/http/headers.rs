//! What a request's head may say. A field that stands twice, or that two readers may read differently, is refused.

use aegis_model::caps;
use aegis_model::reason::ReasonCode;
use aegis_model::trace::TraceContext;
use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::http::request::Parts;

use super::problem::Problem;
use crate::answer::Refused;

/// The id that a client gave its request; it stands in the answer again.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");

/// The value of a field that may stand once.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h HeaderValue>, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(Problem::malformed(
            StatusCode::BAD_REQUEST,
            format!("the header `{name}` stands more than once"),
        )),
    }
}

/// The token of `Authorization: Bearer`.
///
/// Refuses for: two such headers (400), none or another scheme (401).
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let unproven = |detail: &str| Problem::from(Refused::new(ReasonCode::Unauthenticated, detail));
    let value =
        single(headers, &AUTHORIZATION)?.ok_or_else(|| unproven("there is no `Authorization` header"))?;
    token_of(value.as_bytes()).ok_or_else(|| unproven("the `Authorization` header holds no bearer token"))
}

/// The token in the value of an `Authorization` header: `Bearer`, in any case, one space, visible ASCII.
pub(crate) fn token_of(value: &[u8]) -> Option<&str> {
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    let named = scheme.eq_ignore_ascii_case(b"Bearer ");
    let visible = !token.is_empty() && token.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(token).ok().filter(|_| named && visible)
}

/// What the caller says of its trace; nothing if that is not well-formed, or stands twice.
pub(crate) fn trace_context(headers: &HeaderMap) -> Option<TraceContext> {
    let parent = single(headers, &TRACE_PARENT).ok()??.to_str().ok()?;
    let states = headers.get_all(&TRACE_STATE).iter().filter_map(|state| state.to_str().ok());
    TraceContext::read(parent, &states.collect::<Vec<_>>().join(",")).ok()
}

/// Refuses a body that is not plain JSON (415).
pub(super) fn check_json(headers: &HeaderMap) -> Result<(), Problem> {
    let unsupported = |detail: &str| Problem::malformed(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail);
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(unsupported("the body has to be sent without `Content-Encoding`"));
    }
    let value = single(headers, &CONTENT_TYPE)?.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (media, parameter) = value.split_once(';').unwrap_or((value, ""));
    let parameter = parameter.trim();
    let plain = parameter.is_empty() || parameter.eq_ignore_ascii_case("charset=utf-8");
    if media.trim().eq_ignore_ascii_case("application/json") && plain {
        return Ok(());
    }
    Err(unsupported("the `Content-Type` has to be `application/json`"))
}

/// The client's `X-Request-ID`, if it is one line of visible ASCII.
pub(super) fn request_id(headers: &HeaderMap) -> Result<Option<HeaderValue>, Problem> {
    let Some(value) = single(headers, &REQUEST_ID)? else { return Ok(None) };
    let sound = (1..=caps::REQUEST_ID_BYTES_MAX).contains(&value.len())
        && value.as_bytes().iter().all(u8::is_ascii_graphic);
    if sound {
        return Ok(Some(value.clone()));
    }
    let detail = format!("`X-Request-ID` has 1 to {} visible ASCII characters", caps::REQUEST_ID_BYTES_MAX);
    Err(Problem::malformed(StatusCode::BAD_REQUEST, detail))
}

/// Refuses a target that two readers may take for different things: a host that differs from the `Host` header, or a
/// query, which nothing here reads.
pub(super) fn check_target(head: &Parts) -> Result<(), Problem> {
    let ambiguous = |detail: &str| Problem::malformed(StatusCode::BAD_REQUEST, detail);
    let host = single(&head.headers, &HOST)?;
    if let (Some(authority), Some(host)) = (head.uri.authority(), host)
        && !authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes())
    {
        return Err(ambiguous("the target and the `Host` header name different hosts"));
    }
    if head.uri.query().is_some() {
        return Err(ambiguous("no path here takes a query"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_has_one_spelling() {
        assert_eq!(token_of(b"Bearer abc.def"), Some("abc.def"));
        assert_eq!(token_of(b"bearer abc"), Some("abc"));
        for value in
            ["", "Bearer", "Bearer ", "Bearer  a", "Bearer a b", "Basic abc", "Bearer\tabc", "Bearer a\u{e9}"]
        {
            assert_eq!(token_of(value.as_bytes()), None, "{value:?}");
        }
    }

    #[test]
    fn json_is_the_only_content() {
        let accepted = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, value.parse().unwrap());
            check_json(&headers).is_ok()
        };
        assert!(accepted("application/json") && accepted("Application/JSON; charset=UTF-8"));
        for value in
            ["text/json", "application/json; charset=latin1", "application/json5", "application/json, a/b"]
        {
            assert!(!accepted(value), "{value}");
        }
        assert!(check_json(&HeaderMap::new()).is_err(), "nothing is guessed");
    }
}
