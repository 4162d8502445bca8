//! How long each stage of a walk took.

use std::time::Instant;

/// A stage whose time is taken. The order is that of the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Reading and decoding the request.
    Receive,
    /// From a token to a principal.
    Identify,
    /// From a principal to a verdict.
    Authorize,
    /// Whether it fits its limits, the wait for them included.
    Admit,
    /// Looking for what may not be passed on.
    Inspect,
    /// Whether a person has to agree.
    Consent,
    /// Writing the record, the wait for it included.
    Record,
}

impl Stage {
    /// Every stage, in order.
    pub(crate) const ALL: [Stage; 7] = [
        Self::Receive,
        Self::Identify,
        Self::Authorize,
        Self::Admit,
        Self::Inspect,
        Self::Consent,
        Self::Record,
    ];

    /// Its name in records and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Identify => "identify",
            Self::Authorize => "authorize",
            Self::Admit => "admit",
            Self::Inspect => "inspect",
            Self::Consent => "consent",
            Self::Record => "record",
        }
    }
}

/// A stopwatch with one lap per stage. Copied, not shared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Laps {
    last: Instant,
    nanos: [u64; Stage::ALL.len()],
}

impl Laps {
    /// Starts the watch.
    pub(crate) fn start() -> Self {
        Self { last: instant(), nanos: [0; Stage::ALL.len()] }
    }

    /// Ends the lap of `stage`; the next one begins.
    pub(crate) fn lap(&mut self, stage: Stage) {
        let now = instant();
        let nanos = now.saturating_duration_since(self.last).as_nanos();
        self.nanos[stage as usize] = u64::try_from(nanos).unwrap_or(u64::MAX);
        self.last = now;
    }

    /// The time of `stage` in nanoseconds; 0 if the walk did not get there.
    pub(crate) fn nanos(&self, stage: Stage) -> u64 {
        self.nanos[stage as usize]
    }

    /// The time of all stages together.
    pub(crate) fn total_nanos(&self) -> u64 {
        self.nanos.iter().fold(0, |total, nanos| total.saturating_add(*nanos))
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where work is timed; no answer depends on it")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lap_is_its_own() {
        let mut laps = Laps::start();
        laps.lap(Stage::Receive);
        let receive = laps.nanos(Stage::Receive);
        laps.lap(Stage::Authorize);
        assert_eq!(laps.nanos(Stage::Receive), receive);
        assert_eq!(laps.nanos(Stage::Identify), 0, "a stage that was not reached took no time");
    }
}
