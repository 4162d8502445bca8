//! The decision log and what depends on it.

use std::path::PathBuf;

use aegis_proto::v1::DecideRequest;
use aegis_proto::v1::decision_client::DecisionClient;
use serde_json::json;
use tonic::transport::Endpoint;
use tonic::{Code, Request};

use crate::support::{TestNode, body};

#[tokio::test]
async fn a_log_that_cannot_be_written_denies_and_is_not_ready() {
    let node = TestNode::start_with(|config| config.log = PathBuf::from("/dev/full")).await;
    assert_eq!(node.get("/readyz").await.status, 200, "nothing went wrong yet");
    let reply = node.post("/v1/decide", body(1)).await;
    reply.expect_problem(503, "AuditUnavailable");
    assert!(!reply.header("retry-after").is_empty());
    node.get("/readyz").await.expect_problem(503, "AuditUnavailable");
    assert_eq!(node.get("/healthz").await.status, 200, "it lives");

    let channel = Endpoint::from_shared(format!("http://{}", node.grpc())).unwrap().connect().await.unwrap();
    let mut request = Request::new(DecideRequest { tool: "a".into(), ..Default::default() });
    request.metadata_mut().insert("authorization", format!("Bearer {}", node.token()).parse().unwrap());
    let status = DecisionClient::new(channel).decide(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(aegis_proto::status::reason_of(&status), Some("AuditUnavailable"));

    let ended = node.shutdown().await;
    assert!(ended.log.is_err(), "the end says so too");
}

#[tokio::test]
async fn a_swapped_policy_judges_the_next_call() {
    let node = TestNode::start().await;
    assert_eq!(node.post("/v1/decide", body(4_000)).await.json()["outcome"], "allow");
    node.swap(&crate::support::POLICY.replace("5000", "3000"), 2);
    let decision = node.post("/v1/decide", body(4_000)).await.json();
    assert_eq!(
        (&decision["outcome"], &decision["policy"]["version"]),
        (&json!("approval_required"), &json!(2))
    );
    let lines = node.lines();
    assert_ne!(lines[0]["policy"]["digest"], lines[1]["policy"]["digest"]);
    assert_eq!(lines[0]["params_digest"], lines[1]["params_digest"], "the same parameters");
}

#[test]
fn a_policy_with_limits_is_refused_by_a_node_that_nobody_lends_to() {
    use aegis_dataplane::snapshot::Tenant;
    use aegis_policy::ast::SourceFile;
    use aegis_policy::check::check;

    let text = "agent: a\nallowed_tools:\n- name: t\n  rps_limit: 5\n";
    let checked = check(vec![SourceFile { path: "policy.yaml".into(), text: text.into() }]);
    let refused = Tenant::load("acme".parse().unwrap(), &checked.set.unwrap(), 1, 1).unwrap_err();
    assert_eq!(refused[0].position(&checked.files), "policy.yaml:4:3", "{refused:?}");
    assert_eq!(refused[0].message, "`rps_limit` needs a control plane");
}

#[tokio::test]
async fn a_log_that_cannot_be_opened_keeps_the_node_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/such/folder/log");
    let refused = TestNode::try_start(|config| config.log = missing).await.err().unwrap();
    assert!(refused.to_string().contains("no/such/folder/log` cannot be opened"), "{refused}");
}

#[tokio::test]
async fn an_address_in_use_keeps_the_node_from_starting() {
    let node = TestNode::start().await;
    let refused = TestNode::try_start(|config| config.grpc = Some(node.grpc())).await.err().unwrap();
    assert!(refused.to_string().starts_with("the gRPC address `127.0.0.1:"), "{refused}");
}
