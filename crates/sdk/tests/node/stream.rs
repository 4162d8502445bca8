//! Many calls over one exchange: paired, each with its token, and none left waiting when the exchange ends.

use std::pin::Pin;
use std::time::Duration;

use crate::support::{Node, allow};
use aegis_model::reason::ReasonCode;
use aegis_proto::convert::BadAnswer;
use aegis_proto::status::{refusal, stream_error};
use aegis_proto::v1::decide_stream_response::Result as Answer;
use aegis_proto::v1::decision_server::Decision;
use aegis_proto::v1::{self, DecideStreamRequest, DecideStreamResponse};
use aegis_sdk::{Call, SdkError, TokenSource};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

type Answers = Pin<Box<dyn Stream<Item = Result<DecideStreamResponse, Status>> + Send>>;

/// A node whose streams are made by a function.
struct Streamed(fn(Streaming<DecideStreamRequest>) -> Answers);

#[tonic::async_trait]
impl Decision for Streamed {
    async fn decide(&self, _: Request<v1::DecideRequest>) -> Result<Response<v1::DecideResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn get_approval(
        &self,
        _: Request<aegis_proto::v1::GetApprovalRequest>,
    ) -> Result<Response<aegis_proto::v1::GetApprovalResponse>, Status> {
        Err(Status::unimplemented("nobody asks in these tests"))
    }

    async fn complete(
        &self,
        request: Request<v1::CompleteRequest>,
    ) -> Result<Response<v1::CompleteResponse>, Status> {
        Ok(Response::new(v1::CompleteResponse { result: request.into_inner().result, ..Default::default() }))
    }

    type DecideStreamStream = Answers;

    async fn decide_stream(
        &self,
        request: Request<Streaming<DecideStreamRequest>>,
    ) -> Result<Response<Answers>, Status> {
        assert!(request.metadata().get("authorization").is_none(), "each message brings its own token");
        Ok(Response::new((self.0)(request.into_inner())))
    }
}

async fn node(answers: fn(Streaming<DecideStreamRequest>) -> Answers) -> Node {
    Node::serve(Server::builder(), Streamed(answers)).await
}

fn response(correlation_id: u64, result: Option<Answer>) -> Result<DecideStreamResponse, Status> {
    Ok(DecideStreamResponse { correlation_id, result })
}

/// A decision whose id names the tool and the token of the call.
fn decided(message: &DecideStreamRequest) -> Result<DecideStreamResponse, Status> {
    let tool = &message.request.as_ref().expect("a call").tool;
    let decision_id = format!("{tool} {}", message.token);
    response(message.correlation_id, Some(Answer::Decision(v1::DecideResponse { decision_id, ..allow() })))
}

/// Answers each message by its tool: `refused`, `empty`, `silent` (never), `flush` (the silent ones first), `end`.
fn by_tool(mut calls: Streaming<DecideStreamRequest>) -> Answers {
    let (answers, receiver) = tokio::sync::mpsc::channel(8);
    let mut reader = tokio::task::JoinSet::new();
    reader.spawn(async move {
        let mut silent = Vec::new();
        while let Ok(Some(message)) = calls.message().await {
            let id = message.correlation_id;
            match message.request.as_ref().expect("a call").tool.as_str() {
                "end" => return,
                "silent" => {
                    silent.push(message);
                    continue;
                }
                "flush" => {
                    for message in silent.drain(..) {
                        answers.send(decided(&message)).await.expect("the stream is open");
                    }
                }
                "refused" => {
                    let status = refusal(ReasonCode::TokenExpired, "its time is over");
                    let error = Some(Answer::Error(stream_error(&status)));
                    answers.send(response(id, error)).await.expect("the stream is open");
                    continue;
                }
                "empty" => {
                    answers.send(response(id, None)).await.expect("the stream is open");
                    continue;
                }
                _ => {}
            }
            answers.send(decided(&message)).await.expect("the stream is open");
        }
    });
    // The task ends with the stream of its answers.
    Box::pin(ReceiverStream::new(receiver).map(move |answer| {
        let _owned = &reader;
        answer
    }))
}

/// Takes three calls, then answers them last first.
fn last_first(calls: Streaming<DecideStreamRequest>) -> Answers {
    let answers = async move {
        let calls: Vec<_> = calls.take(3).map(|call| call.expect("a message")).collect().await;
        futures_util::stream::iter(calls.into_iter().rev().map(|call| decided(&call)).collect::<Vec<_>>())
    };
    Box::pin(futures_util::FutureExt::flatten_stream(answers))
}

#[tokio::test]
async fn answers_find_their_calls_in_any_order() {
    let node = node(last_first).await;
    let counter = std::sync::atomic::AtomicUsize::new(0);
    let source = TokenSource::provider(move || {
        let nth = counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move { Ok(format!("t-{nth}")) }
    });
    let stream = node.client().token(source).build().expect("a client").stream().await;
    let (a, b, c) = tokio::join!(
        stream.decide(Call::new("a")),
        stream.decide(Call::new("b")),
        stream.decide(Call::new("c")),
    );
    let ids: Vec<_> =
        [a, b, c].map(|outcome| outcome.expect("an outcome").decision().decision_id.clone()).into();
    assert_eq!(ids, ["a t-0", "b t-1", "c t-2"]);
}

#[tokio::test]
async fn a_refused_call_leaves_the_stream_as_it_is() {
    let node = node(by_tool).await;
    let stream = node.client().build().expect("a client").stream().await;
    let error = stream.decide(Call::new("refused")).await.expect_err("refused");
    assert!(matches!(error, SdkError::Refused(_)) && !error.retryable(), "{error}");
    assert_eq!(error.code(), Some(ReasonCode::TokenExpired));
    let error = stream.decide(Call::new("empty")).await.expect_err("no answer");
    assert!(matches!(error, SdkError::Answer(BadAnswer::Empty)), "{error}");
    stream.decide(Call::new("next")).await.expect("an outcome");
}

#[tokio::test]
async fn a_deadline_ends_a_call_that_nobody_answers() {
    let node = node(by_tool).await;
    let client = node.client().deadline(Duration::from_millis(50)).build().expect("a client");
    let error = client.stream().await.decide(Call::new("silent")).await.expect_err("no answer");
    assert!(matches!(error, SdkError::Deadline), "{error}");
}

#[tokio::test]
async fn an_answer_to_a_call_that_was_given_up_is_nobodys() {
    let node = node(by_tool).await;
    let stream = node.client().build().expect("a client").stream().await;
    let given_up = timeout(Duration::ZERO, stream.decide(Call::new("silent"))).await;
    assert!(given_up.is_err(), "polled once, sent, and dropped");
    let outcome = stream.decide(Call::new("flush")).await.expect("an outcome");
    assert_eq!(outcome.decision().decision_id, "flush t-1");
}

#[tokio::test]
async fn when_the_node_ends_the_stream_nobody_waits_on() {
    let node = node(by_tool).await;
    let stream = node.client().build().expect("a client").stream().await;
    let (waiting, ending) = tokio::join!(stream.decide(Call::new("silent")), stream.decide(Call::new("end")));
    for error in [waiting.expect_err("closed"), ending.expect_err("closed")] {
        assert!(matches!(error, SdkError::StreamClosed(_)) && error.retryable(), "{error}");
    }
    let later = stream.decide(Call::new("next")).await.expect_err("closed");
    assert!(matches!(later, SdkError::StreamClosed(_)), "{later}");
}

#[tokio::test]
async fn a_stream_to_nobody_is_closed() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let client = aegis_sdk::Client::builder(endpoint).token("t").build().expect("a client");
    let error = client.stream().await.decide(Call::new("t")).await.expect_err("nobody is there");
    assert!(matches!(error, SdkError::StreamClosed(_)), "{error}");
}

#[tokio::test]
async fn a_malformed_call_is_not_sent() {
    let node = node(by_tool).await;
    let stream = node.client().build().expect("a client").stream().await;
    let error = stream.decide(Call::new("not a name")).await.expect_err("malformed");
    assert!(matches!(error, SdkError::Call(_)), "{error}");
}
