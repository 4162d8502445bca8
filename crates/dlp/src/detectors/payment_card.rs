//! Payment cards.
//!
//! Source: ISO/IEC 7812-1 (numbering and Luhn's check digit); issuer ranges and lengths as published by the networks.

use super::{Anchor, Detector, financial};
use crate::checksum::luhn;
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: financial(
        "payment_card",
        "Payment card number",
        "ISO/IEC 7812-1",
        "Luhn, issuer range and length",
    ),
    words: &[
        "card",
        "cards",
        "credit",
        "debit",
        "visa",
        "mastercard",
        "amex",
        "american express",
        "discover",
        "diners",
        "cc",
        "ccn",
        "card number",
        "pan",
        "maestro",
    ],
    anchors: &[Anchor::Plain(&[12, 13, 14, 15, 16, 17, 18, 19], plain), Anchor::Grouped(&[4, 6, 8], grouped)],
};

/// How a number of cards is printed in groups.
const GROUPS: &[&[u8]] = &[
    &[4, 4, 4, 4],
    &[4, 6, 5],
    &[4, 6, 4],
    &[4, 4, 4, 4, 3],
    &[4, 4, 5],
    &[6, 10],
    &[6, 13],
    &[8, 8],
    &[4, 4, 4, 2],
    &[4, 4, 4, 1],
    &[4, 5, 6],
    &[4, 4, 4, 5],
    &[4, 4, 4, 6],
];

/// Whether a network issues numbers of this beginning and length.
fn issued(digits: &[u8]) -> bool {
    let first = |count: usize| digits[..count].iter().fold(0_u32, |sum, digit| sum * 10 + u32::from(*digit));
    let (two, three, four, six) = (first(2), first(3), first(4), first(6));
    match digits.len() {
        _ if two / 10 == 4 => matches!(digits.len(), 13 | 16 | 19),
        15 => two == 34 || two == 37 || four == 2131 || four == 1800,
        16 if matches!(two, 51..=55) || matches!(four, 2221..=2720) => true,
        14 => matches!(three, 300..=305 | 309) || matches!(two, 36 | 38 | 39),
        16..=19 => {
            four == 6011
                || two == 65
                || matches!(three, 644..=649)
                || matches!(six, 622_126..=622_925)
                || matches!(four, 3528..=3589)
                || two == 62
                || matches!(two, 36 | 38 | 39 | 50 | 56..=58 | 60 | 67..=69 | 81)
                || matches!(four, 2200..=2204)
        }
        12 | 13 => matches!(two, 50 | 56..=58 | 67) || three == 639,
        _ => false,
    }
}

fn judge(place: &Place<'_>, runs: usize) -> Option<Hit> {
    let digits = place.digits(runs);
    // Numbers of one digit only pass Luhn now and then, and are nobody's card.
    if digits.iter().all(|digit| *digit == digits[0]) {
        return None;
    }
    let (start, end) = (place.start(), place.end(runs));
    match (luhn(&digits), issued(&digits)) {
        (true, true) if digits.len() > 13 || digits[0] == 4 && digits.len() == 13 && runs > 1 => {
            Hit::valid(start, end)
        }
        (true, true) => place.context().then(|| Hit::valid(start, end))?,
        (true, false) | (false, true) if digits.len() > 12 && place.context() => Hit::looks(start, end),
        _ => None,
    }
}

fn plain(place: &Place<'_>) -> Option<Hit> {
    if place.alone(1) { judge(place, 1) } else { None }
}

fn grouped(place: &Place<'_>) -> Option<Hit> {
    GROUPS
        .iter()
        .filter(|lengths| place.shaped(lengths, b" -._/"))
        .find_map(|lengths| judge(place, lengths.len()))
}
