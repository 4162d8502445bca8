//! `/metrics`.

use crate::support::{TestNode, body, request};

#[tokio::test]
async fn numbers_follow_what_happened() {
    let node = TestNode::start().await;
    for amount in [1, 2, 6_000, 7_000, 8_000] {
        node.post("/v1/decide", body(amount)).await;
    }
    node.post_as("forged", "/v1/decide", body(1)).await;
    node.post("/v1/decide", "{").await;
    node.swap(crate::support::POLICY, 2);
    let address = node.node.addresses().metrics.unwrap();
    let reply = request(address, "GET", "/metrics", &[], "").await;
    assert_eq!(reply.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let page = String::from_utf8(reply.body.to_vec()).unwrap();
    for line in [
        r#"aegis_decisions_total{code="",outcome="allow",surface="http",tenant="acme"} 2"#,
        r#"aegis_decisions_total{code="ParameterOutOfRange",outcome="approval_required",surface="http",tenant="acme"} 3"#,
        r#"aegis_refusals_total{code="Unauthenticated",surface="http"} 1"#,
        r#"aegis_refusals_total{code="InvalidRequest",surface="http"} 1"#,
        r#"aegis_stage_seconds_count{stage="authorize"} 5"#,
        r#"aegis_policy_version{tenant="acme"} 2"#,
        r#"aegis_policy_activation{tenant="acme"} 2"#,
        "aegis_snapshot_version 2",
        "aegis_calls_in_progress 0",
        "aegis_record_queue_depth 0",
        "aegis_record_healthy 1",
        r#"aegis_connections{listener="metrics"} 1"#,
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
    assert!(!page.contains("finance-agent"), "agents are too many to be labels");
}

#[tokio::test]
async fn they_are_shown_nowhere_else() {
    let node = TestNode::start().await;
    node.get("/metrics").await.expect_problem(404, "InvalidRequest");
    let address = node.node.addresses().metrics.unwrap();
    assert_eq!(request(address, "GET", "/v1/decide", &[], "").await.status, 404);
    assert_eq!(request(address, "POST", "/metrics", &[], "").await.status, 405);
}
