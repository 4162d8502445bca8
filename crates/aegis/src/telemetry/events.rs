//! Events of the audit log as OTLP log records, each with its place in the log. The way is that of telemetry; but nothing is dropped here:
//! who exports them tells them until they are taken.

use std::collections::BTreeMap;
use std::sync::Arc;

use aegis_audit::siem::{Event, Severity};
use aegis_dataplane::export::{Otlp, Told};
use aegis_model::clock::{Clock, UnixNanos};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::sync::OnceCell;

use super::link::{Link, Message, Sender};
use super::resource::{Who, attribute, scope, text};
use super::settings::Reach;

/// The collector that `reach` leads to, and that people know as `place`. It may be down.
///
/// # Errors
/// A file that is named cannot be used.
pub(crate) fn collector(place: &str, reach: &Reach<'_>, who: &Who) -> anyhow::Result<Otlp> {
    let link = Arc::new(Link::new(reach)?);
    let resource = Arc::new(who.resource(&BTreeMap::new()));
    // Opened by the runtime that uses it.
    let sender = Arc::new(OnceCell::<Sender>::new());
    Ok(Otlp::new(place, move |told| {
        let (link, resource, sender) = (Arc::clone(&link), Arc::clone(&resource), Arc::clone(&sender));
        async move {
            let open = async { link.open().map_err(|error| format!("{error:#}")) };
            let sender = sender.get_or_try_init(|| open).await?;
            let message = message(&resource, &told, Clock::System.now());
            sender.send(Message::Logs(message)).await.map_err(|unsent| unsent.to_string())
        }
    }))
}

fn message(resource: &Resource, told: &Told, now: UnixNanos) -> ExportLogsServiceRequest {
    let scoped = ScopeLogs {
        scope: Some(scope()),
        log_records: told.events.iter().map(|event| record(&told.origin, event, now)).collect(),
        ..ScopeLogs::default()
    };
    let told = ResourceLogs {
        resource: Some(resource.clone()),
        scope_logs: vec![scoped],
        ..ResourceLogs::default()
    };
    ExportLogsServiceRequest { resource_logs: vec![told] }
}

fn record(log: &str, event: &Event, now: UnixNanos) -> LogRecord {
    let (number, name) = match event.severity {
        Severity::Error => (SeverityNumber::Error, "ERROR"),
        Severity::Warning => (SeverityNumber::Warn, "WARN"),
        Severity::Notice => (SeverityNumber::Info2, "NOTICE"),
        Severity::Information => (SeverityNumber::Info, "INFO"),
    };
    let index = Value::IntValue(i64::try_from(event.index).unwrap_or(i64::MAX));
    let mut attributes = vec![
        text("aegis.log", log),
        attribute("aegis.index", index),
        text("aegis.leaf", event.leaf.to_string()),
        text("aegis.kind", event.kind.as_str()),
    ];
    attributes.extend(event.tenant.as_deref().map(|tenant| text("aegis.tenant", tenant)));
    LogRecord {
        time_unix_nano: event.at.0,
        observed_time_unix_nano: now.0,
        severity_number: number.into(),
        severity_text: name.to_owned(),
        body: Some(AnyValue { value: Some(Value::StringValue(event.text.clone())) }),
        attributes,
        trace_id: event.trace.map(|trace| trace.to_vec()).unwrap_or_default(),
        event_name: format!("aegis.{}", event.kind),
        ..LogRecord::default()
    }
}
