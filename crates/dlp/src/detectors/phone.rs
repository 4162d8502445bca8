//! Telephone numbers: international and national forms.
//!
//! Source: ITU-T E.164 (at most 15 digits), E.123 (how they are written); North American Numbering Plan (area and exchange
//! begin with 2 to 9).

use super::{Anchor, Detector, personal};
use crate::place::{Hit, Place, begins, ends};

pub(super) const DETECTOR: Detector = Detector {
    about: personal(
        "phone",
        "Telephone number",
        "ITU-T E.164, E.123; NANP",
        "country code or NANP, or context",
    ),
    words: &[
        "phone",
        "phones",
        "telephone",
        "tel",
        "mobile",
        "cell",
        "fax",
        "call",
        "call me",
        "dial",
        "sms",
        "text me",
        "whatsapp",
        "contact",
        "telefon",
        "handy",
        "mobil",
        "rufnummer",
        "telephone number",
        "phone number",
        "cellphone",
        "hotline",
        "ring",
        "reach",
        "telefono",
        "telefone",
        "landline",
        "voicemail",
        "msisdn",
    ],
    anchors: &[
        Anchor::Grouped(&[1, 2, 3, 4, 5, 6, 7, 8], find),
        Anchor::Plain(&[7, 8, 9, 10, 11, 12, 13, 14, 15], find),
    ],
};

/// Country codes with their shortest and longest numbers, code included. Others: 8 to 15 digits.
const COUNTRIES: &[(&[u8], usize, usize)] = &[
    (&[1], 11, 11),
    (&[7], 11, 11),
    (&[3, 3], 11, 11),
    (&[3, 4], 11, 11),
    (&[4, 4], 11, 12),
    (&[4, 1], 11, 11),
    (&[3, 1], 11, 11),
    (&[3, 2], 10, 11),
    (&[4, 5], 10, 10),
    (&[4, 6], 9, 12),
    (&[4, 7], 10, 10),
    (&[4, 8], 11, 11),
    (&[6, 1], 11, 11),
    (&[8, 1], 11, 12),
    (&[8, 2], 10, 12),
    (&[8, 6], 12, 13),
    (&[9, 1], 12, 12),
    (&[5, 5], 12, 13),
    (&[5, 2], 12, 13),
    (&[3, 5, 3], 10, 12),
    (&[3, 5, 1], 12, 12),
    (&[9, 7, 2], 11, 12),
];

fn find(place: &Place<'_>) -> Option<Hit> {
    if place.letters != 0 {
        return None;
    }
    let mut start = place.start();
    let mut before = place.before(1);
    if before == b'(' {
        start -= 1;
        before = crate::place::before(place.text, start, 1);
    }
    if before == b'+' && place.joint_before == 0 {
        return international(place, start - 1);
    }
    // The number began earlier.
    if !matches!(place.joint_before, 0 | b' ' | b'/' | b'(') || !begins(place.text, start) {
        return None;
    }
    let nanp = nanp(place, start);
    if nanp.is_some() {
        return nanp;
    }
    // `00` and the country code.
    if place.runs[0].digits == 2 && place.digits(1)[..] == [0, 0]
        || place.runs[0].digits > 8 && place.digits(1)[..2] == [0, 0]
    {
        return place.context().then(|| national(place, start))?;
    }
    if place.context() && place.joint_before == 0 { national(place, start) } else { None }
}

fn international(place: &Place<'_>, start: usize) -> Option<Hit> {
    let digits = place.digits(place.runs.len().min(9));
    let known = COUNTRIES.iter().find(|(code, ..)| digits.starts_with(code));
    let (least, most) = known.map_or((8, 15), |(_, least, most)| (*least, *most));
    // A trunk zero in brackets, `+44 (0)20 …`, is not dialled from abroad.
    let trunk = place.runs.iter().take(4).any(|run| {
        run.digits == 1 && place.text[run.start] == b'0' && place.text.get(run.end) == Some(&b')')
    });
    let most = most + usize::from(trunk);
    let (mut count, mut sum, mut best) = (0, 0, None);
    for run in place.runs.iter().take(9) {
        sum += usize::from(run.digits);
        count += 1;
        if sum > most {
            break;
        }
        if sum >= least && stops(place.text, run.end) {
            best = Some(count);
        }
    }
    let count = best?;
    Hit::valid(start, extension(place.text, place.end(count)))
}

/// `(212) 555-0123`, `212-555-0123`, `212.555.0123`, `1-212-555-0123`, and ten digits with context.
fn nanp(place: &Place<'_>, start: usize) -> Option<Hit> {
    let runs = place.runs;
    let length = |at: usize| runs.get(at).map_or(0, |run| run.digits);
    let lead = match (length(0), length(1), length(2), length(3)) {
        (1, 3, 3, 4) if place.text[runs[0].start] == b'1' => 1,
        (3, 3, 3, 4) if place.digits(1)[..] == [0, 0, 1] => 1,
        (3, 3, 4, _) => 0,
        (3, 7, ..) | (6, 4, ..) if place.context() => {
            let sound = plan(&place.digits(2)) && stops(place.text, place.end(2));
            return sound.then(|| Hit::valid(start, extension(place.text, place.end(2))))?;
        }
        (10, ..) if place.context() && (runs.len() == 1 || runs[0].joint == b' ') => {
            let sound = stops(place.text, runs[0].end);
            return sound
                .then(|| Hit::of(start, extension(place.text, runs[0].end), plan(&place.digits(1))))?;
        }
        (11, ..) if place.context() && place.text[runs[0].start] == b'1' && runs.len() == 1 => {
            let sound = stops(place.text, runs[0].end) && plan(&place.digits(1)[1..]);
            return sound.then(|| Hit::valid(start, extension(place.text, runs[0].end)))?;
        }
        // Seven digits, as people write them within one area.
        (3, 4, 0, _) if place.context() && matches!(runs[0].joint, b'-' | b'.' | b' ') => {
            let sound = stops(place.text, place.end(2));
            return sound.then(|| Hit::looks(start, extension(place.text, place.end(2))))?;
        }
        _ => return None,
    };
    let last = runs[lead + 2];
    let joint = runs[lead + 1].joint;
    let even = matches!(
        (runs[lead].joint, joint),
        (b')', b'-' | b' ' | b'.') | (b'-', b'-') | (b'.', b'.') | (b' ', b' ' | b'-') | (b'/', b'-')
    );
    let goes_on = last.joint == joint && joint != b' ';
    if !even || goes_on || !stops(place.text, last.end) {
        return None;
    }
    let digits = place.digits(lead + 3);
    let sound = plan(&digits[digits.len() - 10..]);
    let bracketed = place.runs[lead].joint == b')';
    // Without words around, spaces alone make no telephone number of ten digits.
    let told = place.context() || bracketed || joint != b' ' || lead == 1;
    match (sound, told) {
        (true, true) => Hit::valid(start, extension(place.text, last.end)),
        (true, false) => Hit::looks(start, last.end),
        (false, _) => {
            (place.context() || bracketed).then(|| Hit::looks(start, extension(place.text, last.end)))?
        }
    }
}

/// Whether the North American plan has such numbers.
fn plan(digits: &[u8]) -> bool {
    digits.len() == 10 && digits[0] >= 2 && digits[3] >= 2 && digits[1..3] != [1, 1] && digits[4..6] != [1, 1]
}

/// Any number of 7 to 15 digits that words call a telephone number.
fn national(place: &Place<'_>, start: usize) -> Option<Hit> {
    let (mut sum, mut best) = (0, None);
    for (at, run) in place.runs.iter().take(8).enumerate() {
        sum += usize::from(run.digits);
        if sum > 15 {
            break;
        }
        if sum >= 7 && stops(place.text, run.end) {
            best = Some(at + 1);
        }
    }
    let count = best?;
    if date_like(place, count) || place.runs[..count - 1].iter().any(|run| run.joint == b'_') {
        return None;
    }
    let trunk = place.text[place.start()] == b'0';
    Hit::of(start, extension(place.text, place.end(count)), trunk && count > 1)
}

/// `2024-01-31` and `31/01/2024` are dates, `10.0.0.1` an address, whatever words stand near.
fn date_like(place: &Place<'_>, count: usize) -> bool {
    let lengths = |at: usize| place.runs.get(at).map_or(0, |run| run.digits);
    count == 3 && matches!((lengths(0), lengths(1), lengths(2)), (4, 1 | 2, 1 | 2) | (1 | 2, 1 | 2, 4 | 2))
        || count == 4
            && place.runs[..3].iter().all(|run| run.joint == b'.' && run.digits <= 3)
            && lengths(3) <= 3
}

/// Whether the number ends here, or an extension follows.
fn stops(text: &[u8], end: usize) -> bool {
    ends(text, end) || extension(text, end) > end
}

/// The end of `x123`, `ext. 123` or `#123` after a number, or where the number ends.
fn extension(text: &[u8], end: usize) -> usize {
    let rest = &text[end..text.len().min(end + 16)];
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    let word = &rest[spaces..];
    let sign = [&b"extension "[..], b"ext. ", b"ext.", b"ext ", b"ext", b"x", b"#"];
    let Some(sign) =
        sign.iter().find(|sign| word.len() >= sign.len() && word[..sign.len()].eq_ignore_ascii_case(sign))
    else {
        return end;
    };
    let digits = word[sign.len()..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let stop = end + spaces + sign.len() + digits;
    if (1..=6).contains(&digits) && ends(text, stop) { stop } else { end }
}
