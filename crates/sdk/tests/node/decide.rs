//! One call against a node: what is retried and how, what is not, and that nothing strange becomes a permission.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{Node, Reply, allow};
use aegis_model::reason::ReasonCode;
use aegis_proto::status::{refusal, refusal_for_now};
use aegis_proto::v1;
use aegis_sdk::{Call, Client, Outcome, SdkError, TokenSource};
use serde_json::{Value, json};
use tonic::{Code, Status};

fn call() -> Call {
    Call::new("stripe-payments").action("create_payment").params(json!({"amount": 1}))
}

#[tokio::test]
async fn a_call_is_tried_again_under_the_same_request_id() {
    let node = Node::scripted(|nth, _| {
        Reply::Answer(match nth {
            0 => Err(Status::unavailable("not yet")),
            1 => Err(refusal(ReasonCode::Overloaded, "too many calls")),
            _ => Ok(allow()),
        })
    })
    .await;
    let outcome = node.client().build().expect("a client").decide(call()).await.expect("an outcome");
    let Outcome::Allowed { params, decision, .. } = outcome else { unreachable!("{outcome}") };
    assert_eq!((Value::from(params), decision.decision_id.as_str()), (json!({"amount": 1}), "d-1"));
    let seen = node.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|call| call.request_id == seen[0].request_id && call.request_id.len() == 32));
    assert!(seen.iter().all(|call| call.authorization == "Bearer t-1" && call.has_timeout));
}

#[tokio::test]
async fn what_a_node_refuses_for_good_is_not_tried_again() {
    for (status, reason) in [
        (refusal(ReasonCode::InvalidRequest, "malformed"), Some(ReasonCode::InvalidRequest)),
        (refusal(ReasonCode::TokenExpired, "its time is over"), Some(ReasonCode::TokenExpired)),
        (refusal(ReasonCode::WrongTenant, "of another tenant"), Some(ReasonCode::WrongTenant)),
        (Status::internal("a bug"), None),
        (Status::unknown("a bug"), None),
        (Status::cancelled("stopped"), None),
        (Status::out_of_range("too large"), None),
    ] {
        let code = status.code();
        let node = Node::scripted(move |_, _| {
            Reply::Answer(Err(Status::with_metadata(code, "no", status.metadata().clone())))
        })
        .await;
        let error = node.client().build().expect("a client").decide(call()).await.expect_err("refused");
        assert!(matches!(&error, SdkError::Refused(status) if status.code == code), "{error}");
        assert_eq!((error.code(), error.retryable()), (reason, false), "{error}");
        assert_eq!(node.seen().len(), 1, "{code:?}");
    }
}

#[tokio::test]
async fn attempts_are_counted() {
    let node = Node::scripted(|_, _| Reply::Answer(Err(refusal(ReasonCode::PolicyUnavailable, "no")))).await;
    let client = node.client().attempts(4).build().expect("a client");
    let error = client.decide(call()).await.expect_err("nobody answers");
    assert!(matches!(error, SdkError::Unavailable { attempts: 4, .. }), "{error}");
    assert_eq!((error.code(), error.retryable()), (Some(ReasonCode::PolicyUnavailable), true));
    assert_eq!(node.seen().len(), 4);
}

#[tokio::test]
async fn a_pause_beyond_the_deadline_is_not_waited_for() {
    let hour = 3_600_000;
    let node = Node::scripted(move |_, _| {
        Reply::Answer(Err(refusal_for_now(ReasonCode::Overloaded, "later", hour)))
    })
    .await;
    let error = node.client().build().expect("a client").decide(call()).await.expect_err("overloaded");
    let SdkError::Unavailable { attempts, last } = error else { unreachable!("{error}") };
    assert_eq!((attempts, last.retry_after_ms), (1, Some(hour)));
}

#[tokio::test]
async fn a_deadline_ends_a_call_that_nobody_answers() {
    let node = Node::scripted(|_, _| Reply::Never).await;
    let client = node.client().deadline(Duration::from_millis(50)).build().expect("a client");
    let error = client.decide(call()).await.expect_err("no answer");
    assert!(matches!(error, SdkError::Deadline) && error.retryable(), "{error}");
    assert!(node.seen().len() <= 1, "there is no time for another attempt");
}

#[tokio::test]
async fn a_lost_answer_is_given_again_and_the_call_is_judged_once() {
    let judged: Mutex<HashMap<String, v1::DecideResponse>> = Mutex::default();
    let counts = std::sync::Arc::new(AtomicUsize::new(0));
    let judgements = std::sync::Arc::clone(&counts);
    let node = Node::scripted(move |nth, request| {
        let mut judged = judged.lock().expect("not poisoned");
        if let Some(earlier) = judged.get(&request.request_id) {
            return Reply::Answer(Ok(v1::DecideResponse { replayed: true, ..earlier.clone() }));
        }
        judgements.fetch_add(1, Ordering::SeqCst);
        let response = v1::DecideResponse { decision_id: format!("d-{nth}"), ..allow() };
        judged.insert(request.request_id.clone(), response.clone());
        Reply::Lost(response)
    })
    .await;
    let outcome = node.client().build().expect("a client").decide(call()).await.expect("an outcome");
    assert_eq!((outcome.decision().decision_id.as_str(), outcome.decision().replayed), ("d-0", true));
    assert_eq!((counts.load(Ordering::SeqCst), node.seen().len()), (1, 2));
}

#[tokio::test]
async fn an_answer_that_is_not_understood_is_an_error() {
    let strange: [fn(&mut v1::DecideResponse); 6] = [
        |response| response.outcome = v1::Outcome::Unspecified.into(),
        |response| response.outcome = 99,
        |response| response.decision_id.clear(),
        |response| response.params.clear(),
        |response| response.params = "[]".into(),
        |response| response.reasons = vec![v1::Reason { code: "Unheard".to_owned(), ..Default::default() }],
    ];
    for (index, change) in strange.into_iter().enumerate() {
        let node = Node::scripted(move |_, _| {
            let mut response = allow();
            change(&mut response);
            Reply::Answer(Ok(response))
        })
        .await;
        let error = node.client().build().expect("a client").decide(call()).await.expect_err("strange");
        assert!(matches!(error, SdkError::Answer(_)) && !error.retryable(), "{index}: {error}");
        assert_eq!(node.seen().len(), 1, "{index}");
    }
}

#[tokio::test]
async fn an_address_without_a_node_is_unavailable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let client = Client::builder(endpoint)
        .token("t")
        .attempts(2)
        .pauses(Duration::from_millis(1), Duration::from_millis(1))
        .build()
        .expect("a client");
    let error = client.decide(call()).await.expect_err("nobody is there");
    assert!(matches!(error, SdkError::Unavailable { attempts: 2, .. }), "{error}");
}

#[tokio::test]
async fn a_malformed_call_never_leaves_the_process() {
    let node = Node::scripted(|_, _| Reply::Answer(Ok(allow()))).await;
    let client = node.client().build().expect("a client");
    let error = client.decide(Call::new("not a name")).await.expect_err("malformed");
    assert!(matches!(error, SdkError::Call(_)), "{error}");
    assert_eq!((error.code(), node.seen().len()), (Some(ReasonCode::InvalidRequest), 0));
}

#[tokio::test]
async fn a_provider_is_asked_before_each_attempt() {
    let node = Node::scripted(|nth, _| {
        Reply::Answer(if nth == 0 { Err(Status::unavailable("not yet")) } else { Ok(allow()) })
    })
    .await;
    let asked = AtomicUsize::new(0);
    let source = TokenSource::provider(move || {
        let token = format!("t-{}", asked.fetch_add(1, Ordering::SeqCst));
        async move { Ok(token) }
    });
    node.client().token(source).build().expect("a client").decide(call()).await.expect("an outcome");
    let tokens: Vec<_> = node.seen().into_iter().map(|call| call.authorization).collect();
    assert_eq!(tokens, ["Bearer t-0", "Bearer t-1"]);
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let node = Node::scripted(|_, _| Reply::Answer(Ok(allow()))).await;
    for source in [
        TokenSource::provider(|| async { Err("the vault is closed".into()) }),
        TokenSource::from("two\nlines KEEP-OUT"),
    ] {
        let client = node.client().token(source).build().expect("a client");
        let error = client.decide(call()).await.expect_err("no token");
        assert!(matches!(error, SdkError::Token(_)), "{error}");
        assert_eq!(error.code(), Some(ReasonCode::Unauthenticated));
        assert!(!format!("{error:?} {client:?}").contains("KEEP-OUT"));
    }
    assert_eq!(node.seen().len(), 0);
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let build = |endpoint: &str| Client::builder(endpoint).token("t");
    assert!(matches!(Client::builder("http://localhost").build(), Err(SdkError::NoToken)));
    assert!(matches!(build("not an address").build(), Err(SdkError::Endpoint(_))));
    for builder in [
        build("https://localhost"),
        build("ftp://localhost"),
        build("localhost:7081"),
        build("http://localhost").tls_roots("pem"),
    ] {
        assert!(matches!(builder.build(), Err(SdkError::Tls(_))));
    }
}

#[test]
fn a_client_is_built_without_a_runtime() {
    assert!(Client::builder("http://localhost:7081").token("t").build().is_ok());
}

#[tokio::test]
async fn retries_do_not_hide_what_was_wrong_last() {
    let node =
        Node::scripted(|_, _| Reply::Answer(Err(refusal(ReasonCode::AuditUnavailable, "disk full")))).await;
    let error = node.client().build().expect("a client").decide(call()).await.expect_err("unavailable");
    let SdkError::Unavailable { last, .. } = &error else { unreachable!("{error}") };
    assert_eq!((last.code, last.reason.as_str()), (Code::Unavailable, "AuditUnavailable"));
    assert!(error.to_string().contains("disk full"), "{error}");
}

#[tokio::test]
async fn what_became_of_a_call_is_told_and_its_result_comes_back() {
    use aegis_sdk::Completion;

    let node = Node::scripted(|_, _| Reply::Answer(Ok(allow()))).await;
    let client = node.client().build().expect("a client");
    let told = Completion::succeeded("d-1").cost("0.25").result(json!({"paid": true}));
    assert_eq!(client.complete(told).await.expect("it is taken").result, Some(json!({"paid": true})));
    assert_eq!(client.complete(Completion::not_run("d-1")).await.expect("it is taken").result, None);
    for malformed in
        [Completion::failed(""), Completion::failed("d-1").cost("-1"), Completion::failed("d-1").cost("1e9")]
    {
        let error = client.complete(malformed).await.expect_err("it is not sent");
        assert_eq!(error.code(), Some(ReasonCode::InvalidRequest));
    }
    assert!(!format!("{:?}", Completion::failed("d-1").result("secret")).contains("secret"));
}
