//! A gRPC client of the admin API: answers, refusals with their problems, streams, health and reflection.

use aegis_controlplane::admin::grpc::{self, problem_of};
use aegis_controlplane::readiness::Standing;
use aegis_proto::admin::admin_client::AdminClient;
use aegis_proto::admin::{
    ActivateRequest, CreateTenantRequest, PolicySource, PublishVersionRequest, TenantRequest, VersionRequest,
    WatchActivationRequest,
};
use aegis_proto::status::reason_of;
use aegis_testkit::loopback;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request};

use crate::setting::Setting;

/// A client, and what serves it.
async fn connected(setting: &Setting) -> (AdminClient<Channel>, Channel, JoinSet<()>) {
    let (listener, address) = loopback().unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    let (reporter, health) = grpc::health();
    let admin = setting.admin.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(grpc::report_health(admin.clone(), reporter, Default::default()));
    let server = Server::builder()
        .add_service(grpc::server(admin))
        .add_service(health)
        .add_service(grpc::reflection())
        .serve_with_incoming(TcpListenerStream::new(listener));
    tasks.spawn(async move { server.await.unwrap() });
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    (AdminClient::new(channel.clone()), channel, tasks)
}

fn asked<T>(setting: &Setting, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let bearer = format!("Bearer {}", setting.token).parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    request
}

#[tokio::test]
async fn a_policy_goes_into_force_over_grpc() {
    let setting = Setting::new().await;
    let (mut client, _channel, _tasks) = connected(&setting).await;
    let create = CreateTenantRequest { name: "acme".into(), ..Default::default() };
    client.create_tenant(asked(&setting, create)).await.unwrap();
    let text = "agent: payer\nallowed_tools:\n- name: stripe\n".to_owned();
    let sources = vec![PolicySource { path: "payer.yaml".into(), text }];
    let publish = PublishVersionRequest { tenant: "acme".into(), sources, ..Default::default() };
    let published = client.publish_version(asked(&setting, publish)).await.unwrap().into_inner();
    let activate = ActivateRequest { tenant: "acme".into(), enforced: 1, ..Default::default() };
    let now = client.activate(asked(&setting, activate.clone())).await.unwrap().into_inner();
    let watch = WatchActivationRequest { tenant: "acme".into(), ..Default::default() };
    let mut steps = client.watch_activation(asked(&setting, watch)).await.unwrap().into_inner();
    let step = steps.next().await.unwrap().unwrap();
    assert_eq!((step.activation, step.state.as_str()), (now.activation, "done"), "there are no data nodes");
    let version = VersionRequest { tenant: "acme".into(), version: 1 };
    let pieces = client.download_bundle(asked(&setting, version)).await.unwrap().into_inner();
    let bytes: usize = pieces.map(|piece| piece.unwrap().data.len()).fold(0, |sum, more| sum + more).await;
    assert_eq!(bytes as u64, published.version.unwrap().bundle_bytes);
    let stale = ActivateRequest { only_if_activation: Some(9), ..activate };
    let status = client.activate(asked(&setting, stale)).await.unwrap_err();
    assert_eq!((status.code(), reason_of(&status)), (Code::Aborted, Some("precondition_failed")));
    let current = problem_of(&status).unwrap().facts.into_iter().find(|fact| fact.name == "current");
    assert_eq!(current.unwrap().value, now.activation.to_string());
}

#[tokio::test]
async fn a_refused_policy_is_explained_in_the_status() {
    let setting = Setting::new().await;
    let (mut client, _channel, _tasks) = connected(&setting).await;
    let create = CreateTenantRequest { name: "acme".into(), ..Default::default() };
    client.create_tenant(asked(&setting, create)).await.unwrap();
    // More problems than metadata holds.
    let lines: String = (0..90).map(|number| format!("field_{number}: 1\n")).collect();
    let sources = vec![PolicySource { path: "broken.yaml".into(), text: format!("agent: x\n{lines}") }];
    let publish = PublishVersionRequest { tenant: "acme".into(), sources, ..Default::default() };
    let status = client.publish_version(asked(&setting, publish)).await.unwrap_err();
    assert_eq!((status.code(), reason_of(&status)), (Code::InvalidArgument, Some("policy_rejected")));
    let problem = problem_of(&status).unwrap();
    assert!(problem.findings[0].file == "broken.yaml" && problem.more_findings > 0, "{problem:?}");
}

#[tokio::test]
async fn a_request_with_a_field_that_is_unknown_here_is_refused() {
    let setting = Setting::new().await;
    let (_client, channel, _tasks) = connected(&setting).await;
    // A client of newer software, whose message has a field more: `only_if_revision`, say, as field 5.
    let newer = aegis_proto::admin::UpdateTenantRequest {
        tenant: "acme".into(),
        only_if_revision: Some(1),
        ..Default::default()
    };
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let codec = aegis_proto::codec::ExactCodec::<_, aegis_proto::admin::Tenant>::default();
    let path = http::uri::PathAndQuery::from_static("/aegis.v1.Admin/GetTenant");
    let status = grpc.unary(asked(&setting, newer), path, codec).await.unwrap_err();
    assert_eq!((status.code(), reason_of(&status)), (Code::InvalidArgument, Some("malformed")));
}

#[tokio::test]
async fn nobody_sends_much_before_it_is_known_who_it_is_and_nobody_sends_too_much() {
    let setting = Setting::new().await;
    let (mut client, _channel, _tasks) = connected(&setting).await;
    let sources = vec![PolicySource { path: "a.yaml".into(), text: "x".repeat(8 << 20) }];
    let publish = PublishVersionRequest { tenant: "acme".into(), sources, ..Default::default() };
    let status = client.publish_version(publish).await.unwrap_err();
    assert_eq!(reason_of(&status), Some("unauthenticated"), "{status:?}");
    let large = CreateTenantRequest { name: "x".repeat(1 << 20), ..Default::default() };
    let status = client.create_tenant(asked(&setting, large)).await.unwrap_err();
    assert_eq!((status.code(), reason_of(&status)), (Code::InvalidArgument, Some("too_large")));
    // The connection and the node go on.
    let create = CreateTenantRequest { name: "acme".into(), ..Default::default() };
    client.create_tenant(asked(&setting, create)).await.unwrap();
}

#[tokio::test]
async fn health_and_reflection_are_there_for_everybody() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

    let setting = Setting::new().await;
    let (mut client, channel, _tasks) = connected(&setting).await;
    let ask = HealthCheckRequest { service: "aegis.v1.Admin".into() };
    let mut health = HealthClient::new(channel.clone()).watch(ask).await.unwrap().into_inner();
    let mut until = async |wanted| {
        while health.next().await.expect("another status").unwrap().status() != wanted {}
    };
    until(ServingStatus::Serving).await;
    setting.standing.send_replace(Standing::InDoubt);
    until(ServingStatus::NotServing).await;
    setting.standing.send_replace(Standing::Ready);
    until(ServingStatus::Serving).await;
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let asked_once = tokio_stream::once(list);
    let mut reflection = ServerReflectionClient::new(channel);
    let mut answers = reflection.server_reflection_info(asked_once).await.unwrap().into_inner();
    let answer = format!("{:?}", answers.next().await.unwrap().unwrap());
    assert!(answer.contains("aegis.v1.Admin") && answer.contains("grpc.health.v1.Health"), "{answer}");
    let status = client.get_tenant(TenantRequest { tenant: "acme".into() }).await.unwrap_err();
    assert_eq!(reason_of(&status), Some("unauthenticated"));
}
