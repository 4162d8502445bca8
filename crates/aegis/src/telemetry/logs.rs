//! Lines of the log on their way to a collector, beside standard error. Nothing waits here either.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use aegis_model::caps;
use aegis_model::clock::{Clock, UnixNanos};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::exporter;
use super::resource::{attribute, scope, text};

/// A line of the log.
#[derive(Debug)]
pub(super) struct Line {
    at: UnixNanos,
    level: Level,
    target: &'static str,
    message: String,
    fields: Vec<KeyValue>,
}

/// Where lines are taken from. Made when logging starts, opened once it is known whether they are wanted. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogTap(Arc<Tap>);

#[derive(Debug, Default)]
struct Tap {
    queue: OnceLock<mpsc::Sender<Line>>,
    dropped: AtomicU64,
}

impl LogTap {
    /// Takes lines from now on: the end of their queue.
    pub(super) fn open(&self) -> mpsc::Receiver<Line> {
        let (queue, lines) = mpsc::channel(caps::LOG_QUEUE_MAX);
        // A process exports once.
        drop(self.0.queue.set(queue));
        lines
    }

    /// How many lines found no room.
    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

impl<S: Subscriber> Layer<S> for LogTap {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let Some(queue) = self.0.queue.get() else { return };
        // What the exporter says of its own trouble goes to standard error only: it would have to export it again and again.
        if std::thread::current().name() == Some(exporter::THREAD) {
            return;
        }
        let metadata = event.metadata();
        let mut line = Line {
            at: Clock::System.now(),
            level: *metadata.level(),
            target: metadata.target(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut line);
        if queue.try_send(line).is_err() {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Line {
    fn put(&mut self, field: &Field, value: Value) {
        self.fields.push(attribute(field.name(), value));
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let cut = &value[..value.floor_char_boundary(caps::LOG_VALUE_BYTES_MAX)];
        match field.name() {
            "message" => cut.clone_into(&mut self.message),
            _ => self.put(field, Value::StringValue(cut.to_owned())),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::IntValue(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.put(field, Value::IntValue(value)),
            Err(_) => self.put(field, Value::StringValue(value.to_string())),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::DoubleValue(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::BoolValue(value));
    }
}

/// The message with `lines`.
pub(super) fn message(resource: &Resource, lines: &[Line]) -> ExportLogsServiceRequest {
    let scoped = ScopeLogs {
        scope: Some(scope()),
        log_records: lines.iter().map(record).collect(),
        ..ScopeLogs::default()
    };
    let told = ResourceLogs {
        resource: Some(resource.clone()),
        scope_logs: vec![scoped],
        ..ResourceLogs::default()
    };
    ExportLogsServiceRequest { resource_logs: vec![told] }
}

fn record(line: &Line) -> LogRecord {
    let severity = match line.level {
        Level::ERROR => SeverityNumber::Error,
        Level::WARN => SeverityNumber::Warn,
        Level::INFO => SeverityNumber::Info,
        Level::DEBUG => SeverityNumber::Debug,
        Level::TRACE => SeverityNumber::Trace,
    };
    let mut attributes = line.fields.clone();
    attributes.push(text("log.target", line.target));
    LogRecord {
        time_unix_nano: line.at.0,
        observed_time_unix_nano: line.at.0,
        severity_number: severity.into(),
        severity_text: line.level.to_string(),
        body: Some(AnyValue { value: Some(Value::StringValue(line.message.clone())) }),
        attributes,
        ..LogRecord::default()
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::prelude::*;

    use super::*;

    #[test]
    fn lines_are_taken_once_somebody_wants_them_and_never_waited_for() {
        let tap = LogTap::default();
        let subscriber = tracing_subscriber::registry().with(tap.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("before");
            let mut lines = tap.open();
            tracing::warn!(tenant = "acme", count = 3, "a policy is {}", "old");
            let line = lines.try_recv().unwrap();
            assert_eq!((line.message.as_str(), line.level), ("a policy is old", Level::WARN));
            let names: Vec<&str> = line.fields.iter().map(|field| field.key.as_str()).collect();
            assert_eq!(names, ["tenant", "count"]);
            let told = record(&line);
            assert_eq!(told.severity_number, SeverityNumber::Warn as i32);
            assert!(lines.try_recv().is_err(), "nobody wanted the line before");
            for _ in 0..caps::LOG_QUEUE_MAX + 7 {
                tracing::info!("again");
            }
            assert_eq!(tap.dropped(), 7);
        });
    }
}
