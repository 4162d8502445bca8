//! Swedish personal numbers.
//!
//! Source: Skatteverket, SKV 704: Luhn over ten digits.

use super::{Anchor, Detector, personal};
use crate::checksum::luhn;
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("se_personnummer", "Swedish personal number", "Skatteverket, SKV 704", "date and Luhn"),
    words: &["personnummer", "personal number", "swedish id"],
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
    d[2] * 10 + d[3] <= 12 && d[2] + d[3] > 0 && luhn(d)
}
