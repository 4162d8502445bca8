//! What is noted of every answer: its latency, its outcome, or what went wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::bounds;

/// Why a call brought no answer, or not the right one. Holds no value of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub String);

/// The notes of one connection, or of several put together.
#[derive(Debug, Clone)]
pub struct Tally {
    latency: Histogram<u64>,
    outcomes: BTreeMap<&'static str, u64>,
    errors: BTreeMap<String, u64>,
    /// When the last measured answer came, since the start of the run.
    pub last: Duration,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            latency: histogram(),
            outcomes: BTreeMap::new(),
            errors: BTreeMap::new(),
            last: Duration::ZERO,
        }
    }
}

/// A histogram of nanoseconds with three significant digits.
pub(crate) fn histogram() -> Histogram<u64> {
    let highest = bounds::LATENCY_SECONDS_MAX * 1_000_000_000;
    Histogram::new_with_bounds(1_000, highest, 3).expect("the bounds are constants that fit each other")
}

impl Tally {
    /// Notes an answer.
    pub fn answered(&mut self, outcome: &'static str, latency: Duration, at: Duration) {
        self.latency.saturating_record(nanos(latency));
        *self.outcomes.entry(outcome).or_default() += 1;
        self.last = self.last.max(at);
    }

    /// Notes `count` calls that failed alike.
    pub fn failed(&mut self, failure: Failure, count: u64) {
        let known = self.errors.contains_key(&failure.0);
        let kind = match known || self.errors.len() < bounds::ERROR_KINDS_MAX {
            true => failure.0,
            false => "other errors".to_owned(),
        };
        if count > 0 {
            *self.errors.entry(kind).or_default() += count;
        }
    }

    /// Adds the notes of another connection or round.
    pub fn add(&mut self, other: &Self) {
        self.latency.add(&other.latency).expect("both have the same bounds");
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(outcome).or_default() += count;
        }
        for (error, count) in &other.errors {
            self.failed(Failure(error.clone()), *count);
        }
        self.last = self.last.max(other.last);
    }

    /// How many measured calls were answered.
    pub fn count(&self) -> u64 {
        self.latency.len()
    }

    /// The latency that `percent` of the calls stayed within; 100 gives the longest.
    pub fn latency(&self, percent: f64) -> Duration {
        Duration::from_nanos(self.latency.value_at_percentile(percent))
    }

    /// How often each outcome was answered.
    pub fn outcomes(&self) -> &BTreeMap<&'static str, u64> {
        &self.outcomes
    }

    /// What went wrong, and how often, warm-up included.
    pub fn errors(&self) -> &BTreeMap<String, u64> {
        &self.errors
    }
}

/// A duration in nanoseconds; saturates after 584 years.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_add_up() {
        let (mut one, mut two) = (Tally::default(), Tally::default());
        one.answered("allow", Duration::from_millis(1), Duration::from_secs(1));
        two.answered("deny", Duration::from_millis(3), Duration::from_secs(2));
        two.answered("allow", Duration::from_secs(1_000), Duration::from_secs(1));
        two.failed(Failure("broken".to_owned()), 2);
        one.add(&two);
        assert_eq!(one.count(), 3);
        assert_eq!(one.outcomes(), &[("allow", 2), ("deny", 1)].into());
        assert_eq!(one.errors(), &[("broken".to_owned(), 2)].into());
        assert_eq!(one.latency(50.0).as_micros() / 10, 300);
        assert!(one.latency(100.0) >= Duration::from_secs(60), "beyond the longest counts as the longest");
        assert_eq!(one.last, Duration::from_secs(2));
    }

    #[test]
    fn kinds_of_errors_are_bounded() {
        let mut tally = Tally::default();
        (0..100).for_each(|kind| tally.failed(Failure(format!("kind {kind}")), 1));
        assert_eq!(tally.errors().len(), bounds::ERROR_KINDS_MAX + 1);
        assert_eq!(tally.errors().values().sum::<u64>(), 100);
        tally.failed(Failure("kind 3".to_owned()), 1);
        assert_eq!(tally.errors()["kind 3"], 2);
    }
}
