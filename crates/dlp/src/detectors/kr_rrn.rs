//! Korean resident registration numbers.
//!
//! Source: Resident Registration Act: weights 2 to 9 and 2 to 5, modulo 11.

use super::{Anchor, Detector, personal};
use crate::checksum::weighted;
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: personal(
        "kr_rrn",
        "Korean resident registration number",
        "Resident Registration Act",
        "date and modulo 11",
    ),
    words: &["rrn", "resident registration", "jumin"],
    anchors: &[Anchor::Plain(&[13], find), Anchor::Grouped(&[6], find)],
};

/// How it is written in groups.
const SHAPES: &[&[u8]] = &[&[6, 7]];

fn find(place: &Place<'_>) -> Option<Hit> {
    let count = match place.runs[0].digits {
        13 if place.alone(1) => 1,
        _ => SHAPES.iter().find(|shape| place.shaped(shape, b"-"))?.len(),
    };
    let digits = place.digits(count);
    super::judged(place, count, valid(&digits))
}

fn valid(d: &[u8]) -> bool {
    matches!(d[2] * 10 + d[3], 1..=12)
        && (11 - weighted(&d[..12], &[2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]) % 11) % 10 == u32::from(d[12])
}
