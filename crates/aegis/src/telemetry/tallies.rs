//! What became of what was to be exported.

use std::sync::atomic::{AtomicU64, Ordering};

use aegis_model::metric::Family;

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Spans,
    Metrics,
    Logs,
}

impl Signal {
    pub(super) const ALL: [Self; 3] = [Self::Spans, Self::Metrics, Self::Logs];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Spans => "spans",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }
}

/// Counters of each signal.
#[derive(Debug, Default)]
pub(super) struct Tallies([Tally; Signal::ALL.len()]);

#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Taken by the collector.
    pub(super) exported: AtomicU64,
    /// Refused by the collector, for good.
    pub(super) refused: AtomicU64,
    /// Left in the queue when the node ended.
    pub(super) unsent: AtomicU64,
    /// Messages that did not get there; each is tried again, but for metrics, of which newer ones come.
    pub(super) failures: AtomicU64,
}

impl Tallies {
    pub(super) fn of(&self, signal: Signal) -> &Tally {
        &self.0[signal as usize]
    }

    /// All of them, with what found no room in the queues.
    pub(super) fn families(&self, spans_full: u64, logs_full: u64) -> [Family; 3] {
        let mut exported = Family::counter(
            "aegis_telemetry_exported_total",
            "Spans, metrics and lines that a collector has taken.",
        );
        let mut dropped = Family::counter(
            "aegis_telemetry_dropped_total",
            "Spans, metrics and lines that no collector has: the queue was full, or the collector refused them.",
        );
        let mut failures =
            Family::counter("aegis_telemetry_failures_total", "Messages that did not get to a collector.");
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        for signal in Signal::ALL {
            let (tally, name) = (self.of(signal), signal.as_str());
            let full = match signal {
                Signal::Spans => spans_full,
                Signal::Metrics => 0,
                Signal::Logs => logs_full,
            };
            exported = exported.with(&[("signal", name)], read(&tally.exported));
            failures = failures.with(&[("signal", name)], read(&tally.failures));
            for (cause, count) in
                [("full", full as f64), ("refused", read(&tally.refused)), ("unsent", read(&tally.unsent))]
            {
                dropped = dropped.with(&[("cause", cause), ("signal", name)], count);
            }
        }
        [exported, dropped, failures]
    }
}
