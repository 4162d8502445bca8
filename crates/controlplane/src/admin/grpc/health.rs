//! gRPC health of a control node: the same truth as `/readyz`.

use aegis_proto::admin::admin_server::SERVICE_NAME;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use crate::admin::Admin;

/// The service, and what reports to it.
pub fn health() -> (HealthReporter, HealthServer<HealthService>) {
    let reporter = HealthReporter::new();
    let server = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
    (reporter, server)
}

/// Reports the node's readiness, for the node as a whole and for the admin API, until `stop`; then it does not serve.
pub async fn report_health(admin: Admin, reporter: HealthReporter, stop: CancellationToken) {
    let report = async |status| {
        reporter.set_service_status("", status).await;
        reporter.set_service_status(SERVICE_NAME, status).await;
    };
    let mut readiness = admin.readiness().clone();
    loop {
        let ready = readiness.is_ready();
        report(if ready { ServingStatus::Serving } else { ServingStatus::NotServing }).await;
        tokio::select! {
            () = stop.cancelled() => break,
            changes = readiness.changed() => if !changes { stop.cancelled().await },
        }
    }
    report(ServingStatus::NotServing).await;
}
