//! Clients that send too much, too slowly, or what no client should.

use std::time::Duration;

use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{TestNode, body, request};

/// What the node answers to `bytes`, until it closes the connection.
async fn send(node: &TestNode, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(node.http()).await.unwrap();
    // The node may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_body_is_bounded_whether_or_not_it_says_its_length() {
    let node = TestNode::start_with(|config| config.body_bytes_max = 1_000).await;
    let fits = format!("{}{}", body(1), " ".repeat(1_000 - body(1).len()));
    assert_eq!(node.post("/v1/decide", fits.clone()).await.status, 200);
    node.post("/v1/decide", format!("{fits} ")).await.expect_problem(413, "InvalidRequest");
    let chunked = format!(
        "POST /v1/decide HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n200\r\n{}\r\n200\r\n{}\r\n",
        node.token(),
        " ".repeat(512),
        " ".repeat(512)
    );
    let answer = send(&node, chunked.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "without reading to its end: {answer}");
    assert!(answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn bodies_of_all_shapes_arrive_whole() {
    let node = TestNode::start().await;
    let text = body(1);
    for size in [1, 7, text.len()] {
        let mut bytes = format!(
            "POST /v1/decide HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n",
            node.token()
        );
        for chunk in text.as_bytes().chunks(size) {
            bytes += &format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap());
        }
        let answer = send(&node, (bytes + "0\r\n\r\n").as_bytes()).await;
        assert!(answer.contains(r#""outcome":"allow""#), "chunks of {size}: {answer}");
    }
}

#[tokio::test]
async fn slow_clients_are_let_go() {
    let node = TestNode::start_with(|config| {
        // Long enough for those who are not slow, on a busy machine.
        config.patience.head = Duration::from_secs(1);
        config.patience.call = Duration::from_secs(1);
        config.patience.idle = Duration::from_secs(1);
    })
    .await;
    let head = format!(
        "POST /v1/decide HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{{",
        node.token()
    );
    let idle_grpc = async {
        let mut idle = TcpStream::connect(node.grpc()).await.unwrap();
        let _ = idle.read_to_end(&mut Vec::new()).await;
    };
    let (nothing, preface, half, answer, ()) = tokio::join!(
        send(&node, b""),
        send(&node, b"PRI * HT"),
        send(&node, b"POST /v1/decide HTTP/1.1\r\nhost: a\r\nx-slow: "),
        send(&node, head.as_bytes()),
        idle_grpc,
    );
    assert_eq!(nothing, "", "a connection without a request is closed");
    assert_eq!(preface, "", "half a preface too");
    assert!(half.is_empty() || half.starts_with("HTTP/1.1 408"), "half a head: {half}");
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("took too long"), "half a body: {answer}");
    assert_eq!(node.get("/healthz").await.status, 200, "the others are served");
}

#[tokio::test]
async fn heads_are_bounded() {
    let node = TestNode::start().await;
    let many: String = (0..200).map(|number| format!("x-{number}: a\r\n")).collect();
    let answer = send(&node, format!("GET /healthz HTTP/1.1\r\nhost: a\r\n{many}\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let long = format!("GET /healthz HTTP/1.1\r\nhost: a\r\nx-long: {}\r\n\r\n", "a".repeat(64 << 10));
    let answer = send(&node, long.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn ambiguous_requests_are_refused() {
    let node = TestNode::start().await;
    for (bytes, expected) in [
        ("GET http://evil.test/readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "400"),
        ("GET /readyz HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n", "400"),
        ("POST /v1/decide HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}", "400"),
        ("POST /v1/decide HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n{}", "400"),
        ("G\0T /readyz HTTP/1.1\r\nhost: a\r\n\r\n", "400"),
    ] {
        let answer = send(&node, bytes.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{bytes:?}: {answer}");
    }
    let same = "GET http://a/readyz HTTP/1.1\r\nhost: A\r\nconnection: close\r\n\r\n";
    assert!(send(&node, same.as_bytes()).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn secrets_are_in_no_answer_and_in_no_record() {
    let node = TestNode::start().await;
    let token = node.token();
    let call = r#"{"tool":"stripe-payments","action":"create_payment","params":{"amount":"KEEP-OUT"},"context":{"note":"KEEP-OUT"},"override_token":"KEEP-OUT"}"#;
    let mut told = vec![node.post("/v1/decide", call).await];
    told.push(node.post("/v1/decide", r#"{"tool":"KEEP OUT","params":{"KEEP-OUT":"KEEP-OUT"}}"#).await);
    told.push(node.post("/v1/decide", r#"{"tool":"a","params":"KEEP-OUT"}"#).await);
    told.push(node.post_as("KEEP-OUT", "/v1/decide", call).await);
    let headers = [(AUTHORIZATION, "Bearer KEEP-OUT".to_owned()), (CONTENT_TYPE, "text/KEEP-OUT".to_owned())];
    told.push(request(node.http(), "POST", "/v1/decide", &headers, call).await);
    for reply in &told {
        let text = String::from_utf8_lossy(&reply.body);
        assert!(!text.contains("KEEP") && !text.contains(&token), "{text}");
    }
    let lines = node.lines();
    assert!(lines.len() >= 2, "{lines:?}");
    let log = serde_json::Value::from(lines).to_string();
    assert!(!log.contains("KEEP") && !log.contains(&token), "{log}");
}
