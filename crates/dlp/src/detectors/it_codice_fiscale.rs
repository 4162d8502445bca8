//! Italian tax codes.
//!
//! Source: Decreto Ministeriale 23 December 1976: sixteen characters, the last is a check letter.

use super::{Anchor, Detector, personal};
use crate::place::{Hit, Place, begins, ends};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("it_codice_fiscale", "Italian tax code", "D.M. 23 December 1976", "check letter"),
    words: &["codice fiscale", "cod fisc", "fiscal code"],
    anchors: &[Anchor::Lettered(&[6], find)],
};

/// Values of 0 to 9 and A to Z at odd positions.
const ODD: [u32; 26] =
    [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];

fn find(place: &Place<'_>) -> Option<Hit> {
    let (start, end) = (place.start() - 6, place.start() + 10);
    let token = place.text.get(start..end)?;
    let form = b"AAAAAAXXAXXAXXXA";
    let fits = token
        .iter()
        .zip(form)
        .all(|(byte, class)| byte.is_ascii_alphabetic() || *class == b'X' && byte.is_ascii_digit());
    if !fits || !begins(place.text, start) || !ends(place.text, end) {
        return None;
    }
    let value = |byte: u8| {
        u32::from(if byte.is_ascii_digit() { byte - b'0' } else { byte.to_ascii_uppercase() - b'A' })
    };
    let sum: u32 = token[..15]
        .iter()
        .enumerate()
        .map(|(at, byte)| if at % 2 == 0 { ODD[value(*byte) as usize] } else { value(*byte) })
        .sum();
    let valid = sum % 26 == value(token[15]);
    Hit::of(start, end, valid)
}
