//! Portuguese tax numbers.
//!
//! Source: Autoridade Tributária: weights 9 to 2, modulo 11.

use super::{Anchor, Detector, personal};
use crate::checksum::weighted;
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("pt_nif", "Portuguese tax number", "Autoridade Tributária", "modulo 11"),
    words: &["nif", "contribuinte", "numero de contribuinte"],
    anchors: &[Anchor::Plain(&[9], find), Anchor::Grouped(&[3], find)],
};

/// How it is written in groups.
const SHAPES: &[&[u8]] = &[&[3, 3, 3]];

fn find(place: &Place<'_>) -> Option<Hit> {
    let count = match place.runs[0].digits {
        9 if place.alone(1) => 1,
        _ => SHAPES.iter().find(|shape| place.shaped(shape, b" "))?.len(),
    };
    let digits = place.digits(count);
    super::judged(place, count, valid(&digits))
}

fn valid(d: &[u8]) -> bool {
    (11 - weighted(&d[..8], &[9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 11 % 10 == u32::from(d[8])
}
