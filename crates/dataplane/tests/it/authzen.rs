//! AuthZEN 1.0.

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use serde_json::{Value, json};

use crate::support::{TestNode, request};

fn evaluation(agent: &str, amount: u32) -> Value {
    json!({
        "subject": {"type": "agent", "id": agent},
        "action": {"name": "create_payment"},
        "resource": {"type": "tool", "id": "stripe-payments", "properties": {"amount": amount}},
    })
}

#[tokio::test]
async fn an_evaluation_is_a_decision() {
    let node = TestNode::start().await;
    for (amount, decision, outcome) in [(1, true, "allow"), (6_000, false, "approval_required")] {
        let reply = node.post("/access/v1/evaluation", evaluation("finance-agent", amount).to_string()).await;
        assert_eq!(reply.status, 200);
        let answer = reply.json();
        assert_eq!((&answer["decision"], &answer["context"]["outcome"]), (&json!(decision), &json!(outcome)));
        assert!(answer["context"]["decision_id"].as_str().unwrap().starts_with("d-n1-"), "{answer}");
        assert_eq!(answer["context"]["policy"]["version"], 1);
    }
    assert!(node.lines().iter().all(|line| line["surface"] == "authzen"));
}

#[tokio::test]
async fn the_subject_is_the_token_s_agent_or_one_it_may_assert() {
    let node = TestNode::start().await;
    let asked = evaluation("finance-agent", 1).to_string();
    let ask = async |agent: &str, scope: &str| {
        node.post_as(&node.token_of(agent, scope), "/access/v1/evaluation", asked.clone()).await.json()
    };
    let foreign = ask("planner", "*:*").await;
    assert_eq!(
        (&foreign["decision"], &foreign["context"]["reasons"][0]["code"]),
        (&json!(false), &json!("ScopeExceeded"))
    );
    let asserting = ask("planner", "*:* assert:finance-agent").await;
    assert_eq!(asserting["decision"], true, "{asserting}");
    let line = node.lines().pop().unwrap();
    assert_eq!((&line["agent"], &line["callers"]), (&json!("finance-agent"), &json!(["planner"])));
}

#[tokio::test]
async fn all_three_semantics() {
    let node = TestNode::start().await;
    let ask = async |semantic: Option<&str>, amounts: &[u32]| -> Vec<bool> {
        let evaluations: Vec<_> = amounts
            .iter()
            .map(|amount| json!({"resource": {"type": "tool", "id": "stripe-payments", "properties": {"amount": amount}}}))
            .collect();
        let mut asked = evaluation("finance-agent", 0);
        asked.as_object_mut().unwrap().remove("resource");
        asked["evaluations"] = json!(evaluations);
        if let Some(semantic) = semantic {
            asked["options"] = json!({ "evaluations_semantic": semantic });
        }
        let reply = node.post("/access/v1/evaluations", asked.to_string()).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let answers = reply.json();
        answers["evaluations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|answer| answer["decision"].as_bool().unwrap())
            .collect()
    };
    let (yes, no) = (1, 6_000);
    assert_eq!(ask(None, &[yes, no, yes]).await, [true, false, true]);
    assert_eq!(ask(Some("execute_all"), &[no, no, yes]).await, [false, false, true]);
    assert_eq!(ask(Some("deny_on_first_deny"), &[yes, no, yes]).await, [true, false]);
    assert_eq!(ask(Some("permit_on_first_permit"), &[no, yes, no]).await, [false, true]);
    assert_eq!(node.lines().len(), 3 + 3 + 2 + 2, "what was not looked at was not decided");
}

#[tokio::test]
async fn one_bad_evaluation_does_not_spoil_the_others() {
    let node = TestNode::start().await;
    let mut asked = evaluation("finance-agent", 1);
    asked["evaluations"] = json!([{}, {"resource": {"type": "tool", "id": "not a name"}}, {}]);
    let answers = node.post("/access/v1/evaluations", asked.to_string()).await.json();
    let bad = &answers["evaluations"][1];
    assert_eq!(
        (&bad["decision"], &bad["context"]["error"]["status"]),
        (&json!(false), &json!(400)),
        "{answers}"
    );
    assert_eq!(bad["context"]["error"]["path"], "/evaluations/1/resource/id");
    assert_eq!(
        (&answers["evaluations"][0]["decision"], &answers["evaluations"][2]["decision"]),
        (&json!(true), &json!(true))
    );
}

#[tokio::test]
async fn without_a_list_it_is_a_single_evaluation() {
    let node = TestNode::start().await;
    let answer = node.post("/access/v1/evaluations", evaluation("finance-agent", 1).to_string()).await.json();
    assert_eq!(answer["decision"], true, "{answer}");
}

#[tokio::test]
async fn without_a_token_the_request_is_refused_as_a_whole() {
    let node = TestNode::start().await;
    let mut asked = evaluation("finance-agent", 1);
    asked["evaluations"] = json!([{}, {}]);
    for path in ["/access/v1/evaluation", "/access/v1/evaluations"] {
        node.post_as("forged", path, asked.to_string()).await;
    }
    let reply = node.post_as("forged", "/access/v1/evaluations", asked.to_string()).await;
    reply.expect_problem(401, "Unauthenticated");
}

#[tokio::test]
async fn the_metadata_names_the_endpoints() {
    let node =
        TestNode::start_with(|config| config.public_url = Some("https://aegis.example.com".into())).await;
    let reply = node.get("/.well-known/authzen-configuration").await;
    assert_eq!(
        reply.json(),
        json!({
            "policy_decision_point": "https://aegis.example.com",
            "access_evaluation_endpoint": "https://aegis.example.com/access/v1/evaluation",
            "access_evaluations_endpoint": "https://aegis.example.com/access/v1/evaluations",
        })
    );
}

#[tokio::test]
async fn a_request_id_comes_back_in_every_answer() {
    let node = TestNode::start().await;
    let id = HeaderName::from_static("x-request-id");
    let headers = [
        (AUTHORIZATION, format!("Bearer {}", node.token())),
        (CONTENT_TYPE, "application/json".to_owned()),
        (id.clone(), "bfe9eb29-ab87-4ca3-be83-a1d5d8305716".to_owned()),
    ];
    for (body, status) in [(evaluation("finance-agent", 1).to_string(), 200), ("{}".to_owned(), 400)] {
        let reply = request(node.http(), "POST", "/access/v1/evaluation", &headers, body).await;
        assert_eq!(reply.status.as_u16(), status);
        assert_eq!(reply.header("x-request-id"), "bfe9eb29-ab87-4ca3-be83-a1d5d8305716");
    }
    for bad in ["a b".to_owned(), "x".repeat(129)] {
        let reply = request(node.http(), "GET", "/healthz", &[(id.clone(), bad)], "").await;
        reply.expect_problem(400, "InvalidRequest");
    }
}
