//! UK national insurance numbers.
//!
//! Source: HM Revenue & Customs, *National Insurance Manual*, NIM39110: which prefixes there are; the suffix is A to D.

use super::{Anchor, Detector, personal};
use crate::place::{Hit, Place, before, begins, ends};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("uk_nino", "UK national insurance number", "HMRC, NIM39110", "prefix and suffix"),
    words: &["national insurance", "nino", "ni number", "insurance number", "ni no"],
    anchors: &[Anchor::Lettered(&[2], lettered), Anchor::Plain(&[6], spaced), Anchor::Grouped(&[2], spaced)],
};

fn lettered(place: &Place<'_>) -> Option<Hit> {
    let start = place.start() - 2;
    judge(place, start, &place.text[start..start + 2])
}

/// `AB 12 34 56 C`: the letters stand apart.
fn spaced(place: &Place<'_>) -> Option<Hit> {
    let start = place.start().checked_sub(3)?;
    let apart = matches!(before(place.text, place.start(), 1), b' ' | b'-' | b'.');
    if apart { judge(place, start, &place.text[start..start + 2]) } else { None }
}

fn judge(place: &Place<'_>, start: usize, prefix: &[u8]) -> Option<Hit> {
    let (first, second) = (prefix[0].to_ascii_uppercase(), prefix[1].to_ascii_uppercase());
    if !first.is_ascii_uppercase() || !second.is_ascii_uppercase() || !begins(place.text, start) {
        return None;
    }
    let count = match place.runs {
        [run, ..] if run.digits == 6 => 1,
        [a, b, c, ..] if a.digits == 2 && b.digits == 2 && c.digits == 2 => 3,
        _ => return None,
    };
    let mut end = place.end(count);
    let gap = usize::from(matches!(place.text.get(end), Some(b' ' | b'-' | b'.')));
    let suffix = place.text.get(end + gap).map_or(0, u8::to_ascii_uppercase);
    let suffixed = matches!(suffix, b'A'..=b'D') && ends(place.text, end + gap + 1);
    if suffixed {
        end += gap + 1;
    } else if !ends(place.text, end) || !place.context() {
        return None;
    }
    let known = !b"DFIQUV".contains(&first)
        && !b"DFIOQUV".contains(&second)
        && !matches!(
            [first, second],
            [b'B', b'G']
                | [b'G', b'B']
                | [b'N', b'K']
                | [b'K', b'N']
                | [b'T', b'N']
                | [b'N', b'T']
                | [b'Z', b'Z']
        );
    match known && suffixed {
        true => Hit::valid(start, end),
        false => place.context().then(|| Hit::looks(start, end))?,
    }
}
