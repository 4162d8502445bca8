//! The Rust SDK gets an agent's tokens by itself from a real node, and renews them while calls go on.

use std::time::{Duration, Instant};

use aegis_model::secret::Secret;
use aegis_sdk::{AgentTokens, Call, Client, NoAgentToken, Outcome};
use serde_json::json;
use tokio::task::JoinSet;

use super::{furnished, key};
use crate::nodes::Cluster;
use crate::support::LONG;
use crate::trials::runtime;

fn tokens(cluster: &Cluster, agent: &str) -> AgentTokens {
    let pem = Secret::new(key(agent).to_pkcs8_pem().expose().clone());
    let node = |at: usize| format!("http://{}", cluster.data[at].http);
    AgentTokens::builder(node(0), "test", "acme", "finance-agent")
        .endpoint(node(1))
        .scope("stripe-payments:*")
        .build(&pem)
        .expect("settings that fit")
}

fn client(cluster: &Cluster, tokens: AgentTokens) -> Client {
    let client = Client::builder(format!("http://{}", cluster.data[0].grpc));
    client.token(tokens).deadline(Duration::from_secs(10)).build().expect("settings that fit")
}

async fn is_allowed(client: &Client) -> bool {
    let call = Call::new("stripe-payments").action("create_payment").params(json!({"amount": 10}));
    matches!(client.decide(call).await.expect("an outcome"), Outcome::Allowed { .. })
}

fn given_out(cluster: &Cluster) -> usize {
    cluster.done(&["token", "list", "--tenant", "acme"])["items"].as_array().map_or(0, Vec::len)
}

#[test]
fn one_token_serves_many_calls_and_is_renewed_before_it_ends() {
    let mut cluster = furnished(1, 2);
    let runtime = runtime();
    // Clients are made where their connections live.
    let _inside = runtime.enter();
    let patient = client(&cluster, tokens(&cluster, "finance-agent"));
    runtime.block_on(async {
        let mut calls = JoinSet::new();
        for _ in 0..50 {
            let client = patient.clone();
            calls.spawn(async move { is_allowed(&client).await });
        }
        while let Some(allowed) = calls.join_next().await {
            assert!(allowed.expect("no panic"));
        }
    });
    assert_eq!(given_out(&cluster), 1, "all of them wait for one");
    // Tokens of three seconds are renewed after two of them, while every call goes on.
    cluster.done(&["agent", "set", "finance-agent", "--tenant", "acme", "--life-seconds", "3"]);
    let hasty = client(&cluster, tokens(&cluster, "finance-agent"));
    let begun = Instant::now();
    let renewed = loop {
        runtime.block_on(async {
            for _ in 0..50 {
                assert!(is_allowed(&hasty).await);
            }
        });
        let renewed = given_out(&cluster) - 1;
        if renewed >= 3 {
            break renewed;
        }
        assert!(begun.elapsed() < LONG, "{renewed} tokens in {:?}", begun.elapsed());
    };
    let most = 2 + begun.elapsed().as_secs() as usize / 2;
    assert!(renewed <= most, "{renewed} tokens in {:?}", begun.elapsed());
    // The node that is asked first for tokens ends; the other one gives the next.
    cluster.data[0].stop();
    let over_other = Client::builder(format!("http://{}", cluster.data[1].grpc));
    let over_other = over_other.token(tokens(&cluster, "finance-agent")).build().expect("settings");
    assert!(runtime.block_on(is_allowed(&over_other)));
    // Somebody else's key proves nothing, and no call goes on without a token.
    let refused = runtime.block_on(tokens(&cluster, "planner").token()).expect_err("no token");
    assert!(matches!(&refused, NoAgentToken::Refused { error, .. } if error == "invalid_grant"), "{refused}");
}
