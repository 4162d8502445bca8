//! US Medicare beneficiary identifiers.
//!
//! Source: Centers for Medicare & Medicaid Services, *Understanding the MBI format*: C A AN N A AN N A A N N.

use super::{Anchor, Detector, health};
use crate::place::{Hit, Place, begins, ends};

pub(super) const DETECTOR: Detector = Detector {
    about: health(
        "us_mbi",
        "US Medicare beneficiary identifier",
        "CMS, MBI format",
        "class of every position",
    ),
    words: &["mbi", "medicare", "beneficiary"],
    anchors: &[Anchor::Plain(&[1, 2], find)],
};

fn find(place: &Place<'_>) -> Option<Hit> {
    let start = place.start();
    // The third is a letter or a digit: most single digits end here.
    let third = place.text.get(start + 2).copied().unwrap_or(0);
    if place.letters != 0 || !third.is_ascii_alphanumeric() || !begins(place.text, start) {
        return None;
    }
    classes(place, start)
}

#[inline(never)]
fn classes(place: &Place<'_>, start: usize) -> Option<Hit> {
    // C: 1 to 9, N: a digit, A: a letter but S L O I B Z, X: either.
    let (mut at, mut upper) = (start, true);
    for (position, class) in b"CAXNAXNAANN".iter().enumerate() {
        if matches!(position, 4 | 7) && place.text.get(at) == Some(&b'-') {
            at += 1;
        }
        let byte = *place.text.get(at)?;
        let letter = byte.is_ascii_alphabetic() && !b"SLOIBZ".contains(&byte.to_ascii_uppercase());
        let fits = match class {
            b'C' => matches!(byte, b'1'..=b'9'),
            b'N' => byte.is_ascii_digit(),
            b'A' => letter,
            _ => letter || byte.is_ascii_digit(),
        };
        if !fits {
            return None;
        }
        upper &= !byte.is_ascii_lowercase();
        at += 1;
    }
    let fits = ends(place.text, at) && (upper || place.context());
    fits.then(|| Hit::valid(start, at))?
}
