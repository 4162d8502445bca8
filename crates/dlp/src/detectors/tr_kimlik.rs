//! Turkish identity numbers.
//!
//! Source: Nüfus ve Vatandaşlık İşleri: two check digits.

use super::{Anchor, Detector, personal};
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("tr_kimlik", "Turkish identity number", "NVI", "two check digits"),
    words: &["tckn", "kimlik", "tc kimlik"],
    anchors: &[Anchor::Plain(&[11], find)],
};

fn find(place: &Place<'_>) -> Option<Hit> {
    if place.alone(1) { super::judged(place, 1, valid(&place.digits(1))) } else { None }
}

fn valid(d: &[u8]) -> bool {
    let sum = |places: &[usize]| places.iter().map(|at| u32::from(d[*at])).sum::<u32>();
    let (odd, even) = (sum(&[0, 2, 4, 6, 8]), sum(&[1, 3, 5, 7]));
    let both = (odd * 7 + 90 - even) % 10 == u32::from(d[9])
        && (odd + even + u32::from(d[9])) % 10 == u32::from(d[10]);
    d[0] != 0 && both
}
