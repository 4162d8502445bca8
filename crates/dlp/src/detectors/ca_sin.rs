//! Canadian social insurance numbers.
//!
//! Source: Employment and Social Development Canada, *SIN Code of Practice*: Luhn; none begins with 8.

use super::{Anchor, Detector, personal};
use crate::checksum::luhn;
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("ca_sin", "Canadian social insurance number", "ESDC, SIN Code of Practice", "Luhn"),
    words: &["sin", "social insurance", "assurance sociale", "nas", "canadian"],
    anchors: &[Anchor::Plain(&[9], find), Anchor::Grouped(&[3], find)],
};

fn find(place: &Place<'_>) -> Option<Hit> {
    let count = if place.runs[0].digits == 9 { 1 } else { 3 };
    let fits = if count == 1 { place.alone(1) } else { place.shaped(&[3, 3, 3], b" -") };
    if !fits {
        return None;
    }
    let digits = place.digits(count);
    let valid = !matches!(digits[0], 0 | 8) && luhn(&digits);
    match (valid, place.context()) {
        (valid, true) => Hit::of(place.start(), place.end(count), valid),
        (true, false) if count == 3 && place.runs[0].joint == b'-' => {
            Hit::looks(place.start(), place.end(count))
        }
        _ => None,
    }
}
