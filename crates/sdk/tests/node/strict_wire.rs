//! The service's codec, over a real connection: what the proto file does not know never reaches a node's code.

use crate::support::{Node, Reply, allow};
use aegis_proto::status::reason_of;
use aegis_proto::v1;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

/// A call as a newer client might send it.
#[derive(Clone, PartialEq, prost::Message)]
struct NewerRequest {
    #[prost(string, tag = "2")]
    tool: String,
    #[prost(bytes = "vec", tag = "4")]
    params: Vec<u8>,
    #[prost(bool, tag = "15")]
    only_if_cheap: bool,
}

async fn decide(node: &Node, request: NewerRequest) -> Result<v1::DecideResponse, Status> {
    let channel = Endpoint::from_shared(node.endpoint.clone()).expect("an endpoint").connect_lazy();
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.expect("a connection");
    let path = PathAndQuery::from_static("/aegis.v1.Decision/Decide");
    let codec = ProstCodec::<NewerRequest, v1::DecideResponse>::default();
    client.unary(Request::new(request), path, codec).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_field_that_the_node_does_not_know_is_refused() {
    let node = Node::scripted(|_, _| Reply::Answer(Ok(allow()))).await;
    let known = NewerRequest { tool: "t".to_owned(), params: b"{}".to_vec(), only_if_cheap: false };
    decide(&node, known.clone()).await.expect("the known part alone is answered");
    let status = decide(&node, NewerRequest { only_if_cheap: true, ..known }).await.expect_err("refused");
    assert_eq!((status.code(), reason_of(&status)), (Code::InvalidArgument, Some("InvalidRequest")));
    assert!(status.message().contains("no field 15"), "{}", status.message());
    assert_eq!(node.seen().len(), 1, "the second call never reached the node's code");
}
