//! US national provider identifiers, with context.
//!
//! Source: CMS, 45 CFR 162.406: Luhn over 80840 and the ten digits.

use super::{Anchor, Detector, health};
use crate::checksum::luhn_sum;
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: health(
        "us_npi",
        "US national provider identifier",
        "45 CFR 162.406",
        "Luhn with 80840, with context",
    ),
    words: &["npi", "national provider", "provider id"],
    anchors: &[Anchor::Plain(&[10], find)],
};

fn find(place: &Place<'_>) -> Option<Hit> {
    let digits = place.digits(1);
    let fits = place.context() && place.alone(1) && matches!(digits[0], 1 | 2);
    // The prefix 80840 adds 24 to the sum.
    fits.then(|| Hit::of(place.start(), place.end(1), (luhn_sum(&digits) + 24).is_multiple_of(10)))?
}
