//! `/metrics`.

use crate::support::{TestNode, body, request};

#[tokio::test]
async fn numbers_follow_what_happened() {
    let node = TestNode::start().await;
    for amount in [1, 2, 6_000, 7_000, 8_000] {
        node.post("/v1/decide", body(amount)).await;
    }
    node.post("/v1/decide", body(1).replace("stripe-payments", "made-up-by-the-caller")).await;
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
        r#"aegis_stage_seconds_count{stage="authorize"} 6"#,
        r#"aegis_policy_version{tenant="acme"} 2"#,
        r#"aegis_policy_activation{tenant="acme"} 2"#,
        "aegis_snapshot_version 2",
        "aegis_calls_in_progress 0",
        "aegis_record_queue_depth 0",
        "aegis_record_healthy 1",
        r#"aegis_record_trouble{kind="failed"} 0"#,
        r#"aegis_connections{listener="metrics"} 1"#,
        r#"aegis_tool_decisions_total{outcome="allow",tenant="acme",tool="stripe-payments"} 2"#,
        r#"aegis_tool_decisions_total{outcome="approval_required",tenant="acme",tool="stripe-payments"} 3"#,
        r#"aegis_tool_decisions_total{outcome="deny",tenant="acme",tool="other"} 1"#,
        r#"aegis_decision_seconds_count{outcome="allow"} 2"#,
        r#"aegis_decision_seconds_count{outcome="refused"} 1"#,
        "aegis_journal_oldest_unsynced_seconds 0",
        r#"aegis_approval_questions_total{answer="answered",question="open"} 0"#,
        "aegis_approval_waits 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
    assert!(!page.contains("finance-agent"), "agents are too many to be labels");
    assert!(!page.contains("made-up-by-the-caller"), "who asks makes no labels");
    let value = |name: &str| {
        let line = page
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("{name} is not in\n{page}"));
        line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
    };
    assert!(value("aegis_journal_kept_records_total ") >= 6.0);
    assert!(value("aegis_journal_sync_seconds_count ") >= 1.0);
    assert!(value("aegis_journal_sync_seconds_sum ") > 0.0);
}

#[tokio::test]
async fn a_scraper_that_understands_open_metrics_gets_it() {
    let node = TestNode::start().await;
    node.post("/v1/decide", body(1)).await;
    let address = node.node.addresses().metrics.unwrap();
    let names = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let accept = [(hyper::header::ACCEPT, names.to_owned())];
    let reply = request(address, "GET", "/metrics", &accept, "").await;
    assert_eq!(reply.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let page = String::from_utf8(reply.body.to_vec()).unwrap();
    assert!(page.contains("# TYPE aegis_decisions counter\n") && page.ends_with("# EOF\n"), "{page}");
}

#[tokio::test]
async fn they_are_shown_nowhere_else() {
    let node = TestNode::start().await;
    node.get("/metrics").await.expect_problem(404, "InvalidRequest");
    let address = node.node.addresses().metrics.unwrap();
    assert_eq!(request(address, "GET", "/v1/decide", &[], "").await.status, 404);
    assert_eq!(request(address, "POST", "/metrics", &[], "").await.status, 405);
}
