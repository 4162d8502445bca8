//! South African identity numbers.
//!
//! Source: Department of Home Affairs: a date and Luhn.

use super::{Anchor, Detector, personal};
use crate::checksum::luhn;
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("za_id", "South African identity number", "Department of Home Affairs", "date and Luhn"),
    words: &["sa id", "id number", "identity number", "south african"],
    anchors: &[Anchor::Plain(&[13], find), Anchor::Grouped(&[6], find)],
};

/// How it is written in groups.
const SHAPES: &[&[u8]] = &[&[6, 4, 3]];

fn find(place: &Place<'_>) -> Option<Hit> {
    let count = match place.runs[0].digits {
        13 if place.alone(1) => 1,
        _ => SHAPES.iter().find(|shape| place.shaped(shape, b" "))?.len(),
    };
    let digits = place.digits(count);
    super::judged(place, count, valid(&digits))
}

fn valid(d: &[u8]) -> bool {
    matches!(d[2] * 10 + d[3], 1..=12) && matches!(d[4] * 10 + d[5], 1..=31) && d[10] <= 2 && luhn(d)
}
