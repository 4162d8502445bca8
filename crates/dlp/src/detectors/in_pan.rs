//! Indian permanent account numbers (PAN).
//!
//! Source: Income Tax Department of India: five letters, of which the fourth names the holder's status, four digits, a letter.

use super::{Anchor, Detector, financial};
use crate::place::{Hit, Place, begins, ends};

pub(super) const DETECTOR: Detector = Detector {
    about: financial("in_pan", "Indian permanent account number", "Income Tax Department", "status letter"),
    words: &["pan", "permanent account", "pan card", "income tax"],
    anchors: &[Anchor::Lettered(&[5], find)],
};

fn find(place: &Place<'_>) -> Option<Hit> {
    let (start, run) = (place.start() - 5, place.runs[0]);
    let end = run.end + 1;
    let last = place.text.get(run.end).copied().unwrap_or(0);
    if run.digits != 4 || !last.is_ascii_alphabetic() || !begins(place.text, start) || !ends(place.text, end)
    {
        return None;
    }
    let letters = &place.text[start..start + 5];
    let upper = letters.iter().all(u8::is_ascii_uppercase) && last.is_ascii_uppercase();
    let status = b"ABCFGHJLPT".contains(&letters[3].to_ascii_uppercase());
    match (upper && status, place.context()) {
        (true, _) => Hit::valid(start, end),
        (false, true) => Hit::looks(start, end),
        (false, false) => None,
    }
}
