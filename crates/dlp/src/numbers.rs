//! Runs of digits: where numbers begin, and which detectors look at them.

use crate::detectors::{Anchor, DETECTORS};
use crate::near::Near;
use crate::place::{AHEAD, Hit, Place, Run, escape_letter};

/// Longest run that any detector wants, and so the size of the tables.
const DIGITS_MAX: usize = 20;

/// Most letters before a run that any detector wants.
const LETTERS_MAX: usize = 6;

/// Runs that a detector sees from where it begins.
const RUNS_SEEN: usize = 10;

/// Runs that are read at once.
const RUNS_READ: usize = 64;

/// Fewest digits that are looked at as one number although each stands alone: `1 2 3 - 4 5 - 6 7 8 9`.
const SPACED_MIN: usize = 9;

/// Room for the runs that are read at once; made once per pass.
pub(crate) type Runs = [Run; RUNS_READ];

/// Room with nothing in it.
pub(crate) const NO_RUNS: Runs = [Run { start: 0, end: 0, digits: 0, joint: 0 }; RUNS_READ];

type Find = fn(&Place<'_>) -> Option<Hit>;

/// Which detectors look at a run, by its length and what surrounds it.
#[derive(Default)]
pub(crate) struct Numbers {
    plain: [Vec<(u16, Find)>; DIGITS_MAX],
    grouped: [Vec<(u16, Find)>; DIGITS_MAX],
    lettered: [Vec<(u16, Find)>; LETTERS_MAX + 1],
}

impl Numbers {
    /// For the kinds that `wanted` holds of.
    pub(crate) fn new(wanted: impl Fn(u16) -> bool) -> Self {
        let mut out = Self::default();
        for (kind, detector) in (0_u16..).zip(DETECTORS).filter(|(kind, _)| wanted(*kind)) {
            for anchor in detector.anchors {
                let (table, lengths, find) = match anchor {
                    Anchor::Plain(lengths, find) => (&mut out.plain[..], lengths, find),
                    Anchor::Grouped(lengths, find) => (&mut out.grouped[..], lengths, find),
                    Anchor::Lettered(lengths, find) => (&mut out.lettered[..], lengths, find),
                    Anchor::Byte(..)
                    | Anchor::Followed(..)
                    | Anchor::Twice(..)
                    | Anchor::Words(..)
                    | Anchor::Prefixes(..)
                    | Anchor::Long(..) => {
                        continue;
                    }
                };
                lengths.iter().for_each(|length| table[usize::from(*length)].push((kind, *find)));
            }
        }
        out
    }

    /// Looks at the chain of runs that begins at `at`, up to those that begin at `limit`; gives where to go on.
    pub(crate) fn chain(
        &self,
        text: &[u8],
        at: usize,
        limit: usize,
        near: &mut Near,
        runs: &mut Runs,
        hit: &mut impl FnMut(u16, Hit),
    ) -> usize {
        let mut joint_before = joined_before(text, at);
        let mut from = at;
        loop {
            let count = read(text, from, runs);
            let whole = count < RUNS_READ;
            // Later runs are read again with what follows them.
            let judged = if whole { count } else { RUNS_READ - 2 * RUNS_SEEN };
            for first in 0..judged {
                let run = runs[first];
                if run.start >= limit {
                    return run.start;
                }
                near.move_to(run.start);
                let bounded = &text[..text.len().min(run.start + AHEAD)];
                let seen = inside(&runs[first..count.min(first + RUNS_SEEN)], bounded.len());
                if !seen.is_empty() {
                    self.place(bounded, seen, joint_before, near, hit);
                }
                if run.digits == 1 && joint_before == 0 && run.joint != 0 {
                    self.spaced(bounded, inside(&runs[first..count], bounded.len()), near, hit);
                }
                joint_before = run.joint;
            }
            if whole {
                return runs[count - 1].end;
            }
            from = runs[judged].start;
        }
    }

    fn place(
        &self,
        text: &[u8],
        runs: &[Run],
        joint_before: u8,
        near: &Near,
        hit: &mut impl FnMut(u16, Hit),
    ) {
        let run = runs[0];
        let length = usize::from(run.digits);
        let letters = letters(text, run.start);
        let mut place = Place { text, runs, joint_before, letters, near, kind: 0 };
        let mut ask = |finds: &[(u16, Find)]| {
            for (kind, find) in finds {
                place.kind = *kind;
                if let Some(found) = find(&place) {
                    hit(*kind, found);
                }
            }
        };
        if letters > 0 {
            return if letters <= LETTERS_MAX {
                ask(&self.lettered[letters])
            };
        }
        if length >= DIGITS_MAX {
            return;
        }
        // The number began earlier.
        if matches!(joint_before, b'-' | b'.' | b'_') {
            return;
        }
        // One of many single digits: the first of them was looked at for all.
        if joint_before == b' ' && length == 1 && runs.get(1).is_some_and(|next| next.digits == 1) {
            return;
        }
        ask(&self.plain[length]);
        if run.joint != 0 {
            ask(&self.grouped[length]);
        }
    }

    /// Looks at a sequence of single digits as one number.
    fn spaced(&self, text: &[u8], runs: &[Run], near: &Near, hit: &mut impl FnMut(u16, Hit)) {
        let count = runs.iter().take(DIGITS_MAX).take_while(|run| run.digits == 1).count();
        if (SPACED_MIN..DIGITS_MAX).contains(&count) && letters(text, runs[0].start) == 0 {
            let last = runs[count - 1];
            let digits = u8::try_from(count).unwrap_or(u8::MAX);
            let one = [Run { start: runs[0].start, end: last.end, digits, joint: last.joint }];
            let mut place = Place { text, runs: &one, joint_before: 0, letters: 0, near, kind: 0 };
            for (kind, find) in &self.plain[count] {
                place.kind = *kind;
                if let Some(found) = find(&place) {
                    hit(*kind, found);
                }
            }
        }
    }
}

/// The first runs, as far as they end within a text of so many bytes.
fn inside(runs: &[Run], length: usize) -> &[Run] {
    let count = runs.iter().position(|run| run.end > length).unwrap_or(runs.len());
    &runs[..count]
}

/// What joins the run that begins here to one before it; 0 if nothing does.
fn joined_before(text: &[u8], at: usize) -> u8 {
    let digit = |at: &usize| text[*at].is_ascii_digit();
    let last = (at.saturating_sub(4)..at).rev().find(digit);
    last.map(|last| join(text, last + 1)).map_or(0, |(joint, next)| if next == at { joint } else { 0 })
}

/// ASCII letters directly before a place, one more than wanted at most. The letter of an escape, `\n`, is none.
fn letters(text: &[u8], start: usize) -> usize {
    if escape_letter(text, start) {
        return 0;
    }
    let head = &text[start.saturating_sub(LETTERS_MAX + 1)..start];
    head.iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count()
}

/// Reads joined runs from `at`, where a run begins; gives how many there are.
fn read(text: &[u8], mut at: usize, runs: &mut Runs) -> usize {
    let mut count = 0;
    loop {
        let end = at + text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (joint, next) = join(text, end);
        let digits = u8::try_from(end - at).unwrap_or(u8::MAX);
        runs[count] = Run { start: at, end, digits, joint };
        count += 1;
        if joint == 0 || count == RUNS_READ {
            return count;
        }
        at = next;
    }
}

/// What joins a run that ends here to the next one, and where that begins; 0 if nothing does.
fn join(text: &[u8], end: usize) -> (u8, usize) {
    let byte = |back: usize| text.get(end + back).copied().unwrap_or(0);
    let digit = |back: usize| byte(back).is_ascii_digit();
    match byte(0) {
        joint @ (b'-' | b'.' | b'/' | b'_') if digit(1) => (joint, end + 1),
        b' ' if digit(1) => (b' ', end + 1),
        b' ' => match byte(1) {
            joint @ (b'-' | b'.' | b'/' | b'(') if digit(2) => (joint, end + 2),
            joint @ (b'-' | b'.' | b'/') if byte(2) == b' ' && digit(3) => (joint, end + 3),
            _ => (0, end),
        },
        b')' if digit(1) => (b')', end + 1),
        b')' if matches!(byte(1), b' ' | b'-' | b'.') && digit(2) => (b')', end + 2),
        b'(' if digit(1) => (b'(', end + 1),
        b'-' if byte(1) == b'(' && digit(2) => (b'(', end + 2),
        _ => (0, end),
    }
}
