//! Forms as browsers and Slack send them: bounded, read as bytes first, and each field once.

use std::collections::BTreeMap;
use std::time::Duration;

use aegis_model::caps;
use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Limited};
use reqwest::Url;

/// The body, bounded in size and time.
///
/// # Errors
/// The status to answer with.
pub(super) async fn body(headers: &HeaderMap, body: Body) -> Result<Bytes, StatusCode> {
    let media = only(headers, CONTENT_TYPE.as_str()).and_then(|value| value.split(';').next());
    if media.map(str::trim) != Some("application/x-www-form-urlencoded")
        || headers.contains_key(CONTENT_ENCODING)
    {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let reading = Limited::new(body, caps::FORM_BYTES_MAX).collect();
    let read = tokio::time::timeout(Duration::from_secs(caps::ADMIN_BODY_SECONDS), reading).await;
    let whole = read.map_err(|_elapsed| StatusCode::REQUEST_TIMEOUT)?;
    whole.map(|whole| whole.to_bytes()).map_err(|_too_long| StatusCode::PAYLOAD_TOO_LARGE)
}

/// The fields of a form.
///
/// # Errors
/// It is none, or one stands twice.
pub(super) fn fields(body: &[u8]) -> Result<BTreeMap<String, String>, StatusCode> {
    let bad = |_uninformative| StatusCode::BAD_REQUEST;
    let text = std::str::from_utf8(body).map_err(|_bytes| StatusCode::BAD_REQUEST)?;
    if text.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err(StatusCode::BAD_REQUEST);
    }
    // A query has the same form as the body of a form, and this is its reader (WHATWG URL).
    let mut url = Url::parse("form:/").map_err(bad)?;
    url.set_query(Some(text));
    let mut fields = BTreeMap::new();
    for (name, value) in url.query_pairs() {
        if fields.insert(name.into_owned(), value.into_owned()).is_some() {
            return Err(StatusCode::BAD_REQUEST);
        }
    }
    Ok(fields)
}

/// The value of a header that stands once.
pub(super) fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        let read = fields(b"payload=%7B%22a%22%3A%22%C3%A9+%26%23%22%7D&x=").unwrap();
        assert_eq!(read["payload"], "{\"a\":\"é &#\"}");
        assert_eq!(read["x"], "");
        for bad in [&b"a=1&a=2"[..], b"a=\xff", b"a=1 2", b"a=1\n"] {
            assert_eq!(fields(bad).unwrap_err(), StatusCode::BAD_REQUEST, "{bad:?}");
        }
    }
}
