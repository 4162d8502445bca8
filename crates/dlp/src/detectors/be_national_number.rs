//! Belgian national numbers.
//!
//! Source: Rijksregister: key is 97 less the number modulo 97.

use super::{Anchor, Detector, personal};
use crate::place::{Hit, Place, ends, number};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("be_national_number", "Belgian national number", "Rijksregister", "key modulo 97"),
    words: &["rijksregister", "registre national", "national number", "nrn"],
    anchors: &[Anchor::Plain(&[11], find), Anchor::Grouped(&[2], find)],
};

fn find(place: &Place<'_>) -> Option<Hit> {
    let count = match place.runs {
        [run, ..] if run.digits == 11 && place.alone(1) => 1,
        // `85.07.30-033.28`
        [a, b, c, d, e, ..]
            if [a.digits, b.digits, c.digits, d.digits, e.digits] == [2, 2, 2, 3, 2] && c.joint == b'-' =>
        {
            5
        }
        _ => return None,
    };
    let fits = place.letters == 0 && ends(place.text, place.end(count));
    if fits { super::judged(place, count, valid(&place.digits(count))) } else { None }
}

fn valid(d: &[u8]) -> bool {
    let (body, key) = (number(&d[..9]), number(&d[9..]));
    97 - body % 97 == key || 97 - (2_000_000_000 + body) % 97 == key
}
