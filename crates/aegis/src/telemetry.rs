//! What a node tells an OpenTelemetry collector: a span per decision and per call of a control node, its metrics, its log. By OTLP, over gRPC or HTTP.
//!
//! A thread of its own does all of it. Whoever has something to tell puts it into a bounded queue and goes on; the thread looks into the
//! queues five times a second. A collector that is slow or gone makes queues full, and what finds no room is dropped and counted.
//!
//! The messages are those of OTLP itself ([`opentelemetry_proto`]): why not by the SDK of OpenTelemetry, ADR 0015 says.

mod calls;
pub(crate) mod events;
mod exporter;
mod link;
mod logs;
mod measures;
mod resource;
mod settings;
mod spans;
mod tallies;

use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use aegis_controlplane::spans::CallSink;
use aegis_dataplane::spans::SpanSink;
use aegis_model::clock::Clock;
use aegis_model::metric::{Family, Source};
use anyhow::Context;
use tokio::sync::watch;

use exporter::Exporter;
use link::Link;
pub(crate) use logs::LogTap;
pub(crate) use resource::Who;
pub(crate) use settings::{Protocol, Reach, Settings};
use tallies::Tallies;

/// Telemetry of a running node. Dropped without [`Telemetry::finish`], what is in the queues is lost.
#[derive(Debug)]
pub(crate) struct Telemetry {
    who: Who,
    started_seconds: f64,
    tallies: Arc<Tallies>,
    spans: Option<SpanSink>,
    calls: Option<CallSink>,
    tap: LogTap,
    /// What is pushed, once the node runs.
    source: Arc<OnceLock<Source>>,
    exporter: Option<(watch::Sender<bool>, JoinHandle<()>)>,
}

impl Telemetry {
    /// Begins to export as `settings` say; without, nothing is exported, and the node still tells what it is at `/metrics`.
    ///
    /// # Errors
    /// A file that is named cannot be used.
    pub(crate) fn start(settings: Option<&Settings>, who: Who, tap: &LogTap) -> anyhow::Result<Self> {
        let started = Clock::System.now();
        let mut telemetry = Self {
            who,
            started_seconds: started.0 as f64 / 1e9,
            tallies: Arc::default(),
            spans: None,
            calls: None,
            tap: tap.clone(),
            source: Arc::default(),
            exporter: None,
        };
        let Some(settings) = settings else { return Ok(telemetry) };
        let (stop, stopping) = watch::channel(false);
        let mut exporter = Exporter {
            link: Link::new(&settings.reach())?,
            resource: telemetry.who.resource(&settings.attributes),
            started,
            metrics_every: settings.metrics_every(),
            spans: None,
            calls: None,
            logs: None,
            source: settings.metrics.then(|| Arc::clone(&telemetry.source)),
            tallies: Arc::clone(&telemetry.tallies),
            stopping,
        };
        if settings.traces {
            let (sink, spans) = SpanSink::new(settings.sampling());
            (telemetry.spans, exporter.spans) = (Some(sink), Some(spans));
            let (sink, calls) = CallSink::of_system(Clock::System);
            (telemetry.calls, exporter.calls) = (Some(sink), Some(calls));
        }
        if settings.logs {
            exporter.logs = Some(tap.open());
        }
        let thread = std::thread::Builder::new().name(exporter::THREAD.to_owned());
        let thread = thread.spawn(move || exporter.run()).context("starting the exporter of telemetry")?;
        telemetry.exporter = Some((stop, thread));
        Ok(telemetry)
    }

    /// Where spans of decisions go.
    pub(crate) fn spans(&self) -> Option<SpanSink> {
        self.spans.clone()
    }

    /// Where spans of calls of a control node go.
    pub(crate) fn calls(&self) -> Option<CallSink> {
        self.calls.clone()
    }

    /// What `/metrics` shows beside what the node has to tell.
    pub(crate) fn more_metrics(&self) -> Source {
        let (who, started) = (self.who.clone(), self.started_seconds);
        let (tallies, spans, tap) = (Arc::clone(&self.tallies), self.spans.clone(), self.tap.clone());
        let calls = self.calls.clone();
        let exports = self.exporter.is_some();
        Source::new(move || {
            let labels = [("node", who.node.as_str()), ("service", who.service), ("version", Who::VERSION)];
            let mut families = vec![
                Family::gauge("aegis_build_info", "1, labelled with what runs here.").with(&labels, 1.0),
                Family::gauge("aegis_start_time_seconds", "When the process began, since 1970.")
                    .with(&[], started),
            ];
            if exports {
                let full =
                    spans.as_ref().map_or(0, SpanSink::dropped) + calls.as_ref().map_or(0, CallSink::dropped);
                families.extend(tallies.families(full, tap.dropped()));
            }
            families
        })
    }

    /// Pushes what `source` tells from now on.
    pub(crate) fn push(&self, source: Source) {
        // A node is started once.
        drop(self.source.set(source));
    }

    /// Exports what is left, as far as the collector takes it in time.
    pub(crate) fn finish(self) {
        if let Some((stop, thread)) = self.exporter {
            stop.send_replace(true);
            // What it panicked with is in the log.
            drop(thread.join());
        }
    }
}
