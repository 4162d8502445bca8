//! Australian Medicare numbers.
//!
//! Source: Services Australia: first digit 2 to 6, weights 1, 3, 7, 9, 1, 3, 7, 9, modulo 10.

use super::{Anchor, Detector, health};
use crate::checksum::weighted;
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: health("au_medicare", "Australian Medicare number", "Services Australia", "modulo 10"),
    words: &["medicare", "medicare number", "medicare card"],
    anchors: &[Anchor::Plain(&[10], find), Anchor::Grouped(&[4], find)],
};

/// How it is written in groups.
const SHAPES: &[&[u8]] = &[&[4, 5, 1]];

fn find(place: &Place<'_>) -> Option<Hit> {
    let count = match place.runs[0].digits {
        10 if place.alone(1) => 1,
        _ => SHAPES.iter().find(|shape| place.shaped(shape, b" -"))?.len(),
    };
    let digits = place.digits(count);
    super::judged(place, count, valid(&digits))
}

fn valid(d: &[u8]) -> bool {
    matches!(d[0], 2..=6) && weighted(&d[..8], &[1, 3, 7, 9, 1, 3, 7, 9]) % 10 == u32::from(d[8])
}
