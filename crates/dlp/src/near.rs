//! Which words stand near: the context of a number.

use crate::words::WORD_MAX;

/// A word counts up to so many bytes before a value.
pub(crate) const LEFT: usize = 96;

/// And up to so many after a value's first digit.
pub(crate) const RIGHT: usize = 48;

/// Kinds with words of their own: as many as bits in a mask.
pub(crate) const KINDS_MAX: usize = 64;

/// The words of a text in order, and the last of each kind up to a place that only moves on.
pub(crate) struct Near {
    words: Vec<(usize, usize, u64)>,
    cursor: usize,
    last: [usize; KINDS_MAX],
    /// Kinds whose words stand around the whole text, such as in the key of a JSON member.
    hint: u64,
    reach: usize,
}

impl Near {
    /// Around a text with these kinds.
    pub(crate) fn new(hint: u64) -> Self {
        Self { words: Vec::new(), cursor: 0, last: [usize::MAX; KINDS_MAX], hint, reach: 0 }
    }

    /// A word from `start` to `end` that speaks of these kinds. Words come in order.
    pub(crate) fn push(&mut self, start: usize, end: usize, kinds: u64) {
        self.words.push((start, end, kinds));
    }

    /// Moves on to a place.
    pub(crate) fn move_to(&mut self, at: usize) {
        while let Some((start, end, kinds)) = self.words.get(self.cursor)
            && *start <= at + RIGHT
        {
            let mut left = *kinds;
            while left != 0 {
                self.last[left.trailing_zeros() as usize] = *end;
                left &= left - 1;
            }
            self.cursor += 1;
        }
        self.reach = at.saturating_sub(LEFT);
    }

    /// Whether a word of this kind stands near the place.
    pub(crate) fn has(&self, kind: u16) -> bool {
        let kind = usize::from(kind);
        kind < KINDS_MAX
            && (self.hint >> kind & 1 == 1 || self.last[kind] != usize::MAX && self.last[kind] >= self.reach)
    }

    /// Begins again at the start, for another run over the same text.
    pub(crate) fn rewind(&mut self) {
        self.cursor = 0;
        self.last = [usize::MAX; KINDS_MAX];
    }

    /// The kinds whose words stand near a place, and those of the whole text.
    pub(crate) fn around(&self, at: usize) -> u64 {
        let to = self.words.partition_point(|word| word.0 <= at);
        let close = self.words[..to].iter().rev().take_while(|word| word.0 + WORD_MAX + LEFT >= at);
        close.filter(|word| word.1 + LEFT >= at).fold(self.hint, |kinds, word| kinds | word.2)
    }
}
