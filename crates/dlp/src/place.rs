//! A place in a text where a number begins, as detectors of numbers see it.

use std::cell::RefCell;

use crate::near::Near;

/// Farthest that a detector looks to the right of where it began, in bytes. A stream holds back as much.
pub(crate) const AHEAD: usize = 384;

/// Farthest that a detector looks to the left of where it began, in bytes. A stream keeps as much.
pub(crate) const BEHIND: usize = 160;

/// What a detector found: offsets of the text that it was shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hit {
    pub start: usize,
    pub end: usize,
    /// Whether checksum and ranges hold; else it only looks like it.
    pub valid: bool,
}

impl Hit {
    pub(crate) fn valid(start: usize, end: usize) -> Option<Self> {
        Some(Self { start, end, valid: true })
    }

    pub(crate) fn looks(start: usize, end: usize) -> Option<Self> {
        Some(Self { start, end, valid: false })
    }

    pub(crate) fn of(start: usize, end: usize, valid: bool) -> Option<Self> {
        Some(Self { start, end, valid })
    }
}

/// A run of digits, and what joins it to the next run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub start: usize,
    pub end: usize,
    /// Digits; more than 254 count as 255. Less than `end - start` where digits are spaced.
    pub digits: u8,
    /// The byte that joins it to the next run; 0 where it is the last one.
    pub joint: u8,
}

/// A number begins here: `runs[0]`, and what it is joined to.
pub(crate) struct Place<'a> {
    /// The text, up to where a detector may look.
    pub text: &'a [u8],
    pub runs: &'a [Run],
    /// What joins the run before to this one; 0 if none does.
    pub joint_before: u8,
    /// ASCII letters directly before.
    pub letters: usize,
    pub near: &'a Near,
    /// The kind that is being looked for: the words of which count.
    pub kind: u16,
}

/// The first digits of a place, as values.
#[derive(Clone, Copy)]
pub(crate) struct Digits {
    values: [u8; 32],
    len: usize,
}

impl std::ops::Deref for Digits {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.values[..self.len]
    }
}

impl Digits {
    /// The digits as a number.
    pub(crate) fn number(&self) -> u64 {
        number(self)
    }
}

/// Digits as a number.
pub(crate) fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |sum, digit| sum.wrapping_mul(10).wrapping_add(u64::from(*digit)))
}

impl Place<'_> {
    pub(crate) fn start(&self) -> usize {
        self.runs[0].start
    }

    /// The end of the first `count` runs.
    pub(crate) fn end(&self, count: usize) -> usize {
        self.runs[count - 1].end
    }

    /// Whether words of this kind stand near.
    pub(crate) fn context(&self) -> bool {
        self.near.has(self.kind)
    }

    /// The digits of the first `count` runs, at most 32.
    pub(crate) fn digits(&self, count: usize) -> Digits {
        let mut out = Digits { values: [0; 32], len: 0 };
        for byte in &self.text[self.start()..self.end(count)] {
            let value = byte.wrapping_sub(b'0');
            if value < 10 && out.len < 32 {
                out.values[out.len] = value;
                out.len += 1;
            }
        }
        out
    }

    /// Whether the first runs have these lengths, all joined by the same byte of `joints`, and the number goes on on
    /// neither side.
    pub(crate) fn shaped(&self, lengths: &[u8], joints: &[u8]) -> bool {
        let count = lengths.len();
        if self.runs.len() < count || !self.runs.iter().zip(lengths).all(|(run, len)| run.digits == *len) {
            return false;
        }
        let joint = self.runs[0].joint;
        (count == 1 || joints.contains(&joint) && self.runs[..count - 1].iter().all(|run| run.joint == joint))
            && self.alone(count)
    }

    /// Whether the number of the first `count` runs begins and ends here: no letter touches it, and no run is joined but
    /// by a space, or by another byte than joins its own runs.
    pub(crate) fn alone(&self, count: usize) -> bool {
        let inner = if count > 1 { self.runs[0].joint } else { 0 };
        let apart = |joint: u8| match joint {
            0 => true,
            b' ' => inner != b' ',
            b')' | b'(' => true,
            b'/' => inner != b'/' && inner != 0,
            _ => false,
        };
        self.letters == 0
            && apart(self.joint_before)
            && apart(self.runs[count - 1].joint)
            && ends(self.text, self.end(count))
    }

    /// The byte at so many before the first digit; 0 before the text.
    pub(crate) fn before(&self, back: usize) -> u8 {
        before(self.text, self.start(), back)
    }
}

/// Which bytes are one of `set`, as a table: what is asked of every byte is asked fast.
pub(crate) const fn any_of(set: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut at = 0;
    while at < set.len() {
        table[set[at] as usize] = true;
        at += 1;
    }
    table
}

/// The byte at so many before `at`; 0 before the text.
pub(crate) fn before(text: &[u8], at: usize, back: usize) -> u8 {
    at.checked_sub(back).map_or(0, |at| text[at])
}

/// Whether what ends at `end` is not followed by a letter, a digit or `_`.
pub(crate) fn ends(text: &[u8], end: usize) -> bool {
    text.get(end).is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
}

/// Whether what begins at `start` is not preceded by a letter or a digit. The letter of an escape, `\n`, is none.
pub(crate) fn begins(text: &[u8], start: usize) -> bool {
    let byte = before(text, start, 1);
    !byte.is_ascii_alphanumeric() || escape_letter(text, start)
}

/// Whether the byte before `start` is the letter of `\n`, `\r`, `\t`, `\b` or `\f`.
pub(crate) fn escape_letter(text: &[u8], start: usize) -> bool {
    matches!(before(text, start, 1), b'n' | b'r' | b't' | b'b' | b'f') && before(text, start, 2) == b'\\'
}

/// Any other place: an `@`, a colon, a word.
pub(crate) struct Spot<'a> {
    /// The text, up to where a detector may look.
    pub text: &'a [u8],
    /// Where the byte or word begins.
    pub at: usize,
    /// Where it ends.
    pub end: usize,
    pub near: &'a Near,
    /// The kind that is being looked for.
    pub kind: u16,
    /// Long values that were announced before.
    pub announced: &'a Announced,
}

/// Where long values end that words announced, by kind: words within such a value announce nothing more, so that no value is
/// read again for each word in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Announced(RefCell<Vec<(u16, usize)>>);

impl Announced {
    /// Whether a word at `at` lies within a long value of this kind.
    pub(crate) fn holds(&self, kind: u16, at: usize) -> bool {
        self.0.borrow().iter().any(|(other, end)| *other == kind && at < *end)
    }

    /// Notes where a long value ends.
    pub(crate) fn note(&self, kind: u16, end: usize) {
        let mut all = self.0.borrow_mut();
        match all.iter_mut().find(|(other, _)| *other == kind) {
            Some((_, last)) => *last = end,
            None => all.push((kind, end)),
        }
    }

    /// The first bytes of the text are gone.
    pub(crate) fn forget(&mut self, count: usize) {
        self.0.get_mut().retain_mut(|(_, end)| {
            *end = end.saturating_sub(count);
            *end > 0
        });
    }
}

impl Spot<'_> {
    /// Whether words of this kind stand near.
    pub(crate) fn context(&self) -> bool {
        self.near.has(self.kind)
    }
}
