//! Singapore identity numbers: NRIC and FIN.
//!
//! Source: Immigration & Checkpoints Authority; weights 2, 7, 6, 5, 4, 3, 2 and a table of letters.

use super::{Anchor, Detector, personal};
use crate::checksum::weighted;
use crate::place::{Hit, Place, begins, ends};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("sg_nric", "Singapore NRIC or FIN", "ICA", "check letter"),
    words: &["nric", "fin", "singapore"],
    anchors: &[Anchor::Lettered(&[1], find)],
};

fn find(place: &Place<'_>) -> Option<Hit> {
    let (start, run) = (place.start() - 1, place.runs[0]);
    let end = run.end + 1;
    let last = place.text.get(run.end)?.to_ascii_uppercase();
    if run.digits != 7 || !last.is_ascii_uppercase() || !begins(place.text, start) || !ends(place.text, end) {
        return None;
    }
    let sum = weighted(&place.digits(1), &[2, 7, 6, 5, 4, 3, 2]);
    let (offset, letters) = match place.text[start].to_ascii_uppercase() {
        b'S' => (0, b"JZIHGFEDCBA"),
        b'T' => (4, b"JZIHGFEDCBA"),
        b'F' => (0, b"XWUTRQPNMLK"),
        b'G' => (4, b"XWUTRQPNMLK"),
        b'M' => (3, b"XWUTRQPNJLK"),
        _ => return None,
    };
    let valid = letters[((sum + offset) % 11) as usize] == last;
    match (valid, place.context()) {
        (true, _) => Hit::valid(start, end),
        (false, true) => Hit::looks(start, end),
        _ => None,
    }
}
