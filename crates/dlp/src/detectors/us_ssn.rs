//! US social security numbers.
//!
//! Source: Social Security Administration, *Social Security Number Randomization* (2011): no area 000, 666 or 900 to 999,
//! no group 00, no serial 0000. There is no check digit.

use super::{Anchor, Detector, personal};
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: personal(
        "us_ssn",
        "US social security number",
        "SSA, randomization (2011)",
        "area, group and serial",
    ),
    words: &["ssn", "ssns", "social security", "soc sec", "social", "ss number", "ss no", "taxpayer id"],
    anchors: &[Anchor::Grouped(&[3], grouped), Anchor::Plain(&[9], plain)],
};

/// Numbers that were printed in advertisements and belong to nobody.
const ADVERTISED: [u64; 3] = [78_051_120, 219_099_999, 457_555_462];

fn in_range(number: u64) -> bool {
    let (area, group, serial) = (number / 1_000_000, number / 10_000 % 100, number % 10_000);
    !matches!(area, 0 | 666 | 900..) && group != 0 && serial != 0 && !ADVERTISED.contains(&number)
}

fn grouped(place: &Place<'_>) -> Option<Hit> {
    if !place.shaped(&[3, 2, 4], b"- ./_") {
        return None;
    }
    let number = place.digits(3).number();
    let (start, end, context) = (place.start(), place.end(3), place.context());
    match in_range(number) {
        true => Hit::of(start, end, place.runs[0].joint == b'-' || context),
        // An individual taxpayer number has the same form and a name of its own.
        false if context || number / 1_000_000 < 900 && place.runs[0].joint == b'-' => Hit::looks(start, end),
        false => None,
    }
}

fn plain(place: &Place<'_>) -> Option<Hit> {
    if !place.context() || !place.alone(1) {
        return None;
    }
    Hit::of(place.start(), place.end(1), in_range(place.digits(1).number()))
}
