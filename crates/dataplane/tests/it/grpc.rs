//! `aegis.v1.Decision`, health and reflection.

use aegis_proto::status::{reason_of, retry_after_ms};
use aegis_proto::v1::decide_stream_response::Result as Streamed;
use aegis_proto::v1::decision_client::DecisionClient;
use aegis_proto::v1::{
    CompleteRequest, CompletionStatus, DecideRequest, DecideResponse, DecideStreamRequest, Outcome,
};
use tokio_stream::StreamExt;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::support::TestNode;

async fn channel(node: &TestNode) -> Channel {
    Endpoint::from_shared(format!("http://{}", node.grpc())).unwrap().connect().await.unwrap()
}

fn message(amount: u32) -> DecideRequest {
    DecideRequest {
        tool: "stripe-payments".into(),
        action: "create_payment".into(),
        params: format!(r#"{{"amount":{amount}}}"#).into(),
        ..Default::default()
    }
}

async fn decide(node: &TestNode, tokens: &[&str], message: DecideRequest) -> Result<DecideResponse, Status> {
    let mut request = Request::new(message);
    for token in tokens {
        let value = MetadataValue::try_from(format!("Bearer {token}")).unwrap();
        request.metadata_mut().append("authorization", value);
    }
    DecisionClient::new(channel(node).await).decide(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_call_is_decided() {
    let node = TestNode::start().await;
    let token = node.token();
    for (amount, outcome) in [(5_000, Outcome::Allow), (5_001, Outcome::ApprovalRequired)] {
        let response = decide(&node, &[&token], message(amount)).await.unwrap();
        assert_eq!(response.outcome(), outcome, "{response:?}");
        assert_eq!(response.params.is_empty(), outcome != Outcome::Allow);
        assert_eq!(response.policy.unwrap().version, 1);
    }
    let denied =
        decide(&node, &[&token], DecideRequest { tool: "shell".into(), ..Default::default() }).await.unwrap();
    assert_eq!((denied.outcome(), denied.reasons[0].code.as_str()), (Outcome::Deny, "ToolNotAllowed"));
    assert!(node.lines().iter().all(|line| line["surface"] == "grpc"));
}

#[tokio::test]
async fn what_became_of_a_call_is_taken_once_and_its_result_comes_back_to_the_byte() {
    let node = TestNode::start().await;
    let token = node.token();
    let decision_id = decide(&node, &[&token], message(1)).await.unwrap().decision_id;
    let complete = async |result: &'static str| {
        let status = CompletionStatus::Succeeded.into();
        let told = CompleteRequest {
            decision_id: decision_id.clone(),
            status,
            result: result.into(),
            ..Default::default()
        };
        let mut request = Request::new(told);
        let value = MetadataValue::try_from(format!("Bearer {token}")).unwrap();
        request.metadata_mut().append("authorization", value);
        DecisionClient::new(channel(&node).await).complete(request).await
    };
    let malformed = complete("{\"a\": 1, \"a\": 2}").await.unwrap_err();
    assert_eq!((malformed.code(), reason_of(&malformed)), (Code::InvalidArgument, Some("InvalidRequest")));
    let result = "{ \"n\": 1.50 }";
    assert_eq!(complete(result).await.unwrap().into_inner().result, result.as_bytes());
    assert_eq!(complete(result).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn refusals_are_statuses_with_their_reason() {
    let node = TestNode::start().await;
    let token = node.token();
    let huge = DecideRequest { params: vec![b' '; 2 << 20].into(), ..message(1) };
    let cases = [
        (decide(&node, &[], message(1)).await, Code::Unauthenticated, Some("Unauthenticated")),
        (decide(&node, &["forged"], message(1)).await, Code::Unauthenticated, Some("Unauthenticated")),
        (decide(&node, &[&token, &token], message(1)).await, Code::InvalidArgument, Some("InvalidRequest")),
        (
            decide(&node, &[&token], DecideRequest { tool: String::new(), ..message(1) }).await,
            Code::InvalidArgument,
            Some("InvalidRequest"),
        ),
        (decide(&node, &[&token], huge).await, Code::OutOfRange, None),
    ];
    for (result, code, reason) in cases {
        let status = result.unwrap_err();
        assert_eq!((status.code(), reason_of(&status)), (code, reason), "{status:?}");
        if let Some(reason) = reason {
            assert!(status.message().starts_with(&format!("PolicyViolation: {reason}: ")), "{status:?}");
        }
    }
}

#[tokio::test]
async fn a_full_node_says_when_to_come_back() {
    let node = TestNode::start_with(|config| config.calls_in_progress_max = 1).await;
    let entry = node.node.decider().enter(aegis_dataplane::case::Surface::Grpc).unwrap();
    let status = decide(&node, &[&node.token()], message(1)).await.unwrap_err();
    assert_eq!((status.code(), reason_of(&status)), (Code::ResourceExhausted, Some("Overloaded")));
    assert!(retry_after_ms(&status).unwrap() > 0);
    let reply = node.post("/v1/decide", crate::support::body(1)).await;
    reply.expect_problem(503, "Overloaded");
    assert_eq!(reply.header("retry-after"), "1");
    drop(entry);
    assert!(decide(&node, &[&node.token()], message(1)).await.is_ok());
}

#[tokio::test]
async fn a_stream_answers_each_message_by_its_own_token() {
    let node = TestNode::start().await;
    let (finance, hr) = (node.token(), node.token_of("hr-agent", "*:*"));
    let framed = |correlation_id, token: &str, request| DecideStreamRequest {
        correlation_id,
        token: token.to_owned(),
        request,
        ..DecideStreamRequest::default()
    };
    let messages = vec![
        framed(1, &finance, Some(message(1))),
        framed(2, &hr, Some(message(1))),
        framed(3, "", Some(message(1))),
        framed(4, "forged", Some(message(1))),
        framed(5, &finance, None),
        framed(6, &finance, Some(DecideRequest { params: "[]".into(), ..message(1) })),
        framed(7, &finance, Some(message(6_000))),
    ];
    let mut client = DecisionClient::new(channel(&node).await);
    // The stream's own metadata proves nothing.
    let mut request = Request::new(tokio_stream::iter(messages));
    let metadata = MetadataValue::try_from(format!("Bearer {finance}")).unwrap();
    request.metadata_mut().insert("authorization", metadata);
    let answers = client.decide_stream(request).await.unwrap().into_inner();
    let mut answers: Vec<_> = answers.map(|answer| answer.unwrap()).collect().await;
    answers.sort_by_key(|answer| answer.correlation_id);
    let told: Vec<_> = answers
        .iter()
        .map(|answer| match answer.result.as_ref().unwrap() {
            Streamed::Decision(decision) => {
                (answer.correlation_id, decision.outcome().as_str_name().to_owned())
            }
            Streamed::Error(error) => (answer.correlation_id, format!("{} {}", error.status, error.code)),
        })
        .collect();
    let expected = [
        (1, "OUTCOME_ALLOW"),
        (2, "OUTCOME_DENY"),
        (3, "16 Unauthenticated"),
        (4, "16 Unauthenticated"),
        (5, "3 InvalidRequest"),
        (6, "3 InvalidRequest"),
        (7, "OUTCOME_APPROVAL_REQUIRED"),
    ];
    assert_eq!(told, expected.map(|(id, text)| (id, text.to_owned())));
}

#[tokio::test]
async fn a_stream_takes_more_calls_than_it_has_in_progress() {
    let node = TestNode::start().await;
    let token = node.token();
    let messages = (0..1_000).map(move |correlation_id| DecideStreamRequest {
        correlation_id,
        token: token.clone(),
        request: Some(message(1)),
        ..DecideStreamRequest::default()
    });
    let mut client = DecisionClient::new(channel(&node).await);
    let answers = client.decide_stream(tokio_stream::iter(messages)).await.unwrap().into_inner();
    let mut ids: Vec<_> = answers.map(|answer| answer.unwrap().correlation_id).collect().await;
    ids.sort_unstable();
    assert_eq!(ids, (0..1_000).collect::<Vec<_>>());
    assert_eq!(node.lines().len(), 1_000);
}

#[tokio::test]
async fn health_is_told_and_watched() {
    let node = TestNode::start().await;
    let mut client = HealthClient::new(channel(&node).await);
    for service in ["", "aegis.v1.Decision"] {
        let request = HealthCheckRequest { service: service.into() };
        let status = client.check(request).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving);
    }
    let mut watch = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let ended = node.shutdown().await;
    assert_eq!(ended.cut_off, 0, "a watch does not hold the node up");
    while let Some(Ok(told)) = watch.next().await {
        assert_eq!(told.status(), ServingStatus::NotServing);
    }
}

#[tokio::test]
async fn reflection_shows_the_service() {
    let node = TestNode::start().await;
    let mut client = ServerReflectionClient::new(channel(&node).await);
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = client.server_reflection_info(tokio_stream::once(ask)).await.unwrap().into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    for expected in ["aegis.v1.Decision", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"] {
        assert!(names.contains(&expected), "{names:?}");
    }
}

#[tokio::test]
async fn what_is_not_grpc_is_refused() {
    let node = TestNode::start().await;
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .http2_only(true)
        .build_http::<http_body_util::Full<bytes::Bytes>>();
    let url = format!("http://{}/aegis.v1.Decision/Decide", node.grpc());
    for (method, content_type, expected) in
        [("POST", "application/json", 415), ("GET", "application/grpc", 405)]
    {
        let request = hyper::Request::builder().method(method).uri(&url).header("content-type", content_type);
        let response = client.request(request.body(Default::default()).unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), expected);
    }
    let request = hyper::Request::post(format!("http://{}/aegis.v1.Nothing/Decide", node.grpc()))
        .header("content-type", "application/grpc");
    let response = client.request(request.body(Default::default()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], (Code::Unimplemented as i32).to_string().as_str());
}
