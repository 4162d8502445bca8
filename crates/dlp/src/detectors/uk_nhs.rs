//! UK National Health Service numbers.
//!
//! Source: NHS Data Dictionary, *NHS number*: modulo 11 with weights 10 to 2.

use super::{Anchor, Detector, health};
use crate::checksum::mod11;
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: health("uk_nhs", "UK NHS number", "NHS Data Dictionary", "modulo 11, with context"),
    words: &["nhs", "nhs number", "national health"],
    anchors: &[Anchor::Plain(&[10], find), Anchor::Grouped(&[3], find)],
};

fn find(place: &Place<'_>) -> Option<Hit> {
    let count = if place.runs[0].digits == 10 { 1 } else { 3 };
    let fits = if count == 1 { place.alone(1) } else { place.shaped(&[3, 3, 4], b" -") };
    if !fits || !place.context() {
        return None;
    }
    Hit::of(place.start(), place.end(count), mod11(&place.digits(count)))
}
