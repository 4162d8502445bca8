//! Many clients redeem one override token at three data nodes at once while the leader is killed: exactly one is let through
//! (APR-1).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aegis_testkit::eventually;
use serde_json::Value;
use tokio::task::JoinSet;

use super::{ask, cluster, with_token};
use crate::support::{LONG, get_with_token, payment};
use crate::trials::figures::figure;
use crate::trials::{any_moment, dice, number, rounds, runtime};

/// How long a client waits for an answer, and how long a whole round may take: a bound for broken code.
const PATIENCE: Duration = Duration::from_secs(120);

/// Pause of a client that is told to try again.
const PAUSE: Duration = Duration::from_millis(200);

#[test]
fn apr_1_of_all_who_redeem_a_token_one_is_let_through_though_the_leader_is_killed() {
    let mut dice = dice("redemptions");
    let mut cluster = cluster();
    let (runtime, rounds) = (runtime(), rounds(20));
    let clients = number("AEGIS_FAULTS_CLIENTS", 90);
    let mut redeemed = 0;
    for round in 1..=rounds {
        let name = format!("agent-{round}");
        cluster.done(&["agent", "create", &name, "--tenant", "acme"]);
        let agent = cluster.token(&name);
        // The leader was killed in the round before: a node that finds none yet asks nobody.
        let asked =
            || Some(ask(&cluster, 0, &agent, &payment(50_000))).filter(|it| it.body["approval"].is_object());
        let asked = eventually("a node that finds a control node", LONG, asked).expect("it asks");
        let id = asked.body["approval"]["id"].as_str().unwrap_or_else(|| panic!("{asked:?}")).to_owned();
        cluster.done(&["approvals", "approve", &id, "--tenant", "acme"]);
        let path = format!("/v1/approvals/{id}");
        // The control node that the data node asks may be a moment behind.
        let token = eventually("the override token", LONG, || {
            let told = get_with_token(cluster.data[0].http, &path, &agent);
            told.body["override_token"].as_str().map(str::to_owned)
        });
        let token = token.expect("a token");

        let leader = cluster.leader();
        let (allowed, mut tasks) = (Arc::<AtomicU64>::default(), JoinSet::new());
        {
            let _within = runtime.enter();
            for client in 0..clients {
                let node = cluster.data[usize::try_from(client).unwrap_or_default() % 3].http;
                let client =
                    Client { url: format!("http://{node}/v1/decide"), agent: agent.clone(), http: http() };
                let (call, allowed) = (with_token(50_000, &token), Arc::clone(&allowed));
                tasks.spawn(async move { client.redeem(&call, &allowed).await });
            }
        }
        any_moment(&mut dice, 150);
        cluster.controls[leader].kill();
        any_moment(&mut dice, 500);
        cluster.start_control(leader);
        runtime.block_on(async {
            while let Some(ended) = tasks.join_next().await {
                ended.expect("a client that went on to the end");
            }
        });
        assert_eq!(allowed.load(Ordering::Relaxed), 1, "round {round}");
        redeemed += 1;
        cluster.controls[leader].until_ready();
    }
    figure("redemptions/rounds", f64::from(u32::try_from(redeemed).unwrap_or(u32::MAX)), "");
    figure("redemptions/clients", clients as f64, "");
    // Another count ended the test above.
    figure("redemptions/let_through_each", 1.0, "");
}

/// One client.
struct Client {
    http: reqwest::Client,
    url: String,
    agent: String,
}

fn http() -> reqwest::Client {
    let http = reqwest::Client::builder().tls_certs_only([]).no_proxy().http2_prior_knowledge();
    http.build().expect("a client")
}

impl Client {
    /// Presents the token until it is told for good whether it may go on.
    async fn redeem(&self, call: &Value, allowed: &AtomicU64) {
        let whole = tokio::time::timeout(PATIENCE, async {
            loop {
                let asked = self.http.post(&self.url).bearer_auth(&self.agent).json(call).timeout(PATIENCE);
                let answer = asked.send().await.expect("data nodes are not killed");
                let status = answer.status().as_u16();
                let body: Value = answer.json().await.expect("an answer");
                match (status, body["outcome"].as_str(), body["reasons"][0]["code"].as_str()) {
                    (200, Some("allow"), _) => {
                        allowed.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                    (200, Some("deny"), Some("OverrideUsed")) => return,
                    // Nobody can say for now; nothing was released.
                    (503, ..) => {
                        // expect(sleep): nothing tells a client when the control plane answers again.
                        tokio::time::sleep(PAUSE).await;
                    }
                    _ => panic!("{status} {body}"),
                }
            }
        });
        whole.await.expect("an answer for good");
    }
}
