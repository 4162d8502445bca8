//! US bank routing transit numbers, with context.
//!
//! Source: American Bankers Association; Federal Reserve, *E-Payments Routing Directory*: weights 3, 7, 1.

use super::{Anchor, Detector, financial};
use crate::checksum::weighted;
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: financial(
        "us_bank_routing",
        "US bank routing number",
        "ABA routing transit numbers",
        "weights 3 7 1, with context",
    ),
    words: &["routing", "aba", "rtn", "routing number", "transit number", "routing no"],
    anchors: &[Anchor::Plain(&[9], plain), Anchor::Grouped(&[4], grouped)],
};

fn holds(digits: &[u8]) -> bool {
    let district = u32::from(digits[0]) * 10 + u32::from(digits[1]);
    matches!(district, 1..=12 | 21..=32 | 61..=72 | 80)
        && weighted(digits, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10)
}

fn plain(place: &Place<'_>) -> Option<Hit> {
    if !place.context() || !place.alone(1) {
        return None;
    }
    Hit::of(place.start(), place.end(1), holds(&place.digits(1)))
}

fn grouped(place: &Place<'_>) -> Option<Hit> {
    let fits = place.shaped(&[4, 4, 1], b"- ") && place.context() && holds(&place.digits(3));
    fits.then(|| Hit::valid(place.start(), place.end(3)))?
}
