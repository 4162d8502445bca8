//! Numbers of medical records, with context: hospitals choose.
//!
//! Source: HIPAA Privacy Rule, 45 CFR 164.514(b)(2)(i)(H).

use super::{Anchor, Detector, health, told};
use crate::place::{Hit, Spot};

pub(super) const DETECTOR: Detector = Detector {
    about: health(
        "medical_record_number",
        "Medical record number",
        "45 CFR 164.514(b)(2)(i)(H)",
        "length, with context",
    ),
    words: &[],
    anchors: &[Anchor::Words(
        &[
            "mrn",
            "medical record",
            "patient id",
            "patient number",
            "patient no",
            "chart number",
            "health record",
            "hospital number",
        ],
        find,
    )],
};

fn find(spot: &Spot<'_>) -> Option<Hit> {
    let (start, end) = told(spot, 5..=20)?;
    Hit::valid(start, end)
}
