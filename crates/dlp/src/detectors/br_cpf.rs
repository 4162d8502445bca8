//! Brazilian CPF numbers.
//!
//! Source: Receita Federal: two check digits modulo 11.

use super::{Anchor, Detector, personal};
use crate::place::{Hit, Place, ends};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("br_cpf", "Brazilian CPF number", "Receita Federal", "two digits modulo 11"),
    words: &["cpf", "cadastro de pessoas"],
    anchors: &[Anchor::Plain(&[11], find), Anchor::Grouped(&[3], find)],
};

fn find(place: &Place<'_>) -> Option<Hit> {
    let runs = place.runs;
    let count = match runs {
        [run, ..] if run.digits == 11 && place.alone(1) => 1,
        // `123.456.789-09`
        [a, b, c, d, ..]
            if [a.digits, b.digits, c.digits, d.digits] == [3, 3, 3, 2]
                && c.joint == b'-'
                && d.joint != b'-' =>
        {
            4
        }
        _ => return None,
    };
    let apart = place.letters == 0
        && !matches!(place.joint_before, b'.' | b'-')
        && ends(place.text, place.end(count));
    if apart { super::judged(place, count, valid(&place.digits(count))) } else { None }
}

fn valid(d: &[u8]) -> bool {
    let check = |count: usize| {
        let sum: usize = (0..count).map(|at| usize::from(d[at]) * (count + 1 - at)).sum();
        u8::try_from(sum * 10 % 11 % 10).unwrap_or(0)
    };
    d.len() == 11 && d.iter().any(|digit| *digit != d[0]) && check(9) == d[9] && check(10) == d[10]
}
