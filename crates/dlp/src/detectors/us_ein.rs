//! US employer identification numbers, with context.
//!
//! Source: Internal Revenue Service, *How EINs are assigned and valid EIN prefixes*.

use super::{Anchor, Detector, financial};
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: financial(
        "us_ein",
        "US employer identification number",
        "IRS, valid EIN prefixes",
        "prefix, with context",
    ),
    words: &["ein", "fein", "employer identification", "employer id", "federal tax id", "tax id"],
    anchors: &[Anchor::Grouped(&[2], grouped), Anchor::Plain(&[9], plain)],
};

fn known(prefix: u64) -> bool {
    !matches!(prefix, 0 | 7..=9 | 17..=19 | 28 | 29 | 49 | 69 | 70 | 78 | 79 | 89 | 96 | 97)
}

fn grouped(place: &Place<'_>) -> Option<Hit> {
    if !place.shaped(&[2, 7], b"-") || !place.context() {
        return None;
    }
    Hit::of(place.start(), place.end(2), known(place.digits(1).number()))
}

fn plain(place: &Place<'_>) -> Option<Hit> {
    let fits = place.alone(1) && place.context() && known(place.digits(1).number() / 10_000_000);
    fits.then(|| Hit::looks(place.start(), place.end(1)))?
}
