//! How many calls there were, what became of them, and how long they took: counted also where no span is exported.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aegis_model::metric::{Distribution, Family};

use super::Outcome;

/// Upper ends of the buckets, in seconds: from what this node knows by itself to the longest that a call may take.
const SECONDS: [f64; 10] = [1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 0.5, 1.0, 5.0, 30.0];

/// The counts of one node. Operations are names of ours, so that there are some hundreds of series at most.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    calls: BTreeMap<(&'static str, Outcome), u64>,
    buckets: [u64; SECONDS.len() + 1],
    nanos: u64,
}

impl Counts {
    pub(super) fn count(&self, operation: &'static str, outcome: Outcome, nanos: u64) {
        let mut counted = self.counted();
        *counted.calls.entry((operation, outcome)).or_default() += 1;
        let seconds = nanos as f64 * 1e-9;
        let bucket = SECONDS.iter().position(|&end| seconds <= end).unwrap_or(SECONDS.len());
        counted.buckets[bucket] += 1;
        counted.nanos = counted.nanos.saturating_add(nanos);
    }

    /// As metrics.
    pub(super) fn families(&self) -> [Family; 2] {
        let counted = self.counted();
        let help = "Calls of people, their tools and data nodes, by what became of them.";
        let mut calls = Family::counter("aegis_control_calls_total", help);
        for ((operation, outcome), count) in &counted.calls {
            calls = calls.with(&[("operation", operation), ("outcome", outcome.as_str())], *count as f64);
        }
        let took = Distribution {
            bounds: SECONDS.to_vec(),
            counts: counted.buckets.to_vec(),
            sum: counted.nanos as f64 * 1e-9,
            exemplars: Vec::new(),
        };
        let help = "How long such calls took until they were answered; of streams, until they began.";
        [calls, Family::histogram("aegis_control_call_seconds", help).with_distribution(&[], took)]
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        // A panic in between leaves counts that are as good as before.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
