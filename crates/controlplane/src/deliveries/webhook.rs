//! Webhooks: signed as the Standard Webhooks specification 1.0 says, with each of the channel's keys while one replaces another.

use aegis_model::clock::UnixNanos;
use aegis_model::utc::Utc;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use zeroize::Zeroizing;

use super::out::{Out, Undelivered};
use super::secrets::Secrets;
use super::story::Story;

/// What every secret begins with.
const PREFIX: &str = "whsec_";

/// How long a key may be, in bytes, as the specification wants it.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The base64 of a secret, if it has the form that the specification wants; without the prefix.
pub(super) fn read_secret(text: &str) -> Option<String> {
    let text = text.strip_prefix(PREFIX)?;
    key(text).map(|_| text.to_owned())
}

fn key(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let key = Zeroizing::new(GeneralPurpose::new(&ALPHABET, lenient).decode(text).ok()?);
    KEY_BYTES.contains(&key.len()).then_some(key)
}

/// Tells `url` how a request stands.
pub(super) async fn send(
    out: &Out,
    url: &str,
    secrets: &Secrets,
    story: &Story,
    now_seconds: u64,
) -> Result<(), Undelivered> {
    let url = out.address(url)?;
    let (id, body) = message(story);
    out.post(url, headers(secrets, &id, now_seconds, &body)?, body).await.map(|_taken| ())
}

/// Says something that asks nobody for anything.
pub(super) async fn test(
    out: &Out,
    url: &str,
    secrets: &Secrets,
    id: &str,
    now: UnixNanos,
) -> Result<(), Undelivered> {
    let url = out.address(url)?;
    let body = json!({"type": "channel.test", "timestamp": Utc(now), "data": {}});
    let body = serde_json::to_vec(&body).expect("JSON is written as JSON");
    out.post(url, headers(secrets, id, now.seconds(), &body)?, body).await.map(|_taken| ())
}

/// The id of the message, which is the same for each attempt, and its body.
fn message(story: &Story) -> (String, Vec<u8>) {
    let body = json!({
        "type": format!("approval.{}", story.state()),
        "timestamp": story.at(),
        "data": story.document(),
    });
    (story.message_id(), serde_json::to_vec(&body).expect("JSON is written as JSON"))
}

fn headers(secrets: &Secrets, id: &str, now_seconds: u64, body: &[u8]) -> Result<HeaderMap, Undelivered> {
    let mut signatures = Vec::new();
    for secret in &secrets.signing {
        let key = key(secret).ok_or_else(|| Undelivered::Own("the channel's secret is none".to_owned()))?;
        signatures.push(format!("v1,{}", signature(&key, id, now_seconds, body)));
    }
    if signatures.is_empty() {
        return Err(Undelivered::Own("the channel has no secret to sign with".to_owned()));
    }
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", now_seconds.to_string()),
        ("webhook-signature", signatures.join(" ")),
    ] {
        let value = HeaderValue::from_str(&value).map_err(|_bytes| Undelivered::Own(format!("`{name}`")))?;
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(headers)
}

fn signature(key: &[u8], id: &str, timestamp: u64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut signed = hmac::Context::with_key(&key);
    signed.update(format!("{id}.{timestamp}.").as_bytes());
    signed.update(body);
    STANDARD.encode(signed.sign())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference implementations.
    #[test]
    fn the_signature_is_that_of_the_specification() {
        let key = key(&read_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()).unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signed = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn while_a_key_replaces_another_both_sign() {
        let secrets = Secrets::webhook(vec!["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(), "A".repeat(32)]);
        let headers = headers(&secrets, "a.pending.0", 7, b"{}").unwrap();
        let signatures = headers["webhook-signature"].to_str().unwrap();
        let parts: Vec<&str> = signatures.split(' ').collect();
        assert!(parts.len() == 2 && parts[0] != parts[1] && parts.iter().all(|it| it.starts_with("v1,")));
        assert!(super::headers(&Secrets::default(), "a", 7, b"{}").is_err(), "never unsigned");
    }

    #[test]
    fn a_secret_has_one_form() {
        let long = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for good in [long(24), long(32), long(64)] {
            assert!(read_secret(&good).is_some());
            assert!(read_secret(good.trim_end_matches('=')).is_some());
        }
        for bad in [long(23), long(65), "whsec_".to_owned(), "whsec_?".to_owned(), STANDARD.encode([7; 32])] {
            assert!(read_secret(&bad).is_none(), "{bad}");
        }
    }
}
