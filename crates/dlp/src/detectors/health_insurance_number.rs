//! Numbers of health insurance, with context: insurers choose.
//!
//! Source: HIPAA Privacy Rule, 45 CFR 164.514(b)(2)(i)(I).

use super::{Anchor, Detector, health, told};
use crate::place::{Hit, Spot};

pub(super) const DETECTOR: Detector = Detector {
    about: health(
        "health_insurance_number",
        "Health insurance number",
        "45 CFR 164.514(b)(2)(i)(I)",
        "length, with context",
    ),
    words: &[],
    anchors: &[Anchor::Words(
        &[
            "health insurance",
            "insurance id",
            "insurance number",
            "insurance no",
            "member id",
            "member number",
            "policy number",
            "policy no",
            "subscriber id",
            "beneficiary",
            "group number",
            "hicn",
            "medicaid",
            "krankenversicherung",
            "versichertennummer",
        ],
        find,
    )],
};

fn find(spot: &Spot<'_>) -> Option<Hit> {
    let (start, end) = told(spot, 6..=20)?;
    Hit::valid(start, end)
}
