//! International bank account numbers.
//!
//! Source: ISO 13616-1, SWIFT IBAN Registry (countries and lengths); ISO/IEC 7064 MOD 97-10.

use super::{Anchor, Detector, financial};
use crate::checksum;
use crate::place::{Hit, Place, begins, ends};

pub(super) const DETECTOR: Detector = Detector {
    about: financial(
        "iban",
        "International bank account number",
        "ISO 13616-1, SWIFT registry",
        "mod 97, country and length",
    ),
    words: &["iban", "bank account", "konto", "account number"],
    anchors: &[Anchor::Lettered(&[2], lettered)],
};

/// Countries and the lengths of their numbers.
const LENGTHS: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

fn lettered(place: &Place<'_>) -> Option<Hit> {
    let start = place.start() - 2;
    if place.runs[0].digits < 2 || !begins(place.text, start) {
        return None;
    }
    let country = [place.text[start].to_ascii_uppercase(), place.text[start + 1].to_ascii_uppercase()];
    let length = LENGTHS.iter().find(|(code, _)| **code == country)?.1;
    let mut compact = [0_u8; 34];
    let (mut filled, mut at, mut gap) = (0, start, 0);
    while filled < length {
        let byte = *place.text.get(at)?;
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                compact[filled] = byte;
                (filled, gap) = (filled + 1, 0);
            }
            b' ' | b'-' | b'.' if gap == 0 && filled >= 2 => gap = 1,
            _ => return None,
        }
        at += 1;
    }
    if !ends(place.text, at) {
        return None;
    }
    match checksum::iban(&compact[..length]) {
        true => Hit::valid(start, at),
        false => place.context().then(|| Hit::looks(start, at))?,
    }
}
