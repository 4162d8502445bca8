//! How long after a revocation was acknowledged the last decision is given on the strength of what was revoked.
//!
//! Each round revokes a token, a key or an agent at some control node, while every data node is asked again and again with the token. A
//! decision counts by the moment at which its answer was received, so that a slow machine makes the figure worse, never better.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aegis_identity::tls::client_config;
use rand::RngExt as _;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{furnished, issued, key, register};
use crate::nodes::Cluster;
use crate::support::payment;
use crate::trials::figures::{figure, quantile};
use crate::trials::{any_moment, dice, rounds, runtime};

/// What is revoked.
#[derive(Debug, Clone, Copy)]
enum What {
    Token,
    Key,
    Agent,
}

/// Until every data node refuses: a bound for broken code.
const REFUSED_WITHIN: Duration = crate::support::LONG;

#[test]
fn a_revocation_reaches_every_data_node_soon() {
    let cluster = furnished(3, 3);
    let mut dice = dice("revocation");
    let (runtime, rounds) = (runtime(), rounds(20));
    let admin = Admin::new(&cluster);
    let mut delays = Vec::new();
    for round in 0..rounds {
        let what = [What::Token, What::Key, What::Agent][dice.random_range(0..3)];
        // An agent of its own: what was revoked for one stays revoked.
        let agent = format!("agent-{round}");
        register(&cluster, &agent, "stripe-payments:*");
        let token = super::token(&cluster, dice.random_range(0..3), &agent, "r");
        let control = dice.random_range(0..3);
        any_moment(&mut dice, 200);
        let delay = runtime.block_on(round_of(&cluster, &admin, control, what, &agent, &token));
        delays.push(delay.as_secs_f64() * 1_000.0);
    }
    figure("revocation/rounds", delays.len() as f64, "rounds");
    figure("revocation/median", quantile(&delays, 0.5), "ms");
    figure("revocation/p99", quantile(&delays, 0.99), "ms");
    figure("revocation/worst", quantile(&delays, 1.0), "ms");
    // What it is on an idle machine is for the bar to say.
    assert!(quantile(&delays, 1.0) < 5_000.0, "{delays:?}");
}

/// From the acknowledgement to the last decision.
async fn round_of(
    cluster: &Cluster,
    admin: &Admin,
    control: usize,
    what: What,
    agent: &str,
    token: &str,
) -> Duration {
    let begun = Arc::new(AtomicUsize::new(0));
    let mut askers = JoinSet::new();
    for node in &cluster.data {
        askers.spawn(until_refused(
            format!("http://{}/v1/decide", node.http),
            token.to_owned(),
            Arc::clone(&begun),
        ));
    }
    // Each of them: one that is asked for the first time after the revocation only refuses.
    while begun.load(Ordering::SeqCst) < cluster.data.len() {
        if let Some(ended) = askers.try_join_next() {
            panic!("nothing was revoked yet: {ended:?}");
        }
        tokio::task::yield_now().await;
    }
    let acknowledged = admin.revoke(control, what, agent, token).await;
    let mut last = acknowledged;
    while let Some(answered) = askers.join_next().await {
        last = last.max(answered.expect("no panic"));
    }
    last - acknowledged
}

/// Asks until it is refused: when the last decision came.
async fn until_refused(url: String, token: String, begun: Arc<AtomicUsize>) -> Instant {
    let client = Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
    let deadline = Instant::now() + REFUSED_WITHIN;
    let mut last = None;
    loop {
        let answer =
            client.post(&url).bearer_auth(&token).json(&payment(10)).send().await.expect("an answer");
        let status = answer.status();
        let body: Value = answer.json().await.expect("JSON");
        let now = Instant::now();
        match status {
            StatusCode::OK => {
                assert_eq!(body["outcome"], "allow", "{body}");
                if last.replace(now).is_none() {
                    begun.fetch_add(1, Ordering::SeqCst);
                }
            }
            StatusCode::UNAUTHORIZED => {
                assert_eq!(body["code"], "TokenRevoked", "{body}");
                return last.expect("it was good before");
            }
            other => panic!("{other}: {body}"),
        }
        assert!(now < deadline, "a data node accepts what was revoked");
        tokio::task::yield_now().await;
    }
}

/// The administrator, over connections that stay open.
struct Admin {
    client: Client,
    servers: Vec<String>,
    token: String,
}

impl Admin {
    fn new(cluster: &Cluster) -> Self {
        let read = |name: &str| std::fs::read(cluster.path(name)).expect("a file");
        let tls = client_config(&read("certs/ca.pem"), None, &[b"http/1.1"]).expect("certificates");
        let client = Client::builder().no_proxy().tls_backend_preconfigured(tls).build().expect("a client");
        let servers = cluster.controls.iter().map(|node| format!("https://{}", node.http)).collect();
        let token = String::from_utf8(read("admin.token")).expect("a token").trim().to_owned();
        Self { client, servers, token }
    }

    /// Revokes: when that was acknowledged.
    async fn revoke(&self, control: usize, what: What, agent: &str, token: &str) -> Instant {
        let (kind, subject) = match what {
            What::Token => ("token", super::claims(token)["jti"].as_str().expect("an id").to_owned()),
            What::Key => ("key", key(agent).id().to_string()),
            What::Agent => ("agent", agent.to_owned()),
        };
        let url = format!("{}/admin/v1/tenants/acme/revocations", self.servers[control]);
        let body = json!({"kind": kind, "subject": subject});
        let answer =
            self.client.post(url).bearer_auth(&self.token).json(&body).send().await.expect("an answer");
        let acknowledged = Instant::now();
        assert_eq!(answer.status(), StatusCode::CREATED, "{what:?}");
        acknowledged
    }
}

/// A key that was revoked gets nothing more, and neither does an agent that was disabled.
#[test]
fn what_was_revoked_gets_nothing_more() {
    let cluster = furnished(1, 1);
    let id = key("planner").id().to_string();
    cluster.done(&["agent", "key", "revoke", &id, "--tenant", "acme"]);
    let form = format!("grant_type={}&assertion={}", super::JWT_BEARER, super::signed("planner", "p-1"));
    let answer = super::ask(cluster.data[0].http, &form);
    assert_eq!((answer.status, answer.body["error"].as_str()), (400, Some("invalid_grant")), "{answer:?}");
    cluster.done(&["agent", "disable", "finance-agent", "--tenant", "acme"]);
    let form =
        format!("grant_type={}&assertion={}", super::JWT_BEARER, super::signed("finance-agent", "p-2"));
    let answer = super::ask(cluster.data[0].http, &form);
    assert_eq!((answer.status, answer.body["error"].as_str()), (400, Some("invalid_grant")), "{answer:?}");
    cluster.done(&["agent", "enable", "finance-agent", "--tenant", "acme"]);
    let form =
        format!("grant_type={}&assertion={}", super::JWT_BEARER, super::signed("finance-agent", "p-3"));
    issued(&super::ask(cluster.data[0].http, &form));
}
