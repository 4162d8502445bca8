//! Runs of base64 and hexadecimal digits that hold a text.

use super::gzip::MAGIC;
use super::{Origin, Places, View};
use crate::finding::Via;

/// Shortest run that is decoded, in characters: 13 bytes in base64, 10 in hexadecimal, the shortest that says anything.
pub(crate) const RUN_MIN: usize = 16;

/// Longest run that is decoded at once, in characters; the next one overlaps it by [`OVERLAP`].
pub(crate) const RUN_MAX: usize = 64 << 10;

/// By how much two parts of a run overlap: twice what a finding takes. A multiple of 4, so that both decode alike.
pub(crate) const OVERLAP: usize = 2 << 10;

/// Shortest line that goes on in the next one: encoders break at 64 or 76.
const LINE_MIN: usize = 40;

/// Fewest printable characters in a row that make decoded bytes a text.
const PRINTABLE_MIN: usize = 7;

/// No digit.
pub(crate) const NONE: u8 = 0xFF;

/// Values of base64 and base64url.
const VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut at = 0;
    while at < 64 {
        values[alphabet[at] as usize] = at as u8;
        at += 1;
    }
    values[b'-' as usize] = 62;
    values[b'_' as usize] = 63;
    values
};

/// Values of hexadecimal digits.
const NIBBLE: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut digit = 0;
    while digit < 16 {
        values[b"0123456789abcdef"[digit] as usize] = digit as u8;
        values[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

/// The value of a hexadecimal digit, or [`NONE`].
pub(crate) fn nibble(byte: u8) -> u8 {
    NIBBLE[usize::from(byte)]
}

fn digit(byte: u8) -> bool {
    VALUES[usize::from(byte)] != NONE
}

/// How many digits stand at the beginning: many at a time, as a processor likes them.
fn digits(bytes: &[u8]) -> usize {
    let is = |byte: u8| {
        (byte | 0x20).wrapping_sub(b'a') < 26
            || byte.wrapping_sub(b'0') < 10
            || byte == b'+'
            || byte == b'/'
            || byte == b'-'
            || byte == b'_'
    };
    let all = |chunk: &&[u8]| chunk.iter().fold(true, |all, byte| all & is(*byte));
    let at = 32 * bytes.chunks_exact(32).take_while(all).count();
    at + bytes[at..].iter().take_while(|byte| digit(**byte)).count()
}

/// Whether all are hexadecimal digits, many at a time.
fn all_hexadecimal(run: &[u8]) -> bool {
    let is = |byte: u8| (byte | 0x20).wrapping_sub(b'a') < 6 || byte.wrapping_sub(b'0') < 10;
    run.chunks(32).all(|chunk| chunk.iter().fold(true, |all, byte| all & is(*byte)))
}

/// Whether a run goes through here: the byte before belongs to one.
pub(crate) fn inside(text: &[u8], at: usize) -> bool {
    at > 0 && text.get(at - 1).is_some_and(|byte| digit(*byte))
}

/// Behind the last digit of a run.
pub(crate) fn skip(text: &[u8], at: usize) -> usize {
    at + digits(&text[at..])
}

/// The next run that begins at `from` or later: its start, and its end if the text does not go on.
pub(crate) fn next(text: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut start = from;
    loop {
        let window = text.get(start..start + RUN_MIN)?;
        match window.iter().rposition(|byte| !digit(*byte)) {
            Some(last) => start += last + 1,
            None => return Some((start, run_end(text, start))),
        }
    }
}

/// Where the run ends, lines that belong together as one; [`RUN_MAX`] further at most.
fn run_end(text: &[u8], start: usize) -> usize {
    let most = text.len().min(start + RUN_MAX);
    let mut at = start;
    loop {
        let line = at;
        at += digits(&text[at..most]);
        let next = at + line_break(&text[at..most]);
        if next == at || at - line < LINE_MIN || !text.get(next).is_some_and(|byte| digit(*byte)) {
            return at;
        }
        at = next;
    }
}

/// Length of a line end, also as an escape.
fn line_break(text: &[u8]) -> usize {
    [&b"\r\n"[..], b"\n", b"\\r\\n", b"\\n"]
        .into_iter()
        .find(|sign| text.starts_with(sign))
        .map_or(0, <[u8]>::len)
}

/// The text that a run holds, if it holds one.
pub(crate) fn decode(text: &[u8], start: usize, end: usize) -> Option<View> {
    let run = &text[start..end];
    if run.len() >= 2 * PRINTABLE_MIN
        && all_hexadecimal(run)
        && let Some(view) = hexadecimal(run, start)
    {
        return Some(view);
    }
    if !mixed(run) {
        return None;
    }
    base64(run, start)
}

/// Whether capitals and small letters occur: they do in base64, and hardly in names of programs.
fn mixed(run: &[u8]) -> bool {
    let head = &run[..run.len().min(256)];
    head.iter().any(u8::is_ascii_uppercase) && head.iter().any(u8::is_ascii_lowercase)
}

fn hexadecimal(run: &[u8], start: usize) -> Option<View> {
    let bytes =
        |skip: usize| run[skip..].chunks_exact(2).map(move |pair| nibble(pair[0]) << 4 | nibble(pair[1]));
    let packed = |skip: usize| bytes(skip).take(MAGIC.len()).eq(MAGIC.iter().copied());
    let text = |skip: usize| match worth_text(bytes(skip)) {
        Some(true) => true,
        Some(false) => begins_utf8(bytes(skip)) && mostly_utf8(&bytes(skip).collect::<Vec<_>>()),
        None => packed(skip),
    };
    let skip = (0..2).find(|skip| text(*skip))?;
    let bytes = bytes(skip).collect();
    let origin = Origin::Digits { places: Places::From(start + skip), bits: 4 };
    Some(View { text: bytes, via: Via::Hex, origin })
}

fn base64(run: &[u8], start: usize) -> Option<View> {
    // What is no digit in a run is the end of a line, perhaps as an escape.
    let broken = memchr::memchr3(b'\n', b'\r', b'\\', run).is_some();
    let kept: Vec<u8>;
    let digits = if broken {
        kept = places(run).map(|at| run[at]).collect();
        &kept[..]
    } else {
        run
    };
    // A run may begin with other letters than those that are encoded, as in a path.
    let mut best: Option<(usize, usize)> = None;
    for skip in 0..4.min(digits.len()) {
        let (score, text) = worth(&digits[skip..]);
        if score >= PRINTABLE_MIN && best.is_none_or(|(most, _)| score > most) {
            best = Some((score, skip));
        }
        if text {
            break;
        }
    }
    let (_, skip) = best?;
    let bytes = quads(&digits[skip..]);
    let places = match broken {
        false => Places::From(start + skip),
        true => Places::At(
            places(run).skip(skip).map(|at| u32::try_from(start + at).unwrap_or(u32::MAX)).collect(),
        ),
    };
    Some(View { text: bytes, via: Via::Base64, origin: Origin::Digits { places, bits: 6 } })
}

/// Where the digits of a run stand, without its line ends.
fn places(run: &[u8]) -> impl Iterator<Item = usize> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < run.len() && !digit(run[at]) {
            at += line_break(&run[at..]).max(1);
        }
        (at < run.len()).then(|| {
            at += 1;
            at - 1
        })
    })
}

/// How good a text digits hold: its longest printable stretch, and whether that is most of it. Decodes without keeping.
fn worth(digits: &[u8]) -> (usize, bool) {
    let value = |byte: u8| u32::from(VALUES[usize::from(byte)]);
    let length = digits.len() * 3 / 4;
    let (mut longest, mut current, mut high, mut control) = (0, 0, false, false);
    let mut see = |bytes: &[u8]| {
        for byte in bytes {
            current = if PRINTABLE[usize::from(*byte)] { current + 1 } else { 0 };
            longest = longest.max(current);
            high |= *byte >= 0x80;
            control |= *byte < b'\t';
        }
    };
    let quads_of = digits.chunks_exact(4);
    let rest = quads_of.remainder();
    for quad in quads_of {
        let bits = value(quad[0]) << 18 | value(quad[1]) << 12 | value(quad[2]) << 6 | value(quad[3]);
        let [_, bytes @ ..] = bits.to_be_bytes();
        see(&bytes);
    }
    if !rest.is_empty() {
        let bits = rest.iter().fold(0, |bits, byte| bits << 6 | value(*byte)) << (6 * (4 - rest.len()));
        see(&bits.to_be_bytes()[1..rest.len()]);
    }
    // UTF-8 beyond ASCII, or gzip: only then is it decoded to be sure.
    let packed = digits.starts_with(PACKED);
    if packed
        || high
            && !control
            && length > PRINTABLE_MIN
            && mostly_utf8(&quads(&digits[..digits.len().min(64)]))
            && mostly_utf8(&quads(digits))
    {
        return (length.max(PRINTABLE_MIN), true);
    }
    (longest, longest * 2 >= length)
}

fn quads(digits: &[u8]) -> Vec<u8> {
    let value = |byte: u8| u32::from(VALUES[usize::from(byte)]);
    let mut out = vec![0; digits.len() / 4 * 3];
    let chunks = digits.chunks_exact(4);
    let rest = chunks.remainder();
    for (quad, bytes) in chunks.zip(out.chunks_exact_mut(3)) {
        let bits = value(quad[0]) << 18 | value(quad[1]) << 12 | value(quad[2]) << 6 | value(quad[3]);
        let [_, first, second, third] = bits.to_be_bytes();
        bytes.copy_from_slice(&[first, second, third]);
    }
    if rest.len() > 1 {
        let bits = rest.iter().fold(0, |bits, byte| bits << 6 | value(*byte)) << (6 * (4 - rest.len()));
        out.extend_from_slice(&bits.to_be_bytes()[1..rest.len()]);
    }
    out
}

/// How base64 of gzip begins.
const PACKED: &[u8] = b"H4sI";

/// Whether bytes are a text: surely, as so many in a row are printable, or perhaps.
fn worth_text(bytes: impl Iterator<Item = u8>) -> Option<bool> {
    let (mut current, mut high, mut control) = (0, false, false);
    for byte in bytes {
        current = if PRINTABLE[usize::from(byte)] { current + 1 } else { 0 };
        if current >= PRINTABLE_MIN {
            return Some(true);
        }
        high |= byte >= 0x80;
        control |= byte < b'\t';
    }
    // UTF-8 beyond ASCII has no control characters; gzip has, and its head tells.
    (high && !control).then_some(false)
}

/// Whether the first bytes could be UTF-8: hardly any others are.
fn begins_utf8(bytes: impl Iterator<Item = u8>) -> bool {
    mostly_utf8(&bytes.take(64).collect::<Vec<_>>())
}

/// Printable ASCII and white space.
const PRINTABLE: [bool; 256] = {
    let mut printable = [false; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        printable[byte as usize] = true;
        byte += 1;
    }
    printable[b'\t' as usize] = true;
    printable[b'\n' as usize] = true;
    printable[b'\r' as usize] = true;
    printable
};

/// Whether it is UTF-8, but for a character that was cut at its end, without control characters.
fn mostly_utf8(bytes: &[u8]) -> bool {
    let valid = match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(error) => error.valid_up_to(),
    };
    valid + 4 > bytes.len() && !bytes[..valid].iter().any(|byte| *byte < b'\t')
}
