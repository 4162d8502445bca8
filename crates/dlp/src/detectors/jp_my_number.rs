//! Japanese individual numbers.
//!
//! Source: Ministerial ordinance 85 of 2014: weights 6 to 2 and 7 to 2, modulo 11.

use super::{Anchor, Detector, personal};
use crate::checksum::weighted;
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("jp_my_number", "Japanese individual number", "Ordinance 85 of 2014", "modulo 11"),
    words: &["my number", "mynumber", "individual number"],
    anchors: &[Anchor::Plain(&[12], find), Anchor::Grouped(&[4], find)],
};

/// How it is written in groups.
const SHAPES: &[&[u8]] = &[&[4, 4, 4]];

fn find(place: &Place<'_>) -> Option<Hit> {
    let count = match place.runs[0].digits {
        12 if place.alone(1) => 1,
        _ => SHAPES.iter().find(|shape| place.shaped(shape, b" -"))?.len(),
    };
    let digits = place.digits(count);
    super::judged(place, count, valid(&digits))
}

fn valid(d: &[u8]) -> bool {
    let check = match weighted(&d[..11], &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    };
    check == u32::from(d[11])
}
