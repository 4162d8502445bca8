//! Agents that ask data nodes without pause, and look at every answer: it must be one, of one version as a whole (WALK-1),
//! and of no older activation than the answer before it (POL-2).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;

use crate::nodes::Cluster;
use crate::support::payment;

/// How long an agent waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pause between two calls.
const PAUSE: Duration = Duration::from_millis(5);

/// Whether a version allows what the agents ask for.
pub(super) type Allows = fn(u64) -> bool;

/// Agents at work.
pub(super) struct Agents {
    seen: Arc<Seen>,
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    over: AtomicBool,
    answered: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

impl Agents {
    /// Two agents at every data node, which ask for a payment of `amount`; within a runtime.
    pub(super) fn start(cluster: &Cluster, token: &str, amount: u32, allows: Allows) -> Self {
        let seen = Arc::new(Seen::default());
        let mut tasks = JoinSet::new();
        let http = reqwest::Client::builder().tls_certs_only([]).no_proxy().build().expect("a client");
        for node in cluster.data.iter().chain(&cluster.data) {
            let agent =
                Agent { http: http.clone(), node: node.http, token: token.to_owned(), amount, allows };
            let seen = Arc::clone(&seen);
            tasks.spawn(async move {
                let mut activation = 0;
                while !seen.over.load(Ordering::Relaxed) {
                    match agent.ask(activation).await {
                        Ok(newer) => {
                            activation = newer;
                            seen.answered.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(wrong) => lock(&seen.wrong).push(wrong),
                    }
                    // expect(sleep): an agent that asks without pause would take the processors from the nodes.
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        Self { seen, tasks }
    }

    /// Stops them: how many answers they got, all of them right.
    pub(super) async fn end(mut self) -> u64 {
        self.seen.over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("an agent that went on to the end");
        }
        let wrong = std::mem::take(&mut *lock(&self.seen.wrong));
        let answered = self.seen.answered.load(Ordering::Relaxed);
        assert!(wrong.is_empty(), "{} wrong answers beside {answered} right ones: {wrong:#?}", wrong.len());
        assert!(answered > 0, "nobody was answered");
        answered
    }
}

struct Agent {
    http: reqwest::Client,
    node: SocketAddr,
    token: String,
    amount: u32,
    allows: Allows,
}

impl Agent {
    /// Asks once; the activation that answered.
    async fn ask(&self, before: u64) -> Result<u64, String> {
        let url = format!("http://{}/v1/decide", self.node);
        let asked =
            self.http.post(url).bearer_auth(&self.token).timeout(PATIENCE).json(&payment(self.amount));
        let answer = asked.send().await.map_err(|error| format!("{}: {error:?}", self.node))?;
        let status = answer.status();
        let body: Value = answer.json().await.map_err(|error| format!("{}: {error:?}", self.node))?;
        let told = || format!("{}: {status} {body}", self.node);
        let (Some(version), Some(activation)) =
            (number(&body["policy"]["version"]), number(&body["policy"]["activation"]))
        else {
            return Err(told());
        };
        let outcome = if (self.allows)(version) { "allow" } else { "deny" };
        if !status.is_success() || body["outcome"] != outcome {
            return Err(told());
        }
        if activation < before {
            return Err(format!("{} after activation {before}", told()));
        }
        Ok(activation)
    }
}

/// A 64-bit number is text in JSON, where it may be too large for one.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
