//! Chinese resident identity numbers.
//!
//! Source: GB 11643-1999: region, date, serial, and ISO/IEC 7064 MOD 11-2.

use super::{Anchor, Detector, personal};
use crate::checksum::weighted;
use crate::place::{Hit, Place, begins, ends};

pub(super) const DETECTOR: Detector = Detector {
    about: personal(
        "cn_resident_id",
        "Chinese resident identity number",
        "GB 11643-1999",
        "date and MOD 11-2",
    ),
    words: &["resident id", "identity card", "id card", "shenfenzheng"],
    anchors: &[Anchor::Plain(&[17, 18], find)],
};

fn find(place: &Place<'_>) -> Option<Hit> {
    let start = place.start();
    let end = start + 18;
    let last = *place.text.get(end - 1)?;
    let fits = last.is_ascii_digit() || matches!(last, b'X' | b'x');
    if !fits || place.runs[0].end + 1 < end || !begins(place.text, start) || !ends(place.text, end) {
        return None;
    }
    let d = place.digits(1);
    let dated = matches!(d[6] * 10 + d[7], 18..=20)
        && matches!(d[10] * 10 + d[11], 1..=12)
        && matches!(d[12] * 10 + d[13], 1..=31);
    let check = weighted(&d[..17], &[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]) % 11;
    let valid = dated && b"10X98765432"[check as usize] == last.to_ascii_uppercase();
    match valid {
        true => Hit::valid(start, end),
        false => place.context().then(|| Hit::looks(start, end))?,
    }
}
