//! Passport numbers, with context.
//!
//! Source: ICAO Doc 9303-4: up to nine letters and digits; US Department of State and others for the usual forms.

use super::{Anchor, Detector, personal, told};
use crate::place::{Hit, Spot};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("passport", "Passport number", "ICAO Doc 9303-4", "length, with context"),
    words: &["passport"],
    anchors: &[Anchor::Words(&["passport", "reisepass", "passeport", "pasaporte", "passnummer"], find)],
};

fn find(spot: &Spot<'_>) -> Option<Hit> {
    let (start, end) = told(spot, 6..=10)?;
    let token = &spot.text[start..end];
    let digits = token.iter().filter(|byte| byte.is_ascii_digit()).count();
    let usual = matches!(token.len(), 7..=9) && digits >= 5 && token.iter().all(u8::is_ascii_alphanumeric);
    Hit::of(start, end, usual)
}
