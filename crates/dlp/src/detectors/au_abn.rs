//! Australian business numbers.
//!
//! Source: Australian Business Register: the first digit less one, weights 10, 1, 3, … 19, modulo 89.

use super::{Anchor, Detector, financial};
use crate::checksum::weighted;
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: financial("au_abn", "Australian business number", "ABR", "modulo 89"),
    words: &["abn", "australian business"],
    anchors: &[Anchor::Plain(&[11], find), Anchor::Grouped(&[2], find)],
};

/// How it is written in groups.
const SHAPES: &[&[u8]] = &[&[2, 3, 3, 3]];

fn find(place: &Place<'_>) -> Option<Hit> {
    let count = match place.runs[0].digits {
        11 if place.alone(1) => 1,
        _ => SHAPES.iter().find(|shape| place.shaped(shape, b" "))?.len(),
    };
    let digits = place.digits(count);
    super::judged(place, count, valid(&digits))
}

fn valid(d: &[u8]) -> bool {
    d[0] > 0 && (weighted(d, &[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]) - 10).is_multiple_of(89)
}
