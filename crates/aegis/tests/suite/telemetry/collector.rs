//! A real OpenTelemetry collector, which writes what it receives into files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use aegis_testkit::{TestProcess, eventually, kept};
use anyhow::Context;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::LONG;

/// By which way it is told.
#[derive(Clone, Copy)]
pub(super) enum Protocol {
    Grpc,
    Http,
}

pub(super) struct Collector {
    folder: TempDir,
    program: PathBuf,
    grpc: String,
    http: String,
    process: Option<TestProcess>,
}

impl Collector {
    pub(super) fn start(program: &Path) -> Self {
        let address = || kept().expect("a free port").to_string();
        let mut collector = Self::at(program, address(), address());
        collector.begin();
        collector
    }

    /// One at these addresses for gRPC and HTTP, which does not run yet.
    pub(super) fn at(program: &Path, grpc: String, http: String) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let mut config = format!(
            "receivers:\n  otlp:\n    protocols:\n      grpc: {{endpoint: '{grpc}'}}\n      http: {{endpoint: '{http}'}}\nexporters:\n"
        );
        for signal in ["traces", "metrics", "logs"] {
            let path = at(signal);
            config += &format!("  file/{signal}: {{path: '{path}', flush_interval: 100ms, append: true}}\n");
        }
        config += "service:\n  telemetry: {metrics: {level: none}}\n  pipelines:\n";
        for signal in ["traces", "metrics", "logs"] {
            config += &format!("    {signal}: {{receivers: [otlp], exporters: [file/{signal}]}}\n");
        }
        fs::write(at("config.yaml"), config).expect("a file");
        Self { folder, program: program.to_owned(), grpc, http, process: None }
    }

    /// A place beside its files.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs it; what it wrote before stays.
    pub(super) fn begin(&mut self) {
        let config = self.folder.path().join("config.yaml");
        let process = TestProcess::start(Command::new(&self.program).arg("--config").arg(config));
        let process = process.expect("the collector starts");
        let ready = eventually("the collector", LONG, || {
            process.error_lines().iter().any(|line| line.contains("Everything is ready")).then_some(())
        });
        assert!(ready.is_ok(), "{:?}", process.error_lines());
        self.process = Some(process);
    }

    /// Ends it in order: what it has answered for, it has written.
    pub(super) fn stop(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.terminate().expect("it runs");
        process.wait_end(LONG).expect("it ends");
    }

    pub(super) fn endpoint(&self, protocol: Protocol) -> String {
        match protocol {
            Protocol::Grpc => format!("http://{}", self.grpc),
            Protocol::Http => format!("http://{}", self.http),
        }
    }

    /// What it has written of a signal, once all of `parts` are in it.
    #[track_caller]
    pub(super) fn text(&self, signal: &str, parts: &[&str]) -> String {
        let found = eventually("what the collector received", LONG, || {
            Some(self.so_far(signal)).filter(|text| parts.iter().all(|part| text.contains(part)))
        });
        found
            .with_context(|| {
                format!(
                    "not all of {parts:?} are in
{}",
                    self.so_far(signal)
                )
            })
            .expect("it is received")
    }

    /// Whole lines.
    fn so_far(&self, signal: &str) -> String {
        let text = fs::read_to_string(self.folder.path().join(signal)).unwrap_or_default();
        text.rsplit_once('\n').map(|(whole, _rest)| whole.to_owned()).unwrap_or_default()
    }

    /// The spans that it has received, once they are those that are wanted.
    #[track_caller]
    pub(super) fn spans_until(&self, wanted: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let found = eventually("the collector's spans", LONG, || {
            Some(self.spans_so_far()).filter(|spans| wanted(spans))
        });
        found
            .with_context(|| {
                format!(
                    "not all spans are in
{}",
                    self.so_far("traces")
                )
            })
            .expect("spans")
    }

    /// The log records that it has received.
    pub(super) fn records_so_far(&self) -> Vec<LogRecord> {
        let text = self.so_far("logs");
        // Where it was killed a line may be cut.
        let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut records = Vec::new();
        for message in messages {
            for resource in list(&message["resourceLogs"]) {
                for scope in list(&resource["scopeLogs"]) {
                    records.extend(list(&scope["logRecords"]).iter().cloned().map(LogRecord));
                }
            }
        }
        records
    }

    /// The spans that it has received.
    pub(super) fn spans_so_far(&self) -> Vec<Span> {
        let text = self.so_far("traces");
        let messages = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let mut spans = Vec::new();
        for message in messages {
            for resource in list(&message["resourceSpans"]) {
                for scope in list(&resource["scopeSpans"]) {
                    spans.extend(list(&scope["spans"]).iter().cloned().map(Span));
                }
            }
        }
        spans
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[derive(Debug)]
pub(super) struct Span(Value);

impl Span {
    /// A text or a number; nothing if it is not there.
    pub(super) fn attribute(&self, name: &str) -> String {
        attribute(&self.0, name)
    }

    pub(super) fn events(&self) -> Vec<String> {
        list(&self.0["events"]).iter().filter_map(|it| it["name"].as_str()).map(str::to_owned).collect()
    }

    pub(super) fn name(&self) -> &str {
        self.0["name"].as_str().unwrap_or_default()
    }

    pub(super) fn id(&self) -> &str {
        self.0["spanId"].as_str().unwrap_or_default()
    }

    pub(super) fn trace(&self) -> &str {
        self.0["traceId"].as_str().unwrap_or_default()
    }

    pub(super) fn parent(&self) -> &str {
        self.0["parentSpanId"].as_str().unwrap_or_default()
    }
}

#[derive(Debug)]
pub(super) struct LogRecord(Value);

impl LogRecord {
    /// A text or a number; nothing if it is not there.
    pub(super) fn attribute(&self, name: &str) -> String {
        attribute(&self.0, name)
    }

    pub(super) fn body(&self) -> &str {
        self.0["body"]["stringValue"].as_str().unwrap_or_default()
    }

    pub(super) fn severity(&self) -> &str {
        self.0["severityText"].as_str().unwrap_or_default()
    }

    pub(super) fn trace(&self) -> &str {
        self.0["traceId"].as_str().unwrap_or_default()
    }
}

fn attribute(of: &Value, name: &str) -> String {
    let found = list(&of["attributes"]).iter().find(|it| it["key"] == name);
    let value = found.map(|it| &it["value"]).unwrap_or(&Value::Null);
    let text = value["stringValue"].as_str().or_else(|| value["intValue"].as_str());
    text.unwrap_or_default().to_owned()
}
