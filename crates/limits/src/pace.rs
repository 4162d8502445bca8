//! A rate with its burst, as whole nanoseconds.

use std::time::Duration;

use aegis_model::caps::{BURST_MAX, RATE_MAX};
use aegis_model::clock::Monotonic;
use aegis_model::money::Micros;

/// The last moment that a bucket can tell, in nanoseconds of the process: after nine years it admits nothing more.
pub(crate) const TIME_NS_MAX: u64 = (1 << 58) - 1;

/// The longest time that a full bucket may stand for. A burst that takes longer to gather, at four years, is cut.
const SPAN_NS_MAX: u64 = TIME_NS_MAX / 2;

/// The interval of a pace that admits nothing.
pub(crate) const NEVER: u64 = u64::MAX;

/// So many calls per second, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    rate: Micros,
    burst: u32,
}

/// A rate or burst beyond the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a rate is at most {RATE_MAX} calls per second, and a burst at most {BURST_MAX} calls")]
pub struct BadPace;

impl Pace {
    /// Admits nothing: the share of a node that has none.
    pub const NOTHING: Self = Self { rate: Micros::ZERO, burst: 0 };

    /// `rate` calls per second, in millionths of a call, and `burst` calls at once. Nothing is admitted where either is 0.
    ///
    /// # Errors
    /// Beyond [`RATE_MAX`] or [`BURST_MAX`].
    pub fn new(rate: Micros, burst: u32) -> Result<Self, BadPace> {
        let fits =
            Micros::of_units(u64::from(RATE_MAX)).is_some_and(|most| rate <= most) && burst <= BURST_MAX;
        fits.then_some(Self { rate, burst }).ok_or(BadPace)
    }

    /// Calls per second, in millionths of a call.
    pub fn rate(self) -> Micros {
        self.rate
    }

    /// Calls at once.
    pub fn burst(self) -> u32 {
        self.burst
    }

    /// Whether it admits any call.
    pub fn admits_any(self) -> bool {
        self.interval_ns() != NEVER
    }

    /// Nanoseconds from call to call, rounded up, so that no second holds one more than the rate; [`NEVER`] if none.
    pub(crate) fn interval_ns(self) -> u64 {
        match (self.rate.0, self.burst) {
            (0, _) | (_, 0) => NEVER,
            (rate, _) => 1_000_000_000_000_000_u64.div_ceil(rate),
        }
    }

    /// Nanoseconds that a full bucket stands for: one interval at least, and whole intervals.
    pub(crate) fn span_ns(self) -> u64 {
        match self.interval_ns() {
            NEVER => 0,
            interval => interval * u64::from(self.burst).min(SPAN_NS_MAX / interval),
        }
    }
}

/// Nanoseconds of the process at this moment; the last one that can be told from then on.
pub(crate) fn nanos(now: Monotonic) -> u64 {
    let seconds = now.0.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(u64::from(now.0.subsec_nanos())).min(TIME_NS_MAX)
}

/// A time to wait.
pub(crate) fn wait(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_has_bounds() {
        let most = Micros::of_units(u64::from(RATE_MAX)).unwrap();
        assert!(Pace::new(most, BURST_MAX).is_ok());
        assert_eq!(Pace::new(Micros(most.0 + 1), 1), Err(BadPace));
        assert_eq!(Pace::new(most, BURST_MAX + 1), Err(BadPace));
    }

    #[test]
    fn the_time_between_calls_is_rounded_up() {
        let of = |rate, burst| {
            let pace = Pace::new(Micros(rate), burst).unwrap();
            (pace.interval_ns(), pace.span_ns())
        };
        assert_eq!(of(5_000_000, 5), (200_000_000, 1_000_000_000));
        assert_eq!(of(3_000_000, 1), (333_333_334, 333_333_334));
        assert_eq!(of(500_000, 2), (2_000_000_000, 4_000_000_000));
        assert_eq!(of(1_000_000_000_000, 10), (1_000, 10_000));
        assert_eq!(of(0, 10), (NEVER, 0));
        assert_eq!(of(5_000_000, 0), (NEVER, 0));
        let (interval, span) = of(1, BURST_MAX);
        assert!(interval == 1_000_000_000_000_000 && (interval..=SPAN_NS_MAX).contains(&span));
    }
}
