//! A token bucket as one moment in one word (GCRA, the generic cell rate algorithm of ITU-T I.371).
//!
//! The word holds the *due moment*: when all calls that were admitted would have been served, one per interval. A call is
//! admitted if that lies at most a burst ahead, and moves it by one interval. Every sliding window of one second admits
//! at most rate + burst calls: the work of those calls was served within the second, or still lies ahead, at most a burst.
//!
//! A refund may not break that. It takes away what lies ahead of the call's own work and no more: a call whose work was
//! served by now has nothing to give back, since its token grew again already. Where its work lies follows from the due
//! moment after it, earlier by whatever others have given back since.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aegis_model::clock::Monotonic;
use aegis_model::money::Micros;

use crate::cell::{Cell, update};
use crate::pace::{NEVER, Pace, TIME_NS_MAX, nanos, wait};

/// A token bucket that any number of threads takes from.
#[derive(Debug)]
pub struct Bucket<C: Cell = AtomicU64> {
    /// The due moment, and two counters that make it unlike earlier ones. See [`Word`].
    word: C,
    /// Nanoseconds that were given back, or tried to, since the beginning; wraps.
    refunded: C,
    /// The present pace and the one before, by the lowest bit of the generation: interval and span.
    paces: [[C; 2]; 2],
    /// The moment from which nothing is admitted, until it is moved.
    ends: C,
    /// Held by who changes the pace. Never on the way of a call.
    changing: Mutex<()>,
}

/// What was taken for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// The word after it.
    word: u64,
    /// What was refunded before it.
    refunded: u64,
}

/// Why nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooFast {
    /// Calls come too fast. After this time there is a token, if nobody else takes it.
    #[error("calls come too fast")]
    Wait(Duration),
    /// Nothing is admitted here at present: the node has no share of the rate, or its share ended.
    #[error("there is no share of the rate here")]
    NoShare,
}

impl Bucket {
    /// A full bucket.
    pub fn new(pace: Pace) -> Self {
        Self::in_cells(pace, AtomicU64::new)
    }
}

impl<C: Cell> Bucket<C> {
    /// A full bucket whose words are made by `cell`.
    pub fn in_cells(pace: Pace, cell: impl Fn(u64) -> C) -> Self {
        let slot = || [cell(pace.interval_ns()), cell(pace.span_ns())];
        Self {
            word: cell(0),
            refunded: cell(0),
            paces: [slot(), slot()],
            ends: cell(TIME_NS_MAX),
            changing: Mutex::new(()),
        }
    }

    /// Takes a token for a call at `now`.
    ///
    /// # Errors
    /// There is none; nothing has changed.
    pub fn take(&self, now: Monotonic) -> Result<Token, TooFast> {
        let now = nanos(now);
        if now >= self.ends.load() {
            return Err(TooFast::NoShare);
        }
        loop {
            // Read before the word: a refund that is missed here makes the word another one, or gives back less.
            let refunded = self.refunded.load();
            let seen = self.word.load();
            let word = Word::of(seen);
            let [interval, span] = self.pace(word.generation);
            if interval == NEVER {
                return Err(TooFast::NoShare);
            }
            let due = word.due.max(now).saturating_add(interval);
            let ahead = due - now;
            if ahead > span {
                return Err(TooFast::Wait(wait(ahead - span)));
            }
            if due > TIME_NS_MAX {
                return Err(TooFast::NoShare);
            }
            let new = Word { due, ..word }.packed();
            if self.word.exchange(seen, new).is_ok() {
                return Ok(Token { word: new, refunded });
            }
        }
    }

    /// The tokens that are there at `now`, in millionths. None where nothing is admitted.
    pub fn rest(&self, now: Monotonic) -> Micros {
        let now = nanos(now);
        let word = Word::of(self.word.load());
        let [interval, span] = self.pace(word.generation);
        if now >= self.ends.load() || interval == NEVER {
            return Micros::ZERO;
        }
        let there = span.saturating_sub(word.due.saturating_sub(now));
        Micros(scaled(there, interval, 1_000_000))
    }

    /// Gives back a token of a call that did not come about: what of it did not grow again since. Nothing if the pace was
    /// changed meanwhile.
    pub fn refund(&self, token: Token, now: Monotonic) {
        let (now, taken) = (nanos(now), Word::of(token.word));
        let mut own = 0_u64;
        loop {
            let seen = self.word.load();
            let word = Word::of(seen);
            if word.generation != taken.generation {
                return;
            }
            let earlier = self.refunded.load().wrapping_sub(token.refunded).wrapping_sub(own);
            let [interval, _] = self.pace(taken.generation);
            let due = taken.due.saturating_sub(earlier);
            let back = due.saturating_sub(now).min(interval);
            if back == 0 {
                return;
            }
            // Before the word: who takes a token in between reads it, and then the word is no longer the one seen here.
            // The function never gives nothing.
            let _ = update(&self.refunded, |refunded| Some(refunded.wrapping_add(back)));
            own = own.wrapping_add(back);
            let new = Word { due: word.due.saturating_sub(back), refunds: word.refunds + 1, ..word };
            if self.word.exchange(seen, new.packed()).is_ok() {
                return;
            }
        }
    }

    /// Changes the pace. The tokens that are there stay, but for those beyond the new burst; a larger burst fills with time.
    /// From [`Pace::NOTHING`] it begins empty.
    pub fn change(&self, pace: Pace, now: Monotonic) {
        let now = nanos(now);
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = update(&self.word, |seen| {
            let word = Word::of(seen);
            let [interval, span] = self.pace(word.generation);
            if [interval, span] == [pace.interval_ns(), pace.span_ns()] {
                return None;
            }
            // Nobody reads this slot before the word says so.
            let [next_interval, next_span] = &self.paces[slot(word.generation + 1)];
            next_interval.store(pace.interval_ns());
            next_span.store(pace.span_ns());
            let there = span.saturating_sub(word.due.saturating_sub(now));
            let ahead = pace.span_ns() - scaled(there, interval, pace.interval_ns()).min(pace.span_ns());
            let due = now.saturating_add(ahead).min(TIME_NS_MAX);
            Some(Word { due, generation: word.generation + 1, ..word }.packed())
        });
        // `Err`: the pace is that one already.
        let _ = changed;
    }

    /// Lets the bucket admit calls until `ends`, and nothing from then on: the end of a share.
    pub fn end_at(&self, ends: Monotonic) {
        self.ends.store(nanos(ends));
    }

    fn pace(&self, generation: u64) -> [u64; 2] {
        let [interval, span] = &self.paces[slot(generation)];
        [interval.load(), span.load()]
    }
}

fn slot(generation: u64) -> usize {
    usize::from(generation & 1 == 1)
}

/// The time that as many tokens stand for at another interval, rounded down.
fn scaled(time: u64, interval: u64, other: u64) -> u64 {
    if interval == NEVER || other == NEVER {
        return 0;
    }
    u64::try_from(u128::from(time) * u128::from(other) / u128::from(interval)).unwrap_or(u64::MAX)
}

/// What the word of a bucket says.
#[derive(Clone, Copy)]
struct Word {
    /// The due moment: 58 bits.
    due: u64,
    /// Changes of the pace: 2 bits. Who read a pace that was changed since finds another word.
    generation: u64,
    /// Refunds: 4 bits. Who reckoned with what was refunded before finds another word.
    refunds: u64,
}

impl Word {
    fn of(word: u64) -> Self {
        Self { due: word >> 6, generation: word >> 4 & 3, refunds: word & 15 }
    }

    fn packed(self) -> u64 {
        self.due << 6 | (self.generation & 3) << 4 | self.refunds & 15
    }
}

#[cfg(test)]
mod tests;
