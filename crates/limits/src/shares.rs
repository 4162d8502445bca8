//! Who holds which part of a rate, as the leader knows it.
//!
//! At any time the parts that nodes may be using sum up to the rate at most, and in any sliding window so do the calls at
//! once, whatever messages were lost and however clocks drift within [`crate::term`]. A part is given away only when its
//! holder confirmed that it uses less, or when its term is over for sure.
//!
//! ```text
//!  grant ──▶ held ── renewed each tick ──▶ held ── no more requests ──▶ over ──▶ free
//!              └─ told a smaller part ──▶ both count ── confirmed, or the old term over ──▶ the smaller one counts
//! ```

use aegis_model::clock::Monotonic;
use aegis_model::money::Micros;

use crate::holder::Holder;
use crate::pace::Pace;
use crate::term::{burst_regrantable_at, regrantable_at};

/// The parts of one rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shares {
    whole: Pace,
    /// The number of the last grant. None is used twice: who was forgotten and comes back might confirm an old one.
    last_number: u64,
    holdings: Vec<Holding>,
}

/// The answer to a node's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// The part that it may use from now on.
    pub share: Pace,
    /// Its number, with which the node confirms that it uses no other.
    pub number: u64,
}

/// What one process of a data node may be using of a rate. The leader's moments mean nothing to another leader, which
/// begins with [`Shares::adopt`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// Who.
    pub holder: Holder,
    /// The part that it was told of last.
    pub share: Pace,
    /// The number of that: a new one whenever the part changes.
    pub number: u64,
    /// When the term of that is over for sure.
    pub until: Monotonic,
    /// The largest part that it may still be using because it did not hear of the last one.
    pub before: Pace,
    /// When the term of that is over for sure.
    pub before_until: Monotonic,
}

impl Holding {
    /// Calls per second that it may be using at `now`.
    fn rate(&self, now: Monotonic) -> Micros {
        let counts = |pace: Pace, until| if now < until { pace.rate() } else { Micros::ZERO };
        counts(self.share, self.until).max(counts(self.before, self.before_until))
    }

    /// Calls at once that it may have let through within the sliding window that ends at `now`, or may still.
    fn burst(&self, now: Monotonic) -> u32 {
        let counts = |pace: Pace, until| if now < burst_regrantable_at(until) { pace.burst() } else { 0 };
        counts(self.share, self.until).max(counts(self.before, self.before_until))
    }

    /// Whether it still counts for anything at `now`.
    fn counts(&self, now: Monotonic) -> bool {
        !self.rate(now).is_zero() || self.burst(now) > 0
    }
}

impl Shares {
    /// A rate of which nobody has a part: a new one, since it may be given out at once.
    pub fn new(whole: Pace) -> Self {
        Self { whole, last_number: 0, holdings: Vec::new() }
    }

    /// What another leader had given out, as it was replicated (the rate, [`Shares::last_number`] and
    /// [`Shares::holdings`]); `now` is read after this node became the leader. Every part counts for a whole term from now on.
    pub fn adopt(
        whole: Pace,
        last_number: u64,
        holdings: impl IntoIterator<Item = Holding>,
        now: Monotonic,
    ) -> Self {
        let until = regrantable_at(now);
        let adopted = |holding: Holding| Holding { until, before_until: until, ..holding };
        Self { whole, last_number, holdings: holdings.into_iter().map(adopted).collect() }
    }

    /// The number of the last grant.
    pub fn last_number(&self) -> u64 {
        self.last_number
    }

    /// The rate as a whole.
    pub fn whole(&self) -> Pace {
        self.whole
    }

    /// Who may be using what.
    pub fn holdings(&self) -> &[Holding] {
        &self.holdings
    }

    /// Changes the rate as a whole. Parts shrink with the next grants, and terms end within seconds.
    pub fn set_whole(&mut self, whole: Pace) {
        self.whole = whole;
    }

    /// Answers a request of `holder` that came in before `now`: the part that it may use from now on, which is that of
    /// `target` ([`crate::split`]) as far as others have not got it. Its term begins anew.
    ///
    /// - The answer has to be replicated before it is sent.
    /// - The node skips an answer whose number is below that of the one it uses, in whatever order answers come: otherwise
    ///   it could go back to a part that it confirmed not to use.
    pub fn grant(&mut self, holder: Holder, target: Pace, now: Monotonic) -> Granted {
        self.holdings.retain(|holding| holding.counts(now));
        let (mut rate, mut burst) = (self.whole.rate(), self.whole.burst());
        for other in self.holdings.iter().filter(|other| other.holder != holder) {
            rate = rate.saturating_sub(other.rate(now));
            burst = burst.saturating_sub(other.burst(now));
        }
        // A part of what is within the bounds is within the bounds.
        let share = Pace::new(target.rate().min(rate), target.burst().min(burst)).unwrap_or(Pace::NOTHING);
        let until = regrantable_at(now);
        match self.holdings.iter_mut().find(|holding| holding.holder == holder) {
            Some(holding) if holding.share == share => {
                holding.until = until;
                Granted { share, number: holding.number }
            }
            Some(holding) => {
                let (before, before_until) = widest(holding, now);
                self.last_number += 1;
                *holding = Holding { holder, share, number: self.last_number, until, before, before_until };
                Granted { share, number: self.last_number }
            }
            None => {
                let before = Pace::NOTHING;
                self.last_number += 1;
                let number = self.last_number;
                self.holdings.push(Holding { holder, share, number, until, before, before_until: now });
                Granted { share, number }
            }
        }
    }

    /// Notes that `holder` put the grant of this number into use, or a later one, as its request says that came in before
    /// `now`. A node never goes back to an earlier grant, so it does not matter how late the request is.
    pub fn confirm(&mut self, holder: Holder, number: u64, now: Monotonic) {
        let known = self.holdings.iter_mut().find(|holding| holding.holder == holder);
        if let Some(holding) = known.filter(|holding| holding.number == number) {
            // What was given up at the latest now still counts for its burst.
            holding.before_until = holding.before_until.min(now);
        }
    }
}

/// The part that covers all that a holder may be using, and when that is over.
fn widest(holding: &Holding, now: Monotonic) -> (Pace, Monotonic) {
    let (share, before) = (holding.share, holding.before);
    if now >= burst_regrantable_at(holding.before_until) {
        return (share, holding.until);
    }
    // What was given up is used no more; only its calls at once still lie within a window.
    let rate = if now < holding.before_until { share.rate().max(before.rate()) } else { share.rate() };
    let both = Pace::new(rate, share.burst().max(before.burst()));
    (both.unwrap_or(share), holding.until.max(holding.before_until))
}

#[cfg(test)]
mod tests;
