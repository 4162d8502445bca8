//! How long a share of a rate holds, for the node that uses it and for the leader that gives it to another.
//!
//! Here, and only here, clocks matter: monotonic clocks that run too fast or too slow by at most
//! [`SHARE_DRIFT_PERCENT`]. The node counts from before it asked, and stops early; the leader counts from after it was asked,
//! and waits longer. So the node has stopped before the leader gives the share away, whatever the network did:
//!
//! ```text
//!  node    asks ────────── T (1 - rho) ──────────▶ stops
//!  leader       is asked ──────── T (1 + rho) + margin ────────▶ gives away
//! ```

use std::time::Duration;

use aegis_model::caps::{RATE_WINDOW_MS, SHARE_DRIFT_PERCENT, SHARE_MARGIN_MS, SHARE_SECONDS};
use aegis_model::clock::Monotonic;

/// The moment, by the node's own clock, from which it no longer uses a share that it asked for at `asked_at`: read before
/// the request was sent. A call counts by the moment that it read before it took its token.
pub fn usable_until(asked_at: Monotonic) -> Monotonic {
    after(asked_at, Duration::from_millis(SHARE_SECONDS * 10 * (100 - SHARE_DRIFT_PERCENT)))
}

/// The moment, by the leader's own clock, from which a share may be given to another node: `granted_at` was read after the
/// request came in. A new leader takes the moment at which it became one for every share that it finds.
pub fn regrantable_at(granted_at: Monotonic) -> Monotonic {
    let life = SHARE_SECONDS * 10 * (100 + SHARE_DRIFT_PERCENT) + SHARE_MARGIN_MS;
    after(granted_at, Duration::from_millis(life))
}

/// The moment from which calls at once that a node gave up at `given_up` may be given to another: when no sliding window
/// holds calls of both.
pub fn burst_regrantable_at(given_up: Monotonic) -> Monotonic {
    let window = RATE_WINDOW_MS * (100 + SHARE_DRIFT_PERCENT) / 100 + SHARE_MARGIN_MS;
    after(given_up, Duration::from_millis(window))
}

fn after(moment: Monotonic, time: Duration) -> Monotonic {
    Monotonic(moment.0.saturating_add(time))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A clock that began at some moment of its own and runs at `rate` millionths of real time.
    #[derive(Debug, Clone, Copy)]
    struct Drifting {
        begun: u64,
        rate: u64,
    }

    impl Drifting {
        fn shows(self, real: u64) -> Monotonic {
            let run = u128::from(real) * u128::from(self.rate) / 1_000_000;
            Monotonic(Duration::from_nanos(self.begun + run as u64))
        }
    }

    fn clock() -> impl Strategy<Value = Drifting> {
        (0..1_000_000_000_000_u64, 990_000..=1_010_000_u64).prop_map(|(begun, rate)| Drifting { begun, rate })
    }

    #[test]
    fn a_share_lives_five_seconds_less_or_more_one_percent() {
        let zero = Monotonic(Duration::ZERO);
        assert_eq!(usable_until(zero).0, Duration::from_millis(4_950));
        assert_eq!(regrantable_at(zero).0, Duration::from_millis(5_150));
        assert_eq!(burst_regrantable_at(zero).0, Duration::from_millis(1_110));
    }

    proptest! {
        #[test]
        fn a_node_stops_before_its_share_is_given_away(
            node in clock(), leader in clock(),
            asked in 0..1_000_000_000_000_u64,
            on_its_way in prop_oneof![0..1_000_000_u64, 0..20_000_000_000_u64],
            later in prop_oneof![4_800_000_000..5_400_000_000_u64, 0..20_000_000_000_u64],
        ) {
            let until = usable_until(node.shows(asked));
            let free = regrantable_at(leader.shows(asked + on_its_way));
            let real = asked + later;
            let (used, given_away) = (node.shows(real) < until, leader.shows(real) >= free);
            prop_assert!(!(used && given_away), "{real}");
        }

        #[test]
        fn no_window_holds_the_bursts_of_both(leader in clock(), given_up in 0..1_000_000_000_000_u64) {
            let free = burst_regrantable_at(leader.shows(given_up));
            prop_assert!(leader.shows(given_up + 1_000_000_000) < free);
        }
    }
}
