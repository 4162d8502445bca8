//! Indian Aadhaar numbers.
//!
//! Source: Unique Identification Authority of India: twelve digits, the first 2 to 9, Verhoeff's check digit.

use super::{Anchor, Detector, personal};
use crate::checksum::verhoeff;
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("in_aadhaar", "Indian Aadhaar number", "UIDAI", "Verhoeff"),
    words: &["aadhaar", "aadhar", "uidai", "uid"],
    anchors: &[Anchor::Plain(&[12], find), Anchor::Grouped(&[4], find)],
};

fn find(place: &Place<'_>) -> Option<Hit> {
    let count = if place.runs[0].digits == 12 { 1 } else { 3 };
    let fits = if count == 1 { place.alone(1) } else { place.shaped(&[4, 4, 4], b" -") };
    if !fits {
        return None;
    }
    let digits = place.digits(count);
    let valid = digits[0] >= 2 && verhoeff(&digits);
    match (valid, place.context()) {
        (valid, true) => Hit::of(place.start(), place.end(count), valid),
        (true, false) if count == 3 => Hit::valid(place.start(), place.end(count)),
        _ => None,
    }
}
