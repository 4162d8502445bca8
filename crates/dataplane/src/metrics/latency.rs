//! How long whole decisions take, with an exemplar per bucket: a slow one can be looked up in its trace.

use std::array;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use aegis_model::decision::Outcome;
use aegis_model::metric::{Distribution, Exemplar, Family};

/// Upper ends of the buckets, in seconds. 20 ms is what a decision may take at the 99th percentile.
const BOUNDS: [f64; 14] =
    [2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 1.0, 5.0];

const BUCKETS: usize = BOUNDS.len() + 1;

/// How an answer is labelled: the outcomes in their order, and `refused` for an answer that is no decision.
const LABELS: [&str; 5] = ["allow", "deny", "sanitize", "approval_required", "refused"];

/// The histogram of all answers. Without locks but for exemplars, which are left out rather than waited for.
pub(super) struct Latency {
    series: [Bins; LABELS.len()],
}

struct Bins {
    counts: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
    exemplars: [Mutex<Option<Exemplar>>; BUCKETS],
}

impl Latency {
    pub(super) fn new() -> Self {
        Self { series: array::from_fn(|_| Bins::new()) }
    }

    /// Counts an answer that took so long.
    pub(super) fn observe(&self, outcome: Option<Outcome>, nanos: u64, exemplar: Option<Exemplar>) {
        let at = outcome.map_or(LABELS.len() - 1, |outcome| outcome as usize);
        self.series[at].observe(nanos, exemplar);
    }

    /// Only what was counted: a label without answers has no series.
    pub(super) fn family(&self) -> Family {
        let help = "Time from the arrival of a call to its answer, record included, by what was answered.";
        let all = Family::histogram("aegis_decision_seconds", help);
        let shown = LABELS.iter().zip(&self.series).map(|(label, bins)| (label, bins.distribution()));
        shown
            .filter(|(_, distribution)| distribution.count() > 0)
            .fold(all, |family, (label, distribution)| {
                family.with_distribution(&[("outcome", label)], distribution)
            })
    }
}

impl Bins {
    fn new() -> Self {
        Self {
            counts: array::from_fn(|_| AtomicU64::new(0)),
            nanos: AtomicU64::new(0),
            exemplars: array::from_fn(|_| Mutex::new(None)),
        }
    }

    fn observe(&self, nanos: u64, exemplar: Option<Exemplar>) {
        let seconds = nanos as f64 * 1e-9;
        let bucket = BOUNDS.iter().position(|&end| seconds <= end).unwrap_or(BOUNDS.len());
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        if let (Some(exemplar), Ok(mut kept)) = (exemplar, self.exemplars[bucket].try_lock()) {
            *kept = Some(Exemplar { value: seconds, ..exemplar });
        }
    }

    fn distribution(&self) -> Distribution {
        Distribution {
            bounds: BOUNDS.to_vec(),
            counts: self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            sum: self.nanos.load(Ordering::Relaxed) as f64 * 1e-9,
            exemplars: self
                .exemplars
                .iter()
                .map(|kept| kept.try_lock().ok().and_then(|kept| *kept))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use aegis_model::clock::UnixNanos;
    use aegis_model::metric::Value;
    use aegis_model::trace::{SpanId, TraceId};

    use super::*;

    #[test]
    fn a_value_lies_in_the_bucket_whose_end_it_does_not_pass() {
        let latency = Latency::new();
        let exemplar =
            Exemplar { trace: TraceId([1; 16]), span: SpanId([2; 8]), value: 0.0, at: UnixNanos(3) };
        latency.observe(Some(Outcome::Deny), 20_000_000, Some(exemplar));
        latency.observe(Some(Outcome::Deny), 20_000_001, None);
        latency.observe(None, u64::MAX / 2, None);
        let family = latency.family();
        let labels: Vec<&str> = family.series.iter().map(|one| one.labels[0].1.as_str()).collect();
        assert_eq!(labels, ["deny", "refused"]);
        let Value::Distribution(deny) = &family.series[0].value else { panic!("a histogram") };
        assert_eq!((deny.counts[9], deny.counts[10], deny.count()), (1, 1, 2));
        assert_eq!(deny.exemplars[9].map(|kept| kept.value), Some(0.02));
        assert_eq!(deny.exemplars[10], None);
        let Value::Distribution(refused) = &family.series[1].value else { panic!("a histogram") };
        assert_eq!(refused.counts[BUCKETS - 1], 1);
    }
}
