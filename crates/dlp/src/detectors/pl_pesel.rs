//! Polish PESEL numbers.
//!
//! Source: Ustawa o ewidencji ludności: weights 1, 3, 7, 9, modulo 10.

use super::{Anchor, Detector, personal};
use crate::checksum::weighted;
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("pl_pesel", "Polish PESEL number", "Polish population register", "modulo 10"),
    words: &["pesel"],
    anchors: &[Anchor::Plain(&[11], find)],
};

fn find(place: &Place<'_>) -> Option<Hit> {
    if place.alone(1) { super::judged(place, 1, valid(&place.digits(1))) } else { None }
}

fn valid(d: &[u8]) -> bool {
    weighted(d, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10)
}
