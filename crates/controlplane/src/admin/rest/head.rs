//! What a request's head may say. A field that stands twice, or that two readers may read differently, is refused.

use aegis_model::caps;
use axum::extract::Request;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName, IF_MATCH};
use http::{HeaderMap, HeaderValue};

use crate::admin::Problem;
use crate::admin::caller;
use crate::admin::problem::ApiCode;

/// The id that a client gave its request; it stands in the answer again.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// How a write is known again when it is repeated.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Whether the answer is an earlier one, given again.
pub(super) const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Checks what holds for every request: its target and its id.
pub(super) fn check(request: Request) -> Result<(Request, Option<HeaderValue>), Problem> {
    let host = single(request.headers(), &HOST)?;
    if let (Some(authority), Some(host)) = (request.uri().authority(), host)
        && !authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes())
    {
        return Err(malformed("the target and the `Host` header name different hosts"));
    }
    let request_id = request_id(request.headers())?;
    Ok((request, request_id))
}

/// The token of `Authorization: Bearer`.
pub(super) fn token(headers: &HeaderMap) -> Result<&str, Problem> {
    let value = single(headers, &AUTHORIZATION)?;
    let value = value.ok_or_else(|| caller::no_token("there is no `Authorization` header"))?;
    let token = caller::bearer(value.as_bytes());
    token.ok_or_else(|| caller::no_token("the `Authorization` header holds no bearer token"))
}

/// The idempotency key, if there is one.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = single(headers, &IDEMPOTENCY_KEY)? else { return Ok(None) };
    caller::idempotency_key(value.to_str().unwrap_or_default()).map(Some)
}

/// What `If-Match` demands: one number in quotes, as `ETag` gives it.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = single(headers, &IF_MATCH)? else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let number = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let plain = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.filter(plain).and_then(|text| text.parse().ok());
    let form = "`If-Match` has to be one number in quotes, as `ETag` gives it";
    number.map(Some).ok_or_else(|| malformed(form))
}

/// The media type of the body, in lower case and without parameters; refused where the body is encoded.
pub(super) fn content_type(headers: &HeaderMap) -> Result<String, Problem> {
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(unsupported("the body has to be sent without `Content-Encoding`"));
    }
    let value = single(headers, &CONTENT_TYPE)?.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (media, parameter) = value.split_once(';').unwrap_or((value, ""));
    let parameter = parameter.trim();
    if !parameter.is_empty() && !parameter.eq_ignore_ascii_case("charset=utf-8") {
        return Err(unsupported("the `Content-Type` has a parameter that is not read here"));
    }
    Ok(media.trim().to_ascii_lowercase())
}

/// Refuses a body that is not plain JSON.
pub(super) fn check_json(headers: &HeaderMap) -> Result<(), Problem> {
    match content_type(headers)?.as_str() {
        "application/json" => Ok(()),
        _ => Err(unsupported("the `Content-Type` has to be `application/json`")),
    }
}

pub(super) fn unsupported(detail: &str) -> Problem {
    Problem::new(ApiCode::UnsupportedMediaType, detail)
}

pub(super) fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(ApiCode::Malformed, detail)
}

/// The value of a field that may stand once.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h HeaderValue>, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(malformed(format!("the header `{name}` stands more than once"))),
    }
}

fn request_id(headers: &HeaderMap) -> Result<Option<HeaderValue>, Problem> {
    let Some(value) = single(headers, &REQUEST_ID)? else { return Ok(None) };
    let sound = (1..=caps::REQUEST_ID_BYTES_MAX).contains(&value.len())
        && value.as_bytes().iter().all(u8::is_ascii_graphic);
    if sound {
        return Ok(Some(value.clone()));
    }
    let max = caps::REQUEST_ID_BYTES_MAX;
    Err(malformed(format!("`X-Request-ID` has 1 to {max} visible ASCII characters")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_precondition_is_one_number_in_quotes() {
        assert_eq!(if_match(&headers(&IF_MATCH, &["\"417\""])).unwrap(), Some(417));
        assert_eq!(if_match(&HeaderMap::new()).unwrap(), None);
        for value in ["417", "*", "W/\"417\"", "\"417\", \"418\"", "\"\"", "\"-1\"", "\"+1\""] {
            assert!(if_match(&headers(&IF_MATCH, &[value])).is_err(), "{value}");
        }
        assert!(if_match(&headers(&IF_MATCH, &["\"1\"", "\"2\""])).is_err());
    }

    #[test]
    fn a_token_stands_once_and_in_one_form() {
        assert_eq!(token(&headers(&AUTHORIZATION, &["Bearer abc"])).unwrap(), "abc");
        for values in [&["Basic abc"][..], &["Bearer a b"], &["Bearer a", "Bearer a"], &["abc"], &[]] {
            assert!(token(&headers(&AUTHORIZATION, values)).is_err(), "{values:?}");
        }
    }

    #[test]
    fn json_is_said_to_be_json() {
        assert!(check_json(&headers(&CONTENT_TYPE, &["application/json; charset=UTF-8"])).is_ok());
        for value in ["text/json", "application/json; charset=latin1", "application/json5"] {
            assert!(check_json(&headers(&CONTENT_TYPE, &[value])).is_err(), "{value}");
        }
        assert!(check_json(&HeaderMap::new()).is_err());
    }
}
