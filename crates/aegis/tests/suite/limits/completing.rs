//! What became of a call may be told to any data node: the one that decided takes it, once.

use aegis_testkit::eventually;
use serde_json::{Value, json};

use super::{agent, enforce};
use crate::nodes::Cluster;
use crate::support::{Answer, LONG, decide, payment, post};

/// 9 of 10 a call until it is known what the call cost.
const POLICY: &str = "
agents: ['agent-*']
daily_budget: 10
cost: {value: 9, unit: usd}
allowed_tools: [{name: stripe-payments}]
";

fn complete(cluster: &Cluster, at: usize, token: &str, completion: &Value) -> Answer {
    post(cluster.data[at].http, "/v1/complete", token, completion)
}

#[test]
fn any_node_takes_a_completion_and_it_counts_once() {
    let mut cluster = Cluster::running(1, 3);
    enforce(&cluster, POLICY);
    let token = agent(&cluster, "agent-1");
    let mint = ["token", "mint", "--tenant", "acme", "--agent", "agent-1", "--scope", "*:* settle"];
    let owner = cluster.done(&mint)["token"].as_str().expect("a token").to_owned();

    // A node knows the others once they own slots. One that passes the completion on tells what the other says.
    let nothing = json!({"decision_id": "d-data-1-1-z", "status": "succeeded"});
    let passed = |at: usize| {
        let answer = complete(&cluster, at, &token, &nothing);
        answer.body["detail"].as_str().filter(|detail| detail.starts_with("no allowed call")).map(drop)
    };
    for at in [1, 2] {
        eventually("another node knows the first", LONG, || passed(at)).expect("it is passed on");
    }

    let decided = decide(cluster.data[0].http, &token, &payment(1));
    assert_eq!(decided.body["outcome"], "allow", "{decided:?}");
    let id = decided.body["decision_id"].as_str().expect("an id").to_owned();
    let full = decide(cluster.data[0].http, &token, &payment(1));
    assert_eq!(full.body["reasons"][0]["code"], "BudgetExceeded", "{full:?}");

    // The third node was not asked before, and the agent may not lower its charge there either.
    let said = json!({"decision_id": id, "status": "succeeded", "cost": "0.5", "result": {"text": "done"}});
    let lower = complete(&cluster, 2, &token, &said);
    assert_eq!((lower.status, &lower.body["code"]), (403, &json!("ScopeExceeded")), "{lower:?}");
    let taken = complete(&cluster, 2, &owner, &said);
    assert_eq!((taken.status, &taken.body["result"]["text"]), (200, &json!("done")), "{taken:?}");
    for at in 0..3 {
        let again = complete(&cluster, at, &owner, &said);
        assert_eq!(again.status, 400, "node {at}: {again:?}");
        assert!(again.body["detail"].to_string().contains("completed before"), "node {at}: {again:?}");
    }
    // It was settled where it was decided.
    let next = || {
        let next = decide(cluster.data[0].http, &token, &payment(1));
        Some(next).filter(|next| next.body["outcome"] == "allow")
    };
    let next = eventually("what was not spent can be spent again", LONG, next).expect("an answer");

    // Nobody knows whether a node that is gone would have taken it.
    let id = next.body["decision_id"].clone();
    cluster.data[0].kill();
    let said = json!({"decision_id": id, "status": "succeeded"});
    let unreached = complete(&cluster, 1, &token, &said);
    assert_eq!(
        (unreached.status, &unreached.body["code"]),
        (503, &json!("LimitsUnavailable")),
        "{unreached:?}"
    );
    let nobody = json!({"decision_id": "d-data-9-1-1", "status": "succeeded"});
    let unknown = complete(&cluster, 1, &token, &nobody);
    assert_eq!((unknown.status, &unknown.body["code"]), (400, &json!("InvalidRequest")), "{unknown:?}");
}
