//! Swiss social security numbers (AHV).
//!
//! Source: Bundesamt für Sozialversicherungen: 756, and the check digit of a thirteen-digit EAN.

use super::{Anchor, Detector, personal};
use crate::checksum::weighted;
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("ch_ahv", "Swiss social security number", "BSV, AHV number", "EAN-13"),
    words: &["ahv", "avs", "navs", "sozialversicherungsnummer"],
    anchors: &[Anchor::Plain(&[13], find), Anchor::Grouped(&[3], find)],
};

fn find(place: &Place<'_>) -> Option<Hit> {
    let count = if place.runs[0].digits == 13 { 1 } else { 4 };
    let fits = if count == 1 { place.alone(1) } else { place.shaped(&[3, 4, 4, 2], b". -") };
    let digits = place.digits(count.min(place.runs.len()));
    if !fits || !digits.starts_with(&[7, 5, 6]) {
        return None;
    }
    super::judged(
        place,
        count,
        weighted(&digits, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_multiple_of(10),
    )
}
