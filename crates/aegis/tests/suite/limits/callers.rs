//! Clients that call, and count what they were told: nothing else says whether a budget was overspent.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::nodes::Cluster;
use crate::support::{LONG, payment};

/// How long a client waits for an answer: a bound for broken code, since 2,000 calls at once take a slow machine their time.
const PATIENCE: Duration = LONG;

/// One client: one connection to one data node, over which any number of calls are under way.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

/// What a client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// The call may go on.
    Allowed,
    /// It is refused for this reason.
    Refused(String),
    /// The node cannot answer now, for this reason; nothing is charged.
    Unavailable(String),
    /// No answer came: it may have been charged or not.
    Nothing,
}

/// What all clients were told together.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) allowed: AtomicU64,
    pub(super) exceeded: AtomicU64,
    pub(super) unavailable: AtomicU64,
    pub(super) unanswered: AtomicU64,
    other: Mutex<Vec<String>>,
}

impl Client {
    /// Of the data node at `node`.
    pub(super) fn new(node: SocketAddr, token: &str) -> Self {
        let http = reqwest::Client::builder().tls_certs_only([]).no_proxy().http2_prior_knowledge();
        let http = http.build().expect("a client");
        Self { http, url: format!("http://{node}/v1/decide"), token: token.to_owned() }
    }

    /// The same client for another agent.
    pub(super) fn with(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Calls once.
    pub(super) async fn call(&self) -> Said {
        let call = self.http.post(&self.url).bearer_auth(&self.token).timeout(PATIENCE).json(&payment(1));
        let answer = match call.send().await {
            Ok(answer) => answer,
            // Nothing was sent, so nothing can have been charged.
            Err(error) if error.is_connect() => return Said::Unavailable("no connection".to_owned()),
            Err(_) => return Said::Nothing,
        };
        let status = answer.status();
        let Ok(body) = answer.json::<Value>().await else { return Said::Nothing };
        let code = || {
            let first = body["reasons"][0]["code"].as_str().or_else(|| body["code"].as_str());
            first.map_or_else(|| body.to_string(), str::to_owned)
        };
        match (status.as_u16(), body["outcome"].as_str()) {
            (200, Some("allow")) => Said::Allowed,
            (200, Some(_)) => Said::Refused(code()),
            (503, _) => Said::Unavailable(code()),
            _ => Said::Refused(format!("{status} {body}")),
        }
    }
}

impl Told {
    /// Counts an answer.
    pub(super) fn count(&self, said: &Said) {
        let counter = match said {
            Said::Allowed => &self.allowed,
            Said::Refused(code) if code == "BudgetExceeded" => &self.exceeded,
            Said::Unavailable(_) => &self.unavailable,
            Said::Nothing => &self.unanswered,
            Said::Refused(other) => {
                return self.other.lock().unwrap_or_else(PoisonError::into_inner).push(other.clone());
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// So many were allowed, found exceeded, answered that nobody can say now, and not answered. Every other answer is a bug.
    pub(super) fn sums(&self) -> [u64; 4] {
        let other = self.other.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(other.is_empty(), "{} strange answers, the first {:?}", other.len(), other.first());
        [&self.allowed, &self.exceeded, &self.unavailable, &self.unanswered]
            .map(|counter| counter.load(Ordering::Relaxed))
    }
}

/// So many clients, spread over all data nodes.
pub(super) fn clients(cluster: &Cluster, token: &str, count: usize) -> Vec<Client> {
    let nodes = cluster.data.iter().map(|node| node.http).cycle();
    nodes.take(count).map(|node| Client::new(node, token)).collect()
}
