//! Norwegian birth numbers.
//!
//! Source: Skatteetaten: two check digits modulo 11.

use super::{Anchor, Detector, personal};
use crate::checksum::weighted;
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("no_fodselsnummer", "Norwegian birth number", "Skatteetaten", "two digits modulo 11"),
    words: &["fodselsnummer", "personnummer", "norwegian id", "birth number"],
    anchors: &[Anchor::Plain(&[11], find), Anchor::Grouped(&[6], find)],
};

/// How it is written in groups.
const SHAPES: &[&[u8]] = &[&[6, 5]];

fn find(place: &Place<'_>) -> Option<Hit> {
    let count = match place.runs[0].digits {
        11 if place.alone(1) => 1,
        _ => SHAPES.iter().find(|shape| place.shaped(shape, b" -"))?.len(),
    };
    let digits = place.digits(count);
    super::judged(place, count, valid(&digits))
}

fn valid(d: &[u8]) -> bool {
    weighted(d, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]).is_multiple_of(11)
        && weighted(d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
}
