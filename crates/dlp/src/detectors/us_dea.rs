//! Registration numbers of the US Drug Enforcement Administration.
//!
//! Source: DEA, 21 CFR 1301: two letters and seven digits, the last of which checks the others.

use super::{Anchor, Detector, health};
use crate::place::{Hit, Place, begins, ends};

pub(super) const DETECTOR: Detector = Detector {
    about: health("us_dea", "US DEA registration number", "DEA, 21 CFR 1301", "check digit"),
    words: &["dea", "dea number", "prescriber"],
    anchors: &[Anchor::Lettered(&[2], find)],
};

fn find(place: &Place<'_>) -> Option<Hit> {
    let (start, end) = (place.start() - 2, place.end(1));
    if place.runs[0].digits != 7 || !begins(place.text, start) || !ends(place.text, end) {
        return None;
    }
    let d = place.digits(1);
    let kind = b"ABCDEFGHJKLMPRSTUX".contains(&place.text[start].to_ascii_uppercase());
    let valid = kind && (d[0] + d[2] + d[4] + 2 * (d[1] + d[3] + d[5])) % 10 == d[6];
    match (valid, place.context()) {
        (valid, true) => Hit::of(start, end, valid),
        (true, false) => (place.text[start].is_ascii_uppercase()).then(|| Hit::looks(start, end))?,
        _ => None,
    }
}
