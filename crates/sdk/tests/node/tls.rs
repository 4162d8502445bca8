//! TLS: a node that the roots vouch for is asked, any other is not told anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Node, allow};
use aegis_proto::v1;
use aegis_proto::v1::decision_server::Decision;
use aegis_sdk::{Call, Client, SdkError};
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

/// Counts calls, and names an owner.
struct Counting(Arc<AtomicUsize>, String);

#[tonic::async_trait]
impl Decision for Counting {
    async fn decide(&self, _: Request<v1::DecideRequest>) -> Result<Response<v1::DecideResponse>, Status> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(v1::DecideResponse { owner: self.1.clone(), ..allow() }))
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

    type DecideStreamStream = tokio_stream::Empty<Result<v1::DecideStreamResponse, Status>>;

    async fn decide_stream(
        &self,
        _: Request<Streaming<v1::DecideStreamRequest>>,
    ) -> Result<Response<Self::DecideStreamStream>, Status> {
        Err(Status::unimplemented("not in this test"))
    }
}

fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[tokio::test]
async fn only_a_node_that_the_roots_vouch_for_is_asked() {
    let (pem, key) = certificate();
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(&pem, &key));
    let calls = Arc::new(AtomicUsize::new(0));
    let server = Server::builder().tls_config(tls).expect("TLS settings");
    let node = Node::serve(server, Counting(Arc::clone(&calls), String::new())).await;
    let client = |roots: &str, name: &str| {
        Client::builder(node.endpoint.replace("http:", "https:"))
            .token("t")
            .attempts(1)
            .tls_roots(roots)
            .tls_server_name(name)
            .build()
            .expect("a client")
    };

    client(&pem, "localhost").decide(Call::new("t")).await.expect("an outcome");
    assert_eq!(calls.load(Ordering::SeqCst), 1);

    let (other, _) = certificate();
    for (roots, name) in [(&other, "localhost"), (&pem, "elsewhere.example")] {
        let error = client(roots, name).decide(Call::new("t")).await.expect_err("not vouched for");
        assert!(matches!(error, SdkError::Unavailable { .. }), "{error}");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

/// A node that is reached by TLS names one that is not: the token stays where it is protected.
#[tokio::test]
async fn a_token_never_leaves_tls_because_a_node_says_so() {
    let plain_calls = Arc::new(AtomicUsize::new(0));
    let plain = Node::serve(Server::builder(), Counting(Arc::clone(&plain_calls), String::new())).await;
    let (pem, key) = certificate();
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(&pem, &key));
    let calls = Arc::new(AtomicUsize::new(0));
    let server = Server::builder().tls_config(tls).expect("TLS settings");
    let node = Node::serve(server, Counting(Arc::clone(&calls), plain.endpoint.clone())).await;
    let client = Client::builder(node.endpoint.replace("http:", "https:"))
        // `{"tenant":"acme","sub":"a"}`
        .token("e30.eyJ0ZW5hbnQiOiJhY21lIiwic3ViIjoiYSJ9.c2ln")
        .tls_roots(pem)
        .tls_server_name("localhost")
        .build()
        .expect("a client");
    for _ in 0..3 {
        client.decide(Call::new("t")).await.expect("an outcome");
    }
    assert_eq!((calls.load(Ordering::SeqCst), plain_calls.load(Ordering::SeqCst)), (3, 0));
}
