//! One request for a token, over the connections that calls use as well.

use std::time::Duration;

use aegis_model::secret::Secret;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use serde::Deserialize;
use tonic::transport::Channel;
use tower::{Service, ServiceExt};

use super::flight::Fetched;
use super::{NoAgentToken, Shared};

/// Longer than any answer.
const ANSWER_BYTES_MAX: usize = 64 << 10;

#[derive(Deserialize)]
struct Issued {
    access_token: String,
    token_type: String,
    expires_in: u64,
}

#[derive(Deserialize)]
struct NotIssued {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl Shared {
    /// Asks one node after the other, each with an assertion of its own: one that arrived somewhere counts no second time.
    pub(super) async fn fetch(&self) -> Result<Fetched, NoAgentToken> {
        let mut last = NoAgentToken::Unavailable("there is no node to ask".to_owned());
        for node in &self.nodes {
            let asked = tokio::time::timeout(self.within, self.ask(node.clone())).await;
            last = match asked {
                Ok(Ok(fetched)) => return Ok(fetched),
                Ok(Err(refused @ (NoAgentToken::Refused { .. } | NoAgentToken::Answer(_)))) => {
                    return Err(refused);
                }
                Ok(Err(unavailable)) => unavailable,
                Err(_late) => NoAgentToken::Unavailable("it did not answer in time".to_owned()),
            };
        }
        Err(last)
    }

    async fn ask(&self, mut node: Channel) -> Result<Fetched, NoAgentToken> {
        let unavailable = |error: &dyn std::error::Error| NoAgentToken::Unavailable(error.to_string());
        let form = format!(
            "grant_type={}&assertion={}&scope={}",
            escaped("urn:ietf:params:oauth:grant-type:jwt-bearer"),
            self.signer.sign().expose(),
            escaped(&self.scope),
        );
        let request = Request::builder()
            .method(Method::POST)
            .uri("/v1/token")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(tonic::body::Body::new(Full::new(Bytes::from(form))))
            .map_err(|error| unavailable(&error))?;
        let node = node.ready().await.map_err(|error| unavailable(&error))?;
        let answer = node.call(request).await.map_err(|error| unavailable(&error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|_broken| NoAgentToken::Unavailable("the answer broke off".to_owned()))?;
        read(status, &body.to_bytes())
    }
}

fn read(status: StatusCode, body: &[u8]) -> Result<Fetched, NoAgentToken> {
    if status == StatusCode::OK {
        let issued: Issued =
            serde_json::from_slice(body).map_err(|_withheld| NoAgentToken::Answer("it is no token"))?;
        if !issued.token_type.eq_ignore_ascii_case("Bearer") || issued.expires_in == 0 {
            return Err(NoAgentToken::Answer("the token is of another kind, or has ended"));
        }
        return Ok(Fetched {
            token: Secret::new(issued.access_token),
            life: Duration::from_secs(issued.expires_in),
        });
    }
    let told: Option<NotIssued> = serde_json::from_slice(body).ok();
    let refused = matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED);
    match told {
        Some(NotIssued { error, error_description }) if refused => {
            Err(NoAgentToken::Refused { error, description: error_description })
        }
        Some(NotIssued { error, .. }) => Err(NoAgentToken::Unavailable(format!("{status}: {error}"))),
        None => Err(NoAgentToken::Unavailable(status.to_string())),
    }
}

/// A value of a form.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
