//! What searches cost the node, for operators.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aegis_model::metric::{Distribution, Family};

/// How a question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// With an answer.
    Answered,
    /// Too many others waited.
    Busy,
    /// The logs could not be read.
    Unreadable,
    /// The work on it panicked.
    Panicked,
}

const ENDS: [(Ended, &str); 4] = [
    (Ended::Answered, "answered"),
    (Ended::Busy, "busy"),
    (Ended::Unreadable, "unreadable"),
    (Ended::Panicked, "panicked"),
];

/// Upper ends of buckets, in seconds: a question works for two seconds and the file that it is at.
const SECONDS: [f64; 8] = [0.005, 0.02, 0.1, 0.5, 1.0, 2.0, 4.0, 8.0];

/// Counts questions. A search takes milliseconds, so that a lock is nothing beside it.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    sums: Mutex<Sums>,
}

#[derive(Debug, Default, Clone)]
struct Sums {
    ended: [u64; ENDS.len()],
    read_bytes: u64,
    buckets: [u64; SECONDS.len() + 1],
    seconds: f64,
}

impl Counts {
    /// A question that was not worked on.
    pub(super) fn refused(&self, ended: Ended) {
        self.change(|sums| sums.end(ended));
    }

    /// A question that was worked on for so long.
    pub(super) fn worked(&self, ended: Ended, took: Duration, read_bytes: u64) {
        self.change(|sums| {
            sums.end(ended);
            sums.read_bytes += read_bytes;
            let seconds = took.as_secs_f64();
            sums.seconds += seconds;
            let bucket = SECONDS.iter().position(|end| seconds <= *end).unwrap_or(SECONDS.len());
            sums.buckets[bucket] += 1;
        });
    }

    fn change(&self, change: impl FnOnce(&mut Sums)) {
        change(&mut self.sums.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// As metrics.
    pub(crate) fn families(&self) -> Vec<Family> {
        let sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let questions = Family::counter(
            "aegis_search_questions_total",
            "Questions of the control plane about decisions in this node's logs, by how they ended.",
        );
        let questions = ENDS
            .iter()
            .zip(sums.ended)
            .fold(questions, |family, ((_, name), count)| family.with(&[("result", name)], count as f64));
        let seconds = Distribution {
            bounds: SECONDS.to_vec(),
            counts: sums.buckets.to_vec(),
            sum: sums.seconds,
            exemplars: Vec::new(),
        };
        vec![
            questions,
            Family::histogram("aegis_search_seconds", "How long the node worked on a question.")
                .with_distribution(&[], seconds),
            Family::counter("aegis_search_read_bytes_total", "Bytes of logs that questions read.")
                .with(&[], sums.read_bytes as f64),
        ]
    }
}

impl Sums {
    fn end(&mut self, ended: Ended) {
        let place = ENDS.iter().position(|(end, _)| *end == ended).expect("every end has its place");
        self.ended[place] += 1;
    }
}
