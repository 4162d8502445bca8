//! Values that a word announces: `password = "…"`, `MRN: …`, `token is …`.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use crate::place::{Spot, before};

/// Longest value that a word announces, in bytes.
const VALUE_MAX: usize = 160;

/// Shortest value in which further words announce nothing, in bytes.
const LONG_MIN: usize = 32;

/// Farthest that a value stands from the word, in bytes.
const GAP_MAX: usize = 40;

/// A value and how it was announced.
pub(crate) struct Assigned {
    pub start: usize,
    pub end: usize,
    /// It stands in quotes.
    pub quoted: bool,
    /// A sentence says it: `the password is …`.
    pub said: bool,
}

/// The value assigned to the name at the spot; in `sentence`s too.
pub(crate) fn assigned(spot: &Spot<'_>, sentence: bool) -> Option<Assigned> {
    if spot.announced.holds(spot.kind, spot.at) {
        return None;
    }
    let text = spot.text;
    let byte = |at: usize| text.get(at).copied().unwrap_or(0);
    let mut at = spot.end;
    while at - spot.end < 24 && (byte(at).is_ascii_alphanumeric() || byte(at) == b'_') {
        at += 1;
    }
    let option = before(text, spot.at, 1) == b'-' && byte(at) == b' ';
    while matches!(byte(at), b'"' | b'\'' | b'\\' | b']' | b'`') && at - spot.end < GAP_MAX {
        at += 1;
    }
    let blank = |at: usize| matches!(byte(at), b' ' | b'\t');
    let spaced = at;
    while blank(at) && at - spot.end < GAP_MAX {
        at += 1;
    }
    let mut said = false;
    match (byte(at), byte(at + 1)) {
        (b'=' | b'!' | b'<' | b'>', b'=') | (b':', b':') => return None,
        (b'=', b'>') | (b':', b'=') => at += 2,
        (b'=' | b':', _) => at += 1,
        _ if sentence
            && [&b"is "[..], b"was ", b"ist ", b"to "]
                .iter()
                .any(|word| text[at.min(text.len())..].starts_with(word)) =>
        {
            at += text[at..].iter().take_while(|byte| **byte != b' ').count();
            said = true;
            if byte(at + 1) == b':' {
                at += 2;
            }
        }
        _ if at > spaced && (option || text[spot.at..spot.end].eq_ignore_ascii_case(b"bearer")) => {}
        _ => return None,
    }
    while blank(at) && at - spot.end < GAP_MAX {
        at += 1;
    }
    if matches!(byte(at), b'b' | b'u' | b'r' | b'f') && matches!(byte(at + 1), b'"' | b'\'') {
        at += 1;
    }
    let escaped = byte(at) == b'\\' && matches!(byte(at + 1), b'"' | b'\'');
    at += usize::from(escaped);
    if matches!(byte(at), b'"' | b'\'' | b'`') {
        let (quote, start) = (byte(at), at + 1);
        let end = quoted_end(text, start, quote, escaped)?;
        let start = start + scheme(&text[start..end]);
        return (end > start).then_some(Assigned { start, end, quoted: true, said });
    }
    let start = at + scheme(&text[at.min(text.len())..]);
    let end = bare_end(text, start);
    if end > start + LONG_MIN {
        spot.announced.note(spot.kind, end);
    }
    (end > start).then_some(Assigned { start, end, quoted: false, said })
}

/// Length of `Bearer ` and its like.
fn scheme(text: &[u8]) -> usize {
    let named = |word: &&[u8]| text.len() > word.len() && text[..word.len()].eq_ignore_ascii_case(word);
    [&b"bearer "[..], b"basic ", b"token "].into_iter().find(|word| named(word)).map_or(0, <[u8]>::len)
}

/// Where a quoted value ends. Without closing quote on its line there is none.
fn quoted_end(text: &[u8], start: usize, quote: u8, escaped: bool) -> Option<usize> {
    let mut at = start;
    while at < text.len() && at - start <= VALUE_MAX {
        match text[at] {
            b'\n' => return None,
            b'\\' if escaped && text.get(at + 1) == Some(&quote) => return Some(at),
            b'\\' => at += 1,
            byte if byte == quote => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// Where a value without quotes ends: at white space, a quote, or a separator that something else follows.
fn bare_end(text: &[u8], start: usize) -> usize {
    let most = text.len().min(start + VALUE_MAX);
    let mut at = start;
    while at < most {
        match text[at] {
            byte if byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'\\') => break,
            b'&' | b';' | b'|' if named_next(text, at + 1) => break,
            b',' | b';'
                if text.get(at + 1).is_none_or(|byte| byte.is_ascii_whitespace() || *byte == b'"') =>
            {
                break;
            }
            _ => at += 1,
        }
    }
    while at > start
        && matches!(text[at - 1], b'.' | b',' | b';' | b':' | b')' | b']' | b'}')
        && at - start < VALUE_MAX
    {
        at -= 1;
    }
    at
}

/// Whether `name=` follows.
fn named_next(text: &[u8], at: usize) -> bool {
    let rest = &text[at.min(text.len())..text.len().min(at + 32)];
    let name = rest
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b' '))
        .count();
    name > 0 && rest.get(name) == Some(&b'=')
}

/// The token of letters, digits and dashes that the word at the spot announces, with fillers such as `number is` between.
pub(crate) fn told_token(spot: &Spot<'_>) -> Option<(usize, usize)> {
    const FILLERS: [&[u8]; 16] = [
        b"number", b"no", b"num", b"id", b"is", b"nr", b"nummer", b"code", b"card", b"was", b"the", b"of",
        b"s", b"holder", b"licence", b"license",
    ];
    let text = spot.text;
    let mut at = spot.end;
    loop {
        while at < text.len() && at - spot.end < GAP_MAX && b" \t:#=\"'._()\\[]-".contains(&text[at]) {
            at += 1;
        }
        let word = text[at..].iter().take(10).take_while(|byte| byte.is_ascii_alphabetic()).count();
        let filler = word > 0
            && at - spot.end < GAP_MAX
            && crate::place::ends(text, at + word) | (text.get(at + word) == Some(&b'_'))
            && FILLERS.iter().any(|it| text[at..at + word].eq_ignore_ascii_case(it));
        if !filler {
            break;
        }
        at += word;
    }
    let inside = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'-';
    let mut end = at + text[at..].iter().take(32).take_while(inside).count();
    while end > at && text[end - 1] == b'-' {
        end -= 1;
    }
    (at > spot.end && end > at && crate::place::ends(text, end)).then_some((at, end))
}

/// As [`told_token`], of so many letters and digits, at least four of them digits, and no date.
pub(crate) fn told(spot: &Spot<'_>, length: RangeInclusive<usize>) -> Option<(usize, usize)> {
    let (start, end) = told_token(spot)?;
    let token = &spot.text[start..end];
    let dashes = token.iter().filter(|byte| **byte == b'-').count();
    let digits = token.iter().filter(|byte| byte.is_ascii_digit()).count();
    let date = token.len() == 10 && dashes == 2 && token[4] == b'-';
    (length.contains(&(token.len() - dashes)) && digits >= 4 && !date).then_some((start, end))
}

/// Parts of what stands for a value.
static PARTS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let parts = [
        "${",
        "{{",
        "$(",
        "%(",
        "environ",
        "getenv",
        "process.env",
        "env.",
        "xxxx",
        "your",
        "****",
        "....",
        "hmac-sha256:",
    ];
    AhoCorasick::new(parts).expect("a few short words fit")
});

/// Whether a value stands for another one: `${SECRET}`, `<password>`, `********`, `null`, `os.environ`.
pub(crate) fn placeholder(text: &[u8]) -> bool {
    const WORDS: [&[u8]; 16] = [
        b"null",
        b"none",
        b"true",
        b"false",
        b"undefined",
        b"string",
        b"password",
        b"passwd",
        b"secret",
        b"token",
        b"redacted",
        b"optional",
        b"required",
        b"hidden",
        b"empty",
        b"todo",
    ];
    let lower = text[..text.len().min(48)].to_ascii_lowercase();
    text.first().is_none_or(|first| {
        matches!(first, b'$' | b'<' | b'[' | b'{') || text.iter().all(|byte| byte == first)
    }) || WORDS.contains(&&lower[..])
        || PARTS.is_match(&lower)
}

/// Whether it is the name of something in a program: letters, and `_` or `.` between, or a type.
pub(crate) fn identifier(text: &[u8]) -> bool {
    const TYPES: [&[u8]; 12] = [
        b"str",
        b"String",
        b"text",
        b"bool",
        b"bytes",
        b"number",
        b"varchar",
        b"Secret",
        b"SecretStr",
        b"Password",
        b"self",
        b"char",
    ];
    let named =
        text.iter().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.' | b'-' | b':'));
    named && text.iter().any(|byte| !byte.is_ascii_alphabetic()) || TYPES.contains(&text)
}

/// Shannon's entropy, in bits per byte.
pub(crate) fn entropy(text: &[u8]) -> f64 {
    let text = &text[..text.len().min(VALUE_MAX)];
    let mut counts = [0_u8; 256];
    text.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let length = text.len() as f64;
    let part = |count: &u8| match count {
        0 => 0.0,
        count => -(f64::from(*count) / length) * (f64::from(*count) / length).log2(),
    };
    counts.iter().map(part).sum()
}
