//! Bank identifier codes, with context.
//!
//! Source: ISO 9362: four letters, a country, two and perhaps three letters or digits.

use super::{Anchor, Detector, financial, told_token};
use crate::place::{Hit, Spot};

pub(super) const DETECTOR: Detector = Detector {
    about: financial("swift_bic", "Bank identifier code", "ISO 9362", "form, with context"),
    words: &[],
    anchors: &[Anchor::Words(&["swift", "bic", "swift code", "bic code"], find)],
};

fn find(spot: &Spot<'_>) -> Option<Hit> {
    let (start, end) = told_token(spot)?;
    let token = &spot.text[start..end];
    let form = matches!(token.len(), 8 | 11)
        && token[..6].iter().all(u8::is_ascii_uppercase)
        && token[6..].iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    form.then(|| Hit::valid(start, end))?
}
