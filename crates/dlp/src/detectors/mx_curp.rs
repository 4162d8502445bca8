//! Mexican population registry codes (CURP).
//!
//! Source: RENAPO, *Instructivo normativo para la asignación de la CURP*: eighteen characters, the last is a check digit.

use super::{Anchor, Detector, personal};
use crate::place::{Hit, Place, begins, ends};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("mx_curp", "Mexican CURP", "RENAPO", "check digit modulo 10"),
    words: &["curp"],
    anchors: &[Anchor::Lettered(&[4], find)],
};

fn find(place: &Place<'_>) -> Option<Hit> {
    let (start, end) = (place.start() - 4, place.start() + 14);
    let token = place.text.get(start..end)?;
    // A: letter, N: digit, X: either.
    let fits = token.iter().zip(b"AAAANNNNNNAAAAAAXN").all(|(byte, class)| match class {
        b'A' => byte.is_ascii_alphabetic(),
        b'N' => byte.is_ascii_digit(),
        _ => byte.is_ascii_alphanumeric(),
    });
    let sex = matches!(token[10].to_ascii_uppercase(), b'H' | b'M' | b'X');
    if !fits || !sex || !begins(place.text, start) || !ends(place.text, end) {
        return None;
    }
    // Ñ has the value 24, so that letters from O on are one higher.
    let value = |byte: u8| match byte.to_ascii_uppercase() {
        letter @ b'O'..=b'Z' => u32::from(letter - b'A') + 11,
        letter @ b'A'..=b'N' => u32::from(letter - b'A') + 10,
        digit => u32::from(digit - b'0'),
    };
    let sum: u32 = token[..17].iter().zip(2..=18).map(|(byte, weight)| value(*byte) * (20 - weight)).sum();
    Hit::of(start, end, (10 - sum % 10) % 10 == value(token[17]))
}
