//! The audit journal and what depends on it.

use std::sync::Arc;

use aegis_audit::checkpoint::Checkpoint;
use aegis_audit::hash::Hash;
use aegis_audit::keys::VerifyingKey;
use aegis_audit::tree::verify_inclusion;
use aegis_proto::v1::DecideRequest;
use aegis_proto::v1::decision_client::DecisionClient;
use serde_json::json;
use tonic::transport::Endpoint;
use tonic::{Code, Request};

use crate::support::disk::{Fault, FaultyDisk};
use crate::support::{TestNode, body};

#[tokio::test]
async fn a_journal_that_cannot_be_written_denies_and_is_not_ready() {
    let fault = Arc::new(Fault::default());
    let disk = Arc::new(FaultyDisk(Arc::clone(&fault)));
    let node = TestNode::start_with(|config| config.journal.disk = disk).await;
    assert_eq!(node.get("/readyz").await.status, 200, "nothing went wrong yet");
    fault.fill();
    let reply = node.post("/v1/decide", body(1)).await;
    reply.expect_problem(503, "AuditUnavailable");
    assert!(!reply.header("retry-after").is_empty());
    let problem = node.get("/readyz").await.expect_problem(503, "AuditUnavailable");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("the journal cannot be written: "), "{detail}");
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

/// WALK-2, as a client sees it.
#[tokio::test]
async fn an_answer_waits_until_its_record_is_on_disk() {
    let fault = Arc::new(Fault::default());
    let disk = Arc::new(FaultyDisk(Arc::clone(&fault)));
    let node = TestNode::start_with(|config| config.journal.disk = disk).await;
    assert_eq!(node.post("/v1/decide", body(1)).await.json()["outcome"], "allow");
    fault.hang(true);
    let mut asking = std::pin::pin!(node.post("/v1/decide", body(2)));
    // expect(sleep): for as long as nothing must happen
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), asking.as_mut()).await;
    assert!(early.is_err(), "{early:?}");
    fault.hang(false);
    let decision = asking.await.json();
    assert_eq!(decision["outcome"], "allow");
    assert_eq!(node.lines().last().unwrap()["decision_id"], decision["decision_id"]);
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

#[tokio::test]
async fn who_has_a_receipt_gets_the_proof_and_nobody_else_learns_anything() {
    let node = TestNode::start().await;
    let receipt = node.post("/v1/decide", body(1)).await.json()["receipt"].clone();
    assert_eq!(node.post("/v1/decide", body(2)).await.json()["receipt"]["index"], 1);
    let proof = node.post("/v1/proof", receipt.to_string()).await;
    assert_eq!(proof.status, 200, "{proof:?}");
    let proof = proof.json();
    let key: VerifyingKey =
        std::fs::read_to_string(node.journal.join("7/verifier")).unwrap().trim().parse().unwrap();
    let checkpoint = Checkpoint::open(proof["checkpoint"].as_str().unwrap().as_bytes(), &key).unwrap();
    let hash = |text: &serde_json::Value| text.as_str().unwrap().parse::<Hash>().unwrap();
    let hashes: Vec<Hash> = proof["proof"].as_array().unwrap().iter().map(hash).collect();
    verify_inclusion(0, checkpoint.size, &hash(&receipt["leaf"]), &hashes, &checkpoint.root).unwrap();
    for (member, other) in [
        ("leaf", json!("00".repeat(32))),
        ("leaf", json!("x")),
        ("index", json!(1)),
        ("index", json!(99)),
        ("log", json!("standalone/n1/6")),
    ] {
        let mut guessed = receipt.clone();
        guessed[member] = other;
        node.post("/v1/proof", guessed.to_string()).await.expect_problem(404, "InvalidRequest");
    }
    node.post("/v1/proof", r#"{"log": "l", "leaf": "x"}"#).await.expect_problem(400, "InvalidRequest");
    node.post("/v1/proof", r#"{"log": "l", "leaf": "x", "index": "1"}"#)
        .await
        .expect_problem(400, "InvalidRequest");
    node.post_as("x", "/v1/proof", receipt.to_string()).await.expect_problem(401, "Unauthenticated");
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
async fn a_journal_that_is_not_this_nodes_keeps_the_node_from_starting() {
    let node = TestNode::start().await;
    let journal = node.journal.clone();
    let used = TestNode::try_start(|config| config.journal = journal.clone().into()).await.err().unwrap();
    assert!(used.to_string().ends_with("is in use by another process"), "{used}");
    let folder = node.shutdown_keeping_the_folder().await;
    let foreign = TestNode::try_start(|config| {
        (config.name, config.journal) = ("n2".parse().unwrap(), journal.clone().into());
    });
    let foreign = foreign.await.err().unwrap();
    assert!(foreign.to_string().ends_with("is the journal of `standalone/n1`, not of `n2`"), "{foreign}");
    let again = TestNode::try_start(|config| config.journal = journal.clone().into()).await.err().unwrap();
    assert!(again.to_string().contains("the incarnation 7, or a later one, has a log already"), "{again}");
    std::fs::remove_dir_all(&journal).unwrap();
    std::fs::write(&journal, "not a folder").unwrap();
    let file = TestNode::try_start(|config| config.journal = journal.clone().into()).await.err().unwrap();
    assert!(file.to_string().starts_with("the audit journal cannot be opened: `"), "{file}");
    drop(folder);
}

#[tokio::test]
async fn an_address_in_use_keeps_the_node_from_starting() {
    let node = TestNode::start().await;
    let refused = TestNode::try_start(|config| config.grpc = Some(node.grpc())).await.err().unwrap();
    assert!(refused.to_string().starts_with("the gRPC address `127.0.0.1:"), "{refused}");
}
