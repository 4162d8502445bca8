//! German tax identification numbers.
//!
//! Source: Bundeszentralamt für Steuern, *Steuer-ID*: ISO/IEC 7064 MOD 11,10; one digit of the first ten stands two or
//! three times.

use super::{Anchor, Detector, personal};
use crate::checksum::mod11_10;
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: personal(
        "de_tax_id",
        "German tax identification number",
        "BZSt, Steuer-ID",
        "MOD 11,10 and repeated digit",
    ),
    words: &[
        "steuer id",
        "steuerid",
        "steuerliche identifikationsnummer",
        "steueridentifikationsnummer",
        "idnr",
        "identifikationsnummer",
        "german tax",
        "tax id",
        "tin",
    ],
    anchors: &[Anchor::Plain(&[11], find), Anchor::Grouped(&[2], find)],
};

fn find(place: &Place<'_>) -> Option<Hit> {
    let count = if place.runs[0].digits == 11 { 1 } else { 4 };
    let fits = if count == 1 { place.alone(1) } else { place.shaped(&[2, 3, 3, 3], b" -/") };
    if !fits {
        return None;
    }
    let digits = place.digits(count);
    let mut times = [0; 10];
    digits[..10].iter().for_each(|digit| times[usize::from(*digit)] += 1);
    let repeated = times.iter().filter(|it| **it >= 2).count() == 1 && times.iter().all(|it| *it <= 3);
    let valid = digits[0] != 0 && repeated && mod11_10(&digits);
    match (valid, place.context()) {
        (valid, true) => Hit::of(place.start(), place.end(count), valid),
        (true, false) if count == 4 => Hit::valid(place.start(), place.end(count)),
        _ => None,
    }
}
