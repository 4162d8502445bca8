//! New Zealand tax numbers.
//!
//! Source: Inland Revenue: weights 3, 2, 7, 6, 5, 4, 3, 2, modulo 11.

use super::{Anchor, Detector, personal};
use crate::checksum::weighted;
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("nz_ird", "New Zealand tax number", "Inland Revenue", "modulo 11"),
    words: &["ird", "ird number"],
    anchors: &[Anchor::Plain(&[9], find), Anchor::Grouped(&[3], find)],
};

/// How it is written in groups.
const SHAPES: &[&[u8]] = &[&[3, 3, 3], &[2, 3, 3]];

fn find(place: &Place<'_>) -> Option<Hit> {
    let count = match place.runs[0].digits {
        9 if place.alone(1) => 1,
        _ => SHAPES.iter().find(|shape| place.shaped(shape, b" -"))?.len(),
    };
    let digits = place.digits(count);
    super::judged(place, count, valid(&digits))
}

fn valid(d: &[u8]) -> bool {
    let (last, body) = (d[d.len() - 1], &d[..d.len() - 1]);
    let weights: &[u32] = if d.len() == 9 { &[3, 2, 7, 6, 5, 4, 3, 2] } else { &[2, 7, 6, 5, 4, 3, 2] };
    (11 - weighted(body, weights) % 11) % 11 == u32::from(last)
}
