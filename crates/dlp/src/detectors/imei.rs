//! Mobile equipment identities.
//!
//! Source: 3GPP TS 23.003: Luhn.

use super::{Anchor, Detector, network};
use crate::checksum::luhn;
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: network("imei", "Mobile equipment identity", "3GPP TS 23.003", "Luhn"),
    words: &["imei"],
    anchors: &[Anchor::Plain(&[15], find), Anchor::Grouped(&[2], find)],
};

/// How it is written in groups.
const SHAPES: &[&[u8]] = &[&[2, 6, 6, 1]];

fn find(place: &Place<'_>) -> Option<Hit> {
    let count = match place.runs[0].digits {
        15 if place.alone(1) => 1,
        _ => SHAPES.iter().find(|shape| place.shaped(shape, b" -"))?.len(),
    };
    let digits = place.digits(count);
    super::judged(place, count, valid(&digits))
}

fn valid(d: &[u8]) -> bool {
    luhn(d)
}
