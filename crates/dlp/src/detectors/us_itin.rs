//! US individual taxpayer identification numbers.
//!
//! Source: Internal Revenue Service, IRM 3.21.263: area 900 to 999, group 50 to 65, 70 to 88, 90 to 92 or 94 to 99.

use super::{Anchor, Detector, personal};
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("us_itin", "US individual taxpayer number", "IRS, IRM 3.21.263", "area and group"),
    words: &["itin", "individual taxpayer", "taxpayer id", "taxpayer identification"],
    anchors: &[Anchor::Grouped(&[3], grouped), Anchor::Plain(&[9], plain)],
};

fn in_range(number: u64) -> bool {
    number / 100_000_000 == 9 && matches!(number / 10_000 % 100, 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

fn grouped(place: &Place<'_>) -> Option<Hit> {
    let fits = place.shaped(&[3, 2, 4], b"- ./") && in_range(place.digits(3).number());
    fits.then(|| Hit::of(place.start(), place.end(3), place.runs[0].joint == b'-' || place.context()))?
}

fn plain(place: &Place<'_>) -> Option<Hit> {
    let fits = place.context() && place.alone(1) && in_range(place.digits(1).number());
    fits.then(|| Hit::valid(place.start(), place.end(1)))?
}
