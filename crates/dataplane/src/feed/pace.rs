//! How long everything may take, and how long to pause before trying again.

use std::time::Duration;

use aegis_model::caps;

/// The times of a feed. The defaults are those of `model::caps`; tests are in more of a hurry.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Longest time to reach a control node and be welcomed.
    pub welcome: Duration,
    /// Longest time without any news before the next control node is tried.
    pub silence: Duration,
    /// The first and longest pause between two control nodes.
    pub pause: (Duration, Duration),
    /// Longest time to fetch one bundle.
    pub fetch: Duration,
    /// The first and longest pause before what failed is made ready again.
    pub retry: (Duration, Duration),
    /// How often it is looked for what is due.
    pub tick: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            welcome: Duration::from_secs(caps::FEED_WELCOME_SECONDS),
            silence: Duration::from_secs(caps::FEED_SILENCE_SECONDS),
            pause: (Duration::from_millis(100), Duration::from_millis(caps::FEED_PAUSE_MS_MAX)),
            fetch: Duration::from_secs(caps::FEED_FETCH_SECONDS),
            retry: (Duration::from_millis(500), Duration::from_secs(caps::FEED_RETRY_SECONDS_MAX)),
            tick: Duration::from_millis(500),
        }
    }
}

/// Pauses that double up to a bound, each drawn from its upper half, so that nodes do not come in step.
#[derive(Debug)]
pub(crate) struct Pauses {
    first: Duration,
    longest: Duration,
    next: Duration,
    state: u64,
}

impl Pauses {
    /// From the first of these to the last.
    pub(crate) fn new((first, longest): (Duration, Duration), seed: u64) -> Self {
        Self { first, longest, next: first, state: seed }
    }

    /// After something went well.
    pub(crate) fn begin_anew(&mut self) {
        self.next = self.first;
    }

    /// The pause to make now.
    pub(crate) fn next(&mut self) -> Duration {
        let whole = self.next.min(self.longest);
        self.next = whole.saturating_mul(2);
        let half = whole / 2;
        half + half.mul_f64(self.draw())
    }

    /// From 0 to 1: SplitMix64. Spreads load, decides nothing.
    fn draw(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The pause before attempt number `attempts` + 1 at something that failed `attempts` times.
pub(super) fn retry_after(pace: &Pace, attempts: u32) -> Duration {
    let (first, longest) = pace.retry;
    first.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1))).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_their_bound_and_begin_anew() {
        let mut pauses = Pauses::new(Pace::default().pause, 7);
        let mut whole = Duration::from_millis(100);
        for _ in 0..20 {
            let pause = pauses.next();
            assert!(pause >= whole / 2 && pause <= whole, "{pause:?} of {whole:?}");
            whole = (whole * 2).min(Duration::from_millis(caps::FEED_PAUSE_MS_MAX));
        }
        pauses.begin_anew();
        assert!(pauses.next() <= Duration::from_millis(100));
    }

    #[test]
    fn two_nodes_do_not_pause_alike() {
        let draw = |seed| {
            let mut pauses = Pauses::new(Pace::default().pause, seed);
            (0..5).map(|_| pauses.next()).collect::<Vec<_>>()
        };
        assert_ne!(draw(1), draw(2));
        assert_eq!(draw(1), draw(1));
    }

    #[test]
    fn what_fails_often_is_tried_seldom() {
        let pace = Pace::default();
        assert_eq!(retry_after(&pace, 1), Duration::from_millis(500));
        assert_eq!(retry_after(&pace, 3), Duration::from_secs(2));
        assert_eq!(retry_after(&pace, 60), Duration::from_secs(30));
    }
}
