//! The end of a node: nothing that was answered is lost, nothing hangs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aegis_proto::v1::decide_stream_response::Result as Streamed;
use aegis_proto::v1::decision_client::DecisionClient;
use aegis_proto::v1::{DecideRequest, DecideStreamRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_stream::StreamExt;
use tonic::transport::Endpoint;
use tonic::{Code, Request};

use crate::support::{TestNode, body, lines};

fn message() -> DecideRequest {
    DecideRequest {
        tool: "stripe-payments".into(),
        action: "create_payment".into(),
        params: r#"{"amount":1}"#.into(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_drain_under_load_loses_no_answered_record() {
    let node = TestNode::start().await;
    let (log, token) = (node.journal.clone(), node.token());
    let answered = Arc::new(AtomicUsize::new(0));
    let mut clients = tokio::task::JoinSet::new();
    let endpoint = Endpoint::from_shared(format!("http://{}", node.grpc())).unwrap();
    for _ in 0..8 {
        let (endpoint, token, answered) = (endpoint.clone(), token.clone(), Arc::clone(&answered));
        clients.spawn(async move {
            let mut client = DecisionClient::new(endpoint.connect().await.unwrap());
            let mut ids = Vec::new();
            loop {
                let mut request = Request::new(message());
                request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
                match client.decide(request).await {
                    Ok(response) => ids.push(response.into_inner().decision_id),
                    Err(_gone) => return ids,
                }
                answered.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    while answered.load(Ordering::SeqCst) < 500 {
        tokio::task::yield_now().await;
    }
    // The folder with the log outlives the node.
    let TestNode { node, _folder, .. } = node;
    let ended = node.shutdown().await;
    assert_eq!(ended.cut_off, 0);
    ended.log.unwrap();
    let answered: Vec<String> = clients.join_all().await.concat();
    let recorded: BTreeSet<String> =
        lines(&log).iter().map(|line| line["decision_id"].as_str().unwrap().to_owned()).collect();
    let lost: Vec<_> = answered.iter().filter(|id| !recorded.contains(*id)).collect();
    assert!(answered.len() >= 500 && lost.is_empty(), "of {} answered, lost: {lost:?}", answered.len());
}

#[tokio::test]
async fn an_open_stream_is_answered_and_then_ended() {
    let node = TestNode::start().await;
    let channel = Endpoint::from_shared(format!("http://{}", node.grpc())).unwrap().connect().await.unwrap();
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let messages = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut answers = DecisionClient::new(channel).decide_stream(messages).await.unwrap().into_inner();
    let framed = DecideStreamRequest {
        correlation_id: 1,
        token: node.token(),
        request: Some(message()),
        ..Default::default()
    };
    sender.send(framed).await.unwrap();
    assert!(matches!(answers.next().await.unwrap().unwrap().result, Some(Streamed::Decision(_))));
    let ended = node.shutdown().await;
    assert_eq!(ended.cut_off, 0, "the client keeps the stream open, the node does not wait for it");
    assert_eq!(answers.next().await.unwrap().unwrap_err().code(), Code::Unavailable);
    drop(sender);
}

#[tokio::test]
async fn a_call_in_progress_is_answered_before_the_node_ends() {
    let node = TestNode::start().await;
    let (mut stream, text) = (TcpStream::connect(node.http()).await.unwrap(), body(1));
    let head = format!(
        "POST /v1/decide HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        node.token(),
        text.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n", "the node is reading the body");
    let shutdown = node.shutdown();
    let finish = async {
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let (ended, answer) = tokio::join!(shutdown, finish);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""outcome":"allow""#), "{answer}");
    assert_eq!(ended.cut_off, 0);
}

#[tokio::test]
async fn who_takes_too_long_is_cut_off() {
    let node = TestNode::start_with(|config| config.patience.drain = Duration::from_millis(50)).await;
    let mut stream = TcpStream::connect(node.http()).await.unwrap();
    let head = format!(
        "POST /v1/decide HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n",
        node.token(),
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 25]).await.unwrap();
    let ended = node.shutdown().await;
    assert_eq!(ended.cut_off, 1);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap_or_default();
    assert_eq!(rest, b"", "no answer");
}

#[tokio::test]
async fn a_stopping_node_is_not_ready() {
    let node = TestNode::start().await;
    let mut stream = TcpStream::connect(node.http()).await.unwrap();
    // A connection from before, on which the node still reads a body, so that the drain lasts.
    let head = format!(
        "POST /v1/decide HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n",
        node.token(),
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 25]).await.unwrap();
    let address = node.http();
    let mut shutdown = std::pin::pin!(node.shutdown());
    // Polled once: from now on it is stopping.
    assert!(futures_util::poll!(shutdown.as_mut()).is_pending());
    let refused = async {
        loop {
            match TcpStream::connect(address).await {
                Err(_refused) => return,
                Ok(_accepted_before_the_socket_closed) => tokio::task::yield_now().await,
            }
        }
    };
    let finish = async {
        refused.await;
        stream.write_all(b"{}").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    };
    let (ended, ()) = tokio::join!(shutdown, finish);
    assert_eq!(ended.cut_off, 0);
}
