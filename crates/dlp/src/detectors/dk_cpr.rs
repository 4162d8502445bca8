//! Danish CPR numbers.
//!
//! Source: CPR-kontoret: six digits of a date, four of a serial; the check digit is given up since 2007.

use super::{Anchor, Detector, personal};
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("dk_cpr", "Danish CPR number", "CPR-kontoret", "date, with context"),
    words: &["cpr", "cpr nummer", "personnummer"],
    anchors: &[Anchor::Plain(&[10], find), Anchor::Grouped(&[6], find)],
};

/// How it is written in groups.
const SHAPES: &[&[u8]] = &[&[6, 4]];

fn find(place: &Place<'_>) -> Option<Hit> {
    let count = match place.runs[0].digits {
        10 if place.alone(1) => 1,
        _ => SHAPES.iter().find(|shape| place.shaped(shape, b"-"))?.len(),
    };
    let digits = place.digits(count);
    super::judged(place, count, valid(&digits))
}

fn valid(d: &[u8]) -> bool {
    matches!(d[0] * 10 + d[1], 1..=31) && matches!(d[2] * 10 + d[3], 1..=12)
}
