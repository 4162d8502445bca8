//! Dutch citizen service numbers.
//!
//! Source: Wet algemene bepalingen burgerservicenummer: the eleven test.

use super::{Anchor, Detector, personal};
use crate::checksum::weighted;
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("nl_bsn", "Dutch citizen service number", "Wet algemene bepalingen BSN", "eleven test"),
    words: &["bsn", "burgerservicenummer", "sofinummer"],
    anchors: &[Anchor::Plain(&[9], find), Anchor::Grouped(&[4], find)],
};

/// How it is written in groups.
const SHAPES: &[&[u8]] = &[&[4, 2, 3]];

fn find(place: &Place<'_>) -> Option<Hit> {
    let count = match place.runs[0].digits {
        9 if place.alone(1) => 1,
        _ => SHAPES.iter().find(|shape| place.shaped(shape, b". -"))?.len(),
    };
    let digits = place.digits(count);
    super::judged(place, count, valid(&digits))
}

fn valid(d: &[u8]) -> bool {
    weighted(&d[..8], &[9, 8, 7, 6, 5, 4, 3, 2]) % 11 == u32::from(d[8])
}
