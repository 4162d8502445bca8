//! gRPC health of a control node: the same truth as `/readyz`.

use std::time::Duration;

use aegis_proto::admin::admin_server::SERVICE_NAME;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use crate::admin::Admin;
use crate::admin::rest::readiness;

/// How often the node looks at itself.
const LOOK: Duration = Duration::from_secs(1);

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
    loop {
        let ready = readiness(&admin).ready;
        report(if ready { ServingStatus::Serving } else { ServingStatus::NotServing }).await;
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    report(ServingStatus::NotServing).await;
}
