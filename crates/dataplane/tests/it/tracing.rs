//! Spans of decisions, and what callers say of their traces, over every surface.

use aegis_dataplane::spans::{DecisionSpan, Sampling, SpanSink};
use aegis_model::decision::Outcome;
use aegis_proto::v1::decision_client::DecisionClient;
use aegis_proto::v1::{DecideRequest, DecideStreamRequest};
use hyper::header::HeaderName;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tonic::transport::Endpoint;

use crate::support::{TestNode, body};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

async fn start() -> (TestNode, mpsc::Receiver<Box<DecisionSpan>>) {
    let (sink, spans) = SpanSink::new(Sampling::ALL);
    (TestNode::start_with(|config| config.spans = Some(sink)).await, spans)
}

fn header(name: &'static str, value: &str) -> (HeaderName, String) {
    (HeaderName::from_static(name), value.to_owned())
}

#[tokio::test]
async fn a_decision_is_one_span_in_its_callers_trace() {
    let (node, mut spans) = start().await;
    let headers = [header("traceparent", PARENT), header("tracestate", "vendor=1")];
    let reply = node.post_with("/v1/decide", &headers, body(6_000)).await;
    let decision: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    let span = spans.try_recv().unwrap();
    assert_eq!(span.trace.to_string(), TRACE);
    assert_eq!(span.parent.unwrap().to_string(), "00f067aa0ba902b7");
    assert_eq!(span.state, "vendor=1");
    assert_eq!(span.outcome, Some(Outcome::ApprovalRequired));
    assert_eq!(span.decision_id.as_deref(), decision["decision_id"].as_str());
    assert_eq!((span.tool.as_str(), span.action.as_str()), ("stripe-payments", "create_payment"));
    assert_eq!(span.principal.as_ref().unwrap().agent.as_str(), "finance-agent");
    assert_eq!(span.policy.as_ref().unwrap().version, 1);
    let stages: Vec<&str> = span.stages.iter().map(|(stage, _)| *stage).collect();
    assert!(
        stages.starts_with(&["receive", "identify", "authorize"]) && stages.ends_with(&["record"]),
        "{stages:?}"
    );
    assert!(!format!("{span:?}").contains("6000"), "no parameter stands in a span (AUD-2)");
    assert!(spans.try_recv().is_err(), "one span");
    let record = node.lines().pop().unwrap();
    assert_eq!(record["trace_id"], TRACE, "{record}");
}

#[tokio::test]
async fn what_is_no_trace_is_left_out_and_the_call_goes_on() {
    let (node, mut spans) = start().await;
    let twice = [header("traceparent", PARENT), header("traceparent", PARENT)];
    let broken = [header("traceparent", "00-xyz")];
    for headers in [&twice[..], &broken[..], &[]] {
        let reply = node.post_with("/v1/decide", headers, body(1)).await;
        assert_eq!(reply.status, 200);
        let span = spans.try_recv().unwrap();
        assert_eq!(span.parent, None);
        assert_ne!(span.trace.to_string(), TRACE);
    }
}

#[tokio::test]
async fn authzen_and_refusals_have_spans() {
    let (node, mut spans) = start().await;
    let evaluation = json!({
        "subject": {"type": "agent", "id": "finance-agent"}, "action": {"name": "create_payment"},
        "resource": {"type": "tool", "id": "stripe-payments", "properties": {"amount": 1}},
    });
    let both = json!({"evaluations": [evaluation, evaluation]}).to_string();
    let headers = [header("traceparent", PARENT)];
    assert_eq!(node.post_with("/access/v1/evaluations", &headers, both).await.status, 200);
    let (first, second) = (spans.try_recv().unwrap(), spans.try_recv().unwrap());
    assert_eq!((first.trace, first.parent), (second.trace, second.parent));
    assert_ne!(first.span, second.span);
    node.post_as("forged", "/v1/decide", body(1)).await;
    let refused = spans.try_recv().unwrap();
    assert_eq!((refused.outcome, refused.principal.is_none()), (None, true));
}

/// A caller's trace stands in the record of a node that exports nothing.
#[tokio::test]
async fn records_name_the_trace_without_an_exporter() {
    let node = TestNode::start().await;
    node.post_with("/v1/decide", &[header("traceparent", PARENT)], body(1)).await;
    node.post("/v1/decide", body(1)).await;
    let traces: Vec<_> = node.lines().iter().map(|record| record["trace_id"].clone()).collect();
    assert_eq!(traces, [json!(TRACE), json!(null)]);
}

#[tokio::test]
async fn grpc_takes_the_trace_of_its_metadata_and_a_stream_that_of_each_message() {
    let (node, mut spans) = start().await;
    let channel = Endpoint::from_shared(format!("http://{}", node.grpc())).unwrap().connect().await.unwrap();
    let mut client = DecisionClient::new(channel);
    let call = || DecideRequest {
        tool: "stripe-payments".to_owned(),
        action: "create_payment".to_owned(),
        params: r#"{"amount": 1}"#.into(),
        ..DecideRequest::default()
    };
    let traced = |request: &mut tonic::metadata::MetadataMap| {
        request.insert("authorization", format!("Bearer {}", node.token()).parse().unwrap());
        request.insert("traceparent", PARENT.parse().unwrap());
    };
    let mut unary = tonic::Request::new(call());
    traced(unary.metadata_mut());
    client.decide(unary).await.unwrap();
    assert_eq!(spans.try_recv().unwrap().trace.to_string(), TRACE);

    let own = "00-11111111111111111111111111111111-2222222222222222-01";
    let framed = |correlation_id, traceparent: &str| DecideStreamRequest {
        correlation_id,
        token: node.token(),
        request: Some(call()),
        traceparent: traceparent.to_owned(),
        tracestate: "k=v".to_owned(),
    };
    let mut stream =
        tonic::Request::new(tokio_stream::iter([framed(1, own), framed(2, ""), framed(3, "00-broken")]));
    traced(stream.metadata_mut());
    let answers = client.decide_stream(stream).await.unwrap().into_inner();
    assert_eq!(answers.collect::<Vec<_>>().await.len(), 3);
    let mut told: Vec<_> = std::iter::from_fn(|| spans.try_recv().ok())
        .map(|span| (span.trace.to_string(), span.parent.unwrap().to_string(), span.state.clone()))
        .collect();
    told.sort();
    let of_stream = (TRACE.to_owned(), "00f067aa0ba902b7".to_owned(), String::new());
    let of_message = ("1".repeat(32), "2".repeat(16), "k=v".to_owned());
    assert_eq!(told, [of_message, of_stream.clone(), of_stream]);
}
