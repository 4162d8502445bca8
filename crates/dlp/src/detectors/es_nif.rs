//! Spanish tax numbers of persons: DNI/NIF and NIE.
//!
//! Source: Real Decreto 1065/2007; the letter is the number modulo 23.

use super::{Anchor, Detector, personal};
use crate::place::{Hit, Place, begins, ends};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("es_nif", "Spanish DNI, NIF or NIE", "Real Decreto 1065/2007", "letter modulo 23"),
    words: &["dni", "nif", "nie", "documento nacional"],
    anchors: &[Anchor::Plain(&[8], find), Anchor::Lettered(&[1], find)],
};

fn find(place: &Place<'_>) -> Option<Hit> {
    let run = place.runs[0];
    let start = run.start - place.letters;
    let lead = match place.letters {
        0 if run.digits == 8 => 0,
        1 if run.digits == 7 => match place.text[start].to_ascii_uppercase() {
            b'X' => 0,
            b'Y' => 1,
            b'Z' => 2,
            _ => return None,
        },
        _ => return None,
    };
    let gap = usize::from(place.text.get(run.end) == Some(&b'-'));
    let letter = place.text.get(run.end + gap)?.to_ascii_uppercase();
    let end = run.end + gap + 1;
    if !letter.is_ascii_uppercase() || !begins(place.text, start) || !ends(place.text, end) {
        return None;
    }
    let number = lead * 10_000_000 + place.digits(1).number();
    let valid = usize::try_from(number % 23).is_ok_and(|at| b"TRWAGMYFPDXBNJZSQVHLCKE"[at] == letter);
    match (valid, place.context()) {
        (valid, true) => Hit::of(start, end, valid),
        (true, false) if place.text[end - 1].is_ascii_uppercase() => Hit::valid(start, end),
        _ => None,
    }
}
