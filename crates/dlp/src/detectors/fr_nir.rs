//! French social security numbers (NIR).
//!
//! Source: INSEE, *Numéro d'inscription au répertoire*: key is 97 less the number modulo 97.

use super::{Anchor, Detector, personal};
use crate::place::{Hit, Place, ends, number};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("fr_nir", "French social security number", "INSEE, NIR", "key modulo 97"),
    words: &["nir", "insee", "securite sociale", "numero de securite sociale", "social security"],
    anchors: &[Anchor::Plain(&[15], find), Anchor::Grouped(&[1, 13], find)],
};

fn find(place: &Place<'_>) -> Option<Hit> {
    let shape: &[u8] = &[1, 2, 2, 2, 3, 3, 2];
    let count = match place.runs[0].digits {
        15 if place.alone(1) => 1,
        13 if place.shaped(&[13, 2], b" ") => 2,
        1 if place.shaped(shape, b" .-") => 7,
        _ => return None,
    };
    let d = place.digits(count);
    let months = matches!(d[3] * 10 + d[4], 1..=12 | 20..=42 | 50..=99);
    let valid = matches!(d[0], 1..=4 | 7 | 8) && months && 97 - number(&d[..13]) % 97 == number(&d[13..]);
    match valid && ends(place.text, place.end(count)) {
        true => Hit::valid(place.start(), place.end(count)),
        false => place.context().then(|| Hit::looks(place.start(), place.end(count)))?,
    }
}
