//! gRPC health (`grpc.health.v1`) and reflection (`grpc.reflection.v1`).

use std::convert::Infallible;

use aegis_proto::v1::decision_server::SERVICE_NAME;
use hyper::body::Incoming;
use hyper::{Request, Response};
use tonic::body::Body;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use tower::util::BoxCloneSyncService;

use crate::readiness::Readiness;

pub(super) const HEALTH_NAME: &str = "grpc.health.v1.Health";
pub(super) const REFLECTION_NAME: &str = "grpc.reflection.v1.ServerReflection";

pub(super) type Server = HealthServer<HealthService>;
/// Its type has no name, so it is boxed.
pub(super) type Reflection = BoxCloneSyncService<Request<Incoming>, Response<Body>, Infallible>;

pub(super) fn server() -> (HealthReporter, Server) {
    let reporter = HealthReporter::new();
    let server = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
    (reporter, server)
}

/// Reflection of what the node serves, health and reflection included.
pub(super) fn reflection() -> Reflection {
    let service = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(aegis_proto::DESCRIPTOR)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect("the descriptors are generated");
    BoxCloneSyncService::new(service)
}

/// Reports the node's readiness, for the node as a whole and for the decision service, until the node stops.
pub(crate) async fn report(reporter: HealthReporter, mut readiness: Readiness) {
    loop {
        let status = match readiness.is_ready() {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        };
        reporter.set_service_status("", status).await;
        reporter.set_service_status(SERVICE_NAME, status).await;
        if !readiness.changed().await {
            return;
        }
    }
}
