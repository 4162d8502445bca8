//! TLS on HTTP and gRPC.

use std::sync::Arc;

use aegis_identity::tls::{IdentityPem, client_config, server_config};
use aegis_proto::v1::DecideRequest;
use aegis_proto::v1::decision_client::DecisionClient;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Request;
use tonic::transport::Endpoint;

use crate::support::{TestNode, body, request_over};

/// A node with a certificate for `localhost`, and the certificate.
async fn node() -> (TestNode, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let identity = IdentityPem { chain: chain.as_bytes(), key: key.as_bytes() };
    let tls = server_config(identity, None, &[]).unwrap();
    (TestNode::start_with(|config| config.tls = Some(Arc::new(tls))).await, chain)
}

async fn connect(address: std::net::SocketAddr, authority: &str, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
    let config = client_config(authority.as_bytes(), None, alpn).unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

#[tokio::test]
async fn http_over_tls() {
    let (node, certificate) = node().await;
    let stream = connect(node.http(), &certificate, &[b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    let headers =
        [(AUTHORIZATION, format!("Bearer {}", node.token())), (CONTENT_TYPE, "application/json".to_owned())];
    let reply = request_over(stream, "POST", "/v1/decide", &headers, body(1)).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["outcome"]), (200, &"allow".into()));
    let metadata = connect(node.http(), &certificate, &[]).await;
    let reply = request_over(metadata, "GET", "/.well-known/authzen-configuration", &[], "").await;
    assert!(reply.json()["policy_decision_point"].as_str().unwrap().starts_with("https://127.0.0.1:"));
}

#[tokio::test]
async fn grpc_over_tls() {
    let (node, certificate) = node().await;
    let address = node.grpc();
    let connector = tower::service_fn(move |_| {
        let certificate = certificate.clone();
        async move { Ok::<_, std::io::Error>(TokioIo::new(connect(address, &certificate, &[b"h2"]).await)) }
    });
    let endpoint = Endpoint::from_static("http://localhost");
    let mut client = DecisionClient::new(endpoint.connect_with_connector(connector).await.unwrap());
    let mut request = Request::new(DecideRequest { tool: "shell".into(), ..Default::default() });
    request.metadata_mut().insert("authorization", format!("Bearer {}", node.token()).parse().unwrap());
    let response = client.decide(request).await.unwrap().into_inner();
    assert_eq!(response.reasons[0].code, "ToolNotAllowed");
}

#[tokio::test]
async fn nothing_is_answered_in_the_clear() {
    let (node, _) = node().await;
    let mut stream = TcpStream::connect(node.http()).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[tokio::test]
async fn a_handshake_that_never_comes_is_let_go() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let identity = IdentityPem { chain: chain.as_bytes(), key: key.as_bytes() };
    let tls = server_config(identity, None, &[]).unwrap();
    let node = TestNode::start_with(|config| {
        config.tls = Some(Arc::new(tls));
        config.patience.handshake = std::time::Duration::from_millis(50);
    })
    .await;
    let mut stream = TcpStream::connect(node.http()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap_or_default();
    assert_eq!(answer, b"");
}
