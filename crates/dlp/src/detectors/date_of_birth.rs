//! Dates of birth: dates with context.
//!
//! Source: ISO 8601-1 and the national orders of day and month; the Gregorian calendar says which dates there are.

use super::{Anchor, Detector, personal};
use crate::place::{Hit, Place, begins, ends, number};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("date_of_birth", "Date of birth", "ISO 8601-1, national forms", "calendar, with context"),
    words: &[
        "dob",
        "d.o.b",
        "d.o.b.",
        "born",
        "born on",
        "birth",
        "birthday",
        "birthdate",
        "date of birth",
        "birth date",
        "bday",
        "geboren",
        "geburtsdatum",
        "geb",
        "nacimiento",
        "fecha de nacimiento",
        "naissance",
        "nascimento",
        "nascita",
    ],
    anchors: &[Anchor::Grouped(&[1, 2, 4], grouped), Anchor::Plain(&[1, 2, 8], spelled)],
};

const MONTHS: [&[u8]; 12] =
    [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];

/// Whether there is such a day, in years that somebody who lives was born in.
fn exists(year: u64, month: u64, day: u64) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1880..=2099).contains(&year) && (1..=days).contains(&day)
}

fn century(year: u64, digits: u8) -> u64 {
    if digits == 2 { 1900 + year } else { year }
}

fn grouped(place: &Place<'_>) -> Option<Hit> {
    let runs = place.runs;
    if runs.len() < 3
        || !place.context()
        || place.letters != 0
        || matches!(place.joint_before, b'-' | b'.' | b'/')
    {
        return None;
    }
    let (a, b, c) = (runs[0].digits, runs[1].digits, runs[2].digits);
    let joint = runs[0].joint;
    let even =
        joint == runs[1].joint && b"-/._ ".contains(&joint) && (runs[2].joint != joint || joint == b' ');
    // A time may follow: `1985-03-12T00:00`.
    let end = runs[2].end;
    if !even || !(ends(place.text, end) || place.text[end] == b'T') {
        return None;
    }
    let all = place.digits(3);
    let split = |from: u8, len: u8| number(&all[usize::from(from)..usize::from(from + len)]);
    let real = match (a, b, c) {
        (4, 1 | 2, 1 | 2) => {
            exists(split(0, 4), split(4, b), split(4 + b, c))
                || exists(split(0, 4), split(4 + b, c), split(4, b))
        }
        (1 | 2, 1 | 2, 2 | 4) => {
            let year = century(split(a + b, c), c);
            exists(year, split(0, a), split(a, b)) || exists(year, split(a, b), split(0, a))
        }
        _ => return None,
    };
    Hit::of(place.start(), end, real)
}

/// `12 March 1985`, `12th of Mar. 1985`, `March 12, 1985`, `19850312`.
fn spelled(place: &Place<'_>) -> Option<Hit> {
    if !place.context() {
        return None;
    }
    spelled_near(place)
}

#[inline(never)]
fn spelled_near(place: &Place<'_>) -> Option<Hit> {
    let run = place.runs[0];
    match run.digits {
        8 if place.alone(1) => {
            let number = place.digits(1).number();
            let real = exists(number / 10_000, number / 100 % 100, number % 100)
                || exists(number % 10_000, number / 1_000_000, number / 10_000 % 100)
                || exists(number % 10_000, number / 10_000 % 100, number / 1_000_000);
            real.then(|| Hit::valid(run.start, run.end))?
        }
        1 | 2 if begins(place.text, run.start) => {
            day_first(place, run.start, run.end).or_else(|| month_first(place, run.start, run.end))
        }
        _ => None,
    }
}

fn skip(text: &[u8], mut at: usize, what: &[u8]) -> usize {
    while at < text.len() && what.contains(&text[at]) {
        at += 1;
    }
    at
}

fn month(word: &[u8]) -> Option<u64> {
    let head: Vec<u8> = word.get(..3)?.to_ascii_lowercase();
    MONTHS.iter().position(|name| *name == head).map(|at| at as u64 + 1)
}

fn year(text: &[u8], at: usize) -> Option<(u64, usize)> {
    let digits = text[at..].iter().take(5).take_while(|byte| byte.is_ascii_digit()).count();
    (digits == 4 && ends(text, at + 4))
        .then(|| (text[at..at + 4].iter().fold(0, |sum, byte| sum * 10 + u64::from(byte - b'0')), at + 4))
}

fn ordinal(text: &[u8], at: usize) -> usize {
    let suffix = text.get(at..at + 2).unwrap_or_default();
    if [&b"st"[..], b"nd", b"rd", b"th"].iter().any(|it| suffix.eq_ignore_ascii_case(it)) {
        at + 2
    } else {
        at
    }
}

fn day_first(place: &Place<'_>, start: usize, end: usize) -> Option<Hit> {
    let text = place.text;
    let mut at = skip(text, ordinal(text, end), b" .-/,");
    if text.get(at..at + 3) == Some(b"of ") {
        at += 3;
    }
    let letters = text[at..].iter().take(10).take_while(|byte| byte.is_ascii_alphabetic()).count();
    let month = month(&text[at..at + letters])?;
    let (year, stop) = year(text, skip(text, at + letters, b" .-/,"))?;
    exists(year, month, place.digits(1).number()).then(|| Hit::valid(start, stop))?
}

fn month_first(place: &Place<'_>, start: usize, end: usize) -> Option<Hit> {
    let text = place.text;
    let mut word_end = start;
    while word_end > 0 && start - word_end < 3 && matches!(text[word_end - 1], b' ' | b'.' | b'-') {
        word_end -= 1;
    }
    let mut word = word_end;
    while word > 0 && word_end - word < 10 && text[word - 1].is_ascii_alphabetic() {
        word -= 1;
    }
    let month = month(&text[word..word_end])?;
    let (year, stop) = year(text, skip(text, ordinal(text, end), b" .-/,"))?;
    exists(year, month, place.digits(1).number()).then(|| Hit::valid(word, stop))?
}
