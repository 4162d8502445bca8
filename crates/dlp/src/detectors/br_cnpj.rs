//! Brazilian CNPJ numbers of legal persons.
//!
//! Source: Receita Federal: two check digits modulo 11.

use super::{Anchor, Detector, financial};
use crate::checksum::weighted;
use crate::place::{Hit, Place, ends};

pub(super) const DETECTOR: Detector = Detector {
    about: financial("br_cnpj", "Brazilian CNPJ number", "Receita Federal", "two digits modulo 11"),
    words: &["cnpj"],
    anchors: &[Anchor::Plain(&[14], find), Anchor::Grouped(&[2], find)],
};

fn find(place: &Place<'_>) -> Option<Hit> {
    let count = match place.runs {
        [run, ..] if run.digits == 14 && place.alone(1) => 1,
        // `12.345.678/0001-95`
        [a, b, c, d, e, ..]
            if [a.digits, b.digits, c.digits, d.digits, e.digits] == [2, 3, 3, 4, 2]
                && c.joint == b'/'
                && d.joint == b'-' =>
        {
            5
        }
        _ => return None,
    };
    let fits = place.letters == 0 && ends(place.text, place.end(count));
    if fits { super::judged(place, count, valid(&place.digits(count))) } else { None }
}

fn valid(d: &[u8]) -> bool {
    let check = |weights: &[u32]| match weighted(d, weights) % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    };
    d.len() == 14
        && d.iter().any(|digit| *digit != d[0])
        && check(&[5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]) == u32::from(d[12])
        && check(&[6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]) == u32::from(d[13])
}
