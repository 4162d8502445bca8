//! HTTP/2 in the clear: `POST /v1/decide` of a node, and the data API of a stock OPA.

use std::sync::Arc;

use aegis_model::decision::Outcome;
use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Ask;
use crate::bounds;
use crate::calls::Calls;
use crate::pump::Link;
use crate::tally::Failure;

/// One connection.
pub struct HttpLink {
    calls: Arc<Calls>,
    bodies: Vec<Bytes>,
    api: Api,
    uri: String,
    authorization: String,
    sender: SendRequest<Full<Bytes>>,
    _connection: JoinSet<()>,
}

/// Whose API is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Api {
    Node,
    Opa,
}

/// The part of an answer that is checked.
#[derive(Deserialize)]
struct Verdict {
    outcome: Outcome,
}

/// What OPA wraps it in.
#[derive(Deserialize)]
struct OpaAnswer {
    result: Verdict,
}

impl HttpLink {
    /// Connects to a node.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn node(ask: &Ask) -> anyhow::Result<Self> {
        let uri = format!("http://{}/v1/decide", ask.address);
        Self::connect(ask, Api::Node, uri, ask.calls.bodies()).await
    }

    /// Connects to a stock OPA. Its built-ins fail loudly there, as they do in a node (POL-1).
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn opa(ask: &Ask) -> anyhow::Result<Self> {
        let uri = format!("http://{}/v1/data/aegis/verdict?strict-builtin-errors=true", ask.address);
        Self::connect(ask, Api::Opa, uri, ask.calls.inputs()).await
    }

    async fn connect(ask: &Ask, api: Api, uri: String, bodies: Vec<Bytes>) -> anyhow::Result<Self> {
        let connecting = || format!("connecting to {}", ask.address);
        let stream = TcpStream::connect(ask.address).await.with_context(connecting)?;
        stream.set_nodelay(true)?;
        let shaken = Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.with_context(connecting)?;
        let mut task = JoinSet::new();
        // How it ends shows in the calls.
        task.spawn(async move { drop(connection.await) });
        let authorization = format!("Bearer {}", ask.token);
        let calls = Arc::clone(&ask.calls);
        Ok(Self { calls, bodies, api, uri, authorization, sender, _connection: task })
    }

    fn request(&self, number: u64) -> Result<Request<Full<Bytes>>, http::Error> {
        let body = self.bodies[self.calls.turn(number)].clone();
        let request = Request::builder().method(Method::POST).uri(&self.uri);
        let request = request.header("content-type", "application/json");
        // OPA asks for no token here; the bytes travel all the same.
        request.header("authorization", &self.authorization).body(Full::new(body))
    }
}

impl Link for HttpLink {
    async fn call(&self, number: u64) -> Result<&'static str, Failure> {
        let request = self.request(number).map_err(|error| Failure(error.to_string()))?;
        let mut sender = self.sender.clone();
        let response = sender.send_request(request).await.map_err(|error| Failure(error.to_string()))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), bounds::ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| Failure(error.to_string()))?.to_bytes();
        if status != StatusCode::OK {
            return Err(Failure(format!("HTTP {status}")));
        }
        let outcome = self.api.outcome(&body).map_err(|error| Failure(format!("the answer: {error}")))?;
        self.calls.check(number, outcome)
    }
}

impl Api {
    fn outcome(self, body: &[u8]) -> serde_json::Result<Outcome> {
        Ok(match self {
            Self::Node => serde_json::from_slice::<Verdict>(body)?.outcome,
            Self::Opa => serde_json::from_slice::<OpaAnswer>(body)?.result.outcome,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_api_has_its_own_form() {
        let node = br#"{"decision_id": "d", "outcome": "approval_required", "reasons": []}"#;
        let opa = br#"{"decision_id": "d", "result": {"outcome": "deny", "rules": []}}"#;
        assert_eq!(Api::Node.outcome(node).unwrap(), Outcome::ApprovalRequired);
        assert_eq!(Api::Opa.outcome(opa).unwrap(), Outcome::Deny);
        // OPA answers `{}` where the rule is undefined.
        assert!(Api::Opa.outcome(b"{}").is_err() && Api::Node.outcome(opa).is_err());
    }
}
