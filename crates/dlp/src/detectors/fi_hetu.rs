//! Finnish personal identity codes.
//!
//! Source: Digital and Population Data Services Agency: the number of date and serial modulo 31 names the last character.

use super::{Anchor, Detector, personal};
use crate::place::{Hit, Place, begins, ends, number};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("fi_hetu", "Finnish personal identity code", "DVV, personal identity code", "modulo 31"),
    words: &["hetu", "henkilotunnus", "personal identity code"],
    anchors: &[Anchor::Plain(&[6], find)],
};

fn find(place: &Place<'_>) -> Option<Hit> {
    let (start, run) = (place.start(), place.runs[0]);
    let end = start + 11;
    let token = place.text.get(start..end)?;
    if run.digits != 6
        || !b"+-ABCDEFYXWVU".contains(&token[6])
        || !token[7..10].iter().all(u8::is_ascii_digit)
    {
        return None;
    }
    if !begins(place.text, start) || !ends(place.text, end) {
        return None;
    }
    let mut digits = [0; 9];
    for (digit, byte) in digits.iter_mut().zip(token[..6].iter().chain(&token[7..10])) {
        *digit = byte - b'0';
    }
    let check = usize::try_from(number(&digits) % 31).unwrap_or(0);
    let dated = matches!(digits[0] * 10 + digits[1], 1..=31) && matches!(digits[2] * 10 + digits[3], 1..=12);
    let valid = dated && b"0123456789ABCDEFHJKLMNPRSTUVWXY"[check] == token[10];
    valid.then(|| Hit::valid(start, end))?
}
