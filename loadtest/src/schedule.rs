//! When each call is due: a constant rate, fixed before the first call is made.
//!
//! The schedule knows nothing of the server. That is what makes the loop open: a server that stalls does not slow the
//! calls down, it lets them wait, and their wait is measured from the moment they were due.

use std::time::Duration;

/// Calls at a constant rate, the first ones to warm up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    rate: u32,
    warm_up: u64,
    measured: u64,
}

impl Schedule {
    /// `rate` calls per second, at least one, for `warm_up` and then for `measured`.
    pub fn new(rate: u32, warm_up: Duration, measured: Duration) -> Self {
        let rate = rate.max(1);
        let count = |part: Duration| {
            let calls = part.as_nanos() * u128::from(rate) / NANOS_PER_SECOND;
            u64::try_from(calls).unwrap_or(u64::MAX)
        };
        Self { rate, warm_up: count(warm_up), measured: count(measured).max(1) }
    }

    /// Calls per second.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// The number of the first measured call; those before it warm up.
    pub fn first_measured(&self) -> u64 {
        self.warm_up
    }

    /// How many calls are measured.
    pub fn measured(&self) -> u64 {
        self.measured
    }

    /// How many calls there are in all.
    pub fn calls(&self) -> u64 {
        self.warm_up.saturating_add(self.measured)
    }

    /// When call `number` is due, counted from the beginning. Computed for each call anew, so that rounding never
    /// adds up.
    pub fn due(&self, number: u64) -> Duration {
        let nanos = u128::from(number) * NANOS_PER_SECOND / u128::from(self.rate);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// When the last call is over if it takes no time.
    pub fn length(&self) -> Duration {
        self.due(self.calls())
    }
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_due_at_a_constant_rate_without_drift() {
        let schedule = Schedule::new(3, Duration::from_secs(1), Duration::from_secs(2));
        assert_eq!((schedule.first_measured(), schedule.measured(), schedule.calls()), (3, 6, 9));
        assert_eq!(schedule.due(1), Duration::from_nanos(333_333_333));
        assert_eq!(schedule.due(3), Duration::from_secs(1));
        assert_eq!(schedule.due(3_000_000_000), Duration::from_secs(1_000_000_000));
        assert_eq!(schedule.length(), Duration::from_secs(3));
    }

    #[test]
    fn something_is_always_measured() {
        assert_eq!(Schedule::new(1, Duration::ZERO, Duration::from_millis(10)).measured(), 1);
        assert_eq!(Schedule::new(0, Duration::ZERO, Duration::from_secs(1)).rate(), 1);
    }
}
