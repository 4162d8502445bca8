//! US drivers' licence numbers, with context.
//!
//! Source: AAMVA, *DL/ID card design standard*: states choose; letters and 4 to 13 digits.

use super::{Anchor, Detector, personal, told};
use crate::place::{Hit, Spot};

pub(super) const DETECTOR: Detector = Detector {
    about: personal(
        "us_driver_license",
        "US driver's licence number",
        "AAMVA card design standard",
        "length, with context",
    ),
    words: &[],
    anchors: &[Anchor::Words(
        &[
            "driver license",
            "drivers license",
            "driver's license",
            "driver licence",
            "driving licence",
            "driving license",
            "dl number",
            "dl no",
        ],
        find,
    )],
};

fn find(spot: &Spot<'_>) -> Option<Hit> {
    let (start, end) = told(spot, 6..=18)?;
    Hit::valid(start, end)
}
