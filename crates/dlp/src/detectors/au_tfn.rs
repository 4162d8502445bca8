//! Australian tax file numbers.
//!
//! Source: Australian Taxation Office: weights 1, 4, 3, 7, 5, 8, 6, 9, 10, modulo 11.

use super::{Anchor, Detector, personal};
use crate::checksum::weighted;
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("au_tfn", "Australian tax file number", "ATO", "modulo 11"),
    words: &["tfn", "tax file", "tax file number"],
    anchors: &[Anchor::Plain(&[9], find), Anchor::Grouped(&[3], find)],
};

/// How it is written in groups.
const SHAPES: &[&[u8]] = &[&[3, 3, 3]];

fn find(place: &Place<'_>) -> Option<Hit> {
    let count = match place.runs[0].digits {
        9 if place.alone(1) => 1,
        _ => SHAPES.iter().find(|shape| place.shaped(shape, b" -"))?.len(),
    };
    let digits = place.digits(count);
    super::judged(place, count, valid(&digits))
}

fn valid(d: &[u8]) -> bool {
    weighted(d, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11)
}
