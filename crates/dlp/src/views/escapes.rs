//! Escapes and look-alikes: `\u0031`, `\x31`, `%31`, `１`, a zero-width space between two digits.

use super::fold::{Fold, fold};
use super::{Origin, View};
use crate::finding::Via;

/// How far around escapes a text is read with them resolved, in bytes.
pub(crate) const AROUND: usize = 192;

/// Longest stretch of escapes that is read at once, in bytes; the next one overlaps it by twice [`AROUND`].
pub(crate) const STRETCH_MAX: usize = 4 << 10;

/// Escapes that stand close together: from the first to behind the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub first: usize,
    pub last: usize,
    /// Whether more may belong to it, were the text longer.
    pub open: bool,
}

/// The next stretch that begins at `from` or later.
pub(crate) fn next(text: &[u8], from: usize) -> Option<Stretch> {
    let (first, mut last) = mark(text, from)?;
    loop {
        match mark(text, last) {
            Some((at, _)) if at - last > AROUND || at - first > STRETCH_MAX => break,
            Some((_, end)) => last = end,
            None => break,
        }
    }
    Some(Stretch { first, last, open: last + AROUND + 8 > text.len() })
}

/// The next escape: its start and end.
fn mark(text: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    loop {
        at = interesting(text, at)?;
        if let Some((end, strong)) =
            unit(text, at).filter(|unit| unit.meant.is_some()).map(|unit| (unit.end, unit.strong))
            && (strong || among(text, at, end))
        {
            return Some((at, end));
        }
        at += 1;
    }
}

/// Whether ASCII letters or digits stand beside.
fn among(text: &[u8], start: usize, end: usize) -> bool {
    let beside = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'@';
    start.checked_sub(1).and_then(|at| text.get(at)).is_some_and(beside) || text.get(end).is_some_and(beside)
}

/// The next byte that could begin an escape.
fn interesting(text: &[u8], from: usize) -> Option<usize> {
    let wanted = |byte: u8| byte >= 0x80 || byte == b'%' || byte == b'\\';
    // Where one stands, the next one is often close.
    if text.get(from).copied().is_some_and(wanted) {
        return Some(from);
    }
    let mut at = from;
    for chunk in text.get(from..)?.chunks(32) {
        let any = chunk.iter().fold(false, |any, byte| any | wanted(*byte));
        if any {
            return chunk.iter().position(|byte| wanted(*byte)).map(|found| at + found);
        }
        at += chunk.len();
    }
    None
}

/// One character as it is written.
struct Unit {
    end: usize,
    /// What is meant, if that is something else than what stands there.
    meant: Option<Meant>,
    /// Whether it counts wherever it stands.
    strong: bool,
}

enum Meant {
    Gone,
    Byte(u8),
    Char(char),
}

/// The character at `at`, if it is one of those that may mean another.
fn unit(text: &[u8], at: usize) -> Option<Unit> {
    let escape = |end: usize, meant: Meant| Some(Unit { end, meant: Some(meant), strong: true });
    match text[at] {
        // A percent sign that is escaped hides something only if it begins an escape itself.
        b'%' if text.get(at + 1..at + 3) == Some(b"25") && hex(text, at + 3, 2).is_none() => None,
        b'%' => hex(text, at + 1, 2).and_then(|code| escape(at + 3, Meant::Byte(u8::try_from(code).ok()?))),
        b'\\' => match text.get(at + 1)? {
            b'x' => {
                hex(text, at + 2, 2).and_then(|code| escape(at + 4, Meant::Byte(u8::try_from(code).ok()?)))
            }
            b'u' => {
                let (code, end) = utf16(text, at)?;
                let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                match fold(character) {
                    Some(Fold::Gone) => escape(end, Meant::Gone),
                    Some(Fold::Digit(byte) | Fold::Among(byte)) => escape(end, Meant::Byte(byte)),
                    None => escape(end, Meant::Char(character)),
                }
            }
            _ => None,
        },
        0xC2..=0xF4 => {
            let (character, end) = utf8(text, at)?;
            let (meant, strong) = match fold(character) {
                Some(Fold::Gone) => {
                    (Some(Meant::Gone), !matches!(character, '\u{FE00}'..='\u{FE0F}' | '\u{200D}'))
                }
                Some(Fold::Digit(byte)) => (Some(Meant::Byte(byte)), true),
                Some(Fold::Among(byte)) => (Some(Meant::Byte(byte)), false),
                None => (None, false),
            };
            Some(Unit { end, meant, strong })
        }
        _ => None,
    }
}

fn hex(text: &[u8], at: usize, count: usize) -> Option<u32> {
    let digits = text.get(at..at + count)?;
    digits.iter().try_fold(0, |code, byte| match super::blobs::nibble(*byte) {
        super::blobs::NONE => None,
        digit => Some(code * 16 + u32::from(digit)),
    })
}

/// `\uXXXX`, or two of them that are a pair of surrogates.
fn utf16(text: &[u8], at: usize) -> Option<(u32, usize)> {
    let high = hex(text, at + 2, 4)?;
    if (0xD800..0xDC00).contains(&high) && text.get(at + 6..at + 8) == Some(b"\\u") {
        let low = hex(text, at + 8, 4).filter(|low| (0xDC00..0xE000).contains(low));
        if let Some(low) = low {
            return Some((0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00), at + 12));
        }
    }
    Some((high, at + 6))
}

/// The character at `at`, if the bytes there are one.
fn utf8(text: &[u8], at: usize) -> Option<(char, usize)> {
    let (length, bits, least) = match text[at] {
        0xC2..=0xDF => (2, 0x1F, 0x80),
        0xE0..=0xEF => (3, 0x0F, 0x800),
        _ => (4, 0x07, 0x1_0000),
    };
    let (first, rest) = text.get(at..at + length)?.split_first()?;
    let code = rest.iter().try_fold(u32::from(first & bits), |code, byte| {
        (byte & 0xC0 == 0x80).then_some(code << 6 | u32::from(byte & 0x3F))
    })?;
    // No surrogate, nothing beyond the last character, nothing that is written longer than it has to be.
    Some((char::from_u32(code).filter(|_| code >= least)?, at + length))
}

/// A part of the text with its escapes resolved.
pub(crate) fn resolve(text: &[u8], start: usize, end: usize) -> View {
    let mut out = View {
        text: Vec::with_capacity(end - start),
        via: Via::Escapes,
        origin: Origin::Whole(crate::finding::Span { start, end }),
    };
    let (mut starts, mut ends) = (Vec::with_capacity(end - start), Vec::with_capacity(end - start));
    let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let mut at = start;
    while at < end {
        let (stop, meant) = match unit(text, at).filter(|unit| unit.end <= end) {
            Some(Unit { end, meant: Some(meant), .. }) => (end, meant),
            _ => (at + 1, Meant::Byte(text[at])),
        };
        let mut buffer = [0; 4];
        let bytes: &[u8] = match meant {
            Meant::Gone => &[],
            Meant::Byte(byte) => {
                buffer[0] = byte;
                &buffer[..1]
            }
            Meant::Char(character) => character.encode_utf8(&mut buffer).as_bytes(),
        };
        for byte in bytes {
            out.text.push(*byte);
            starts.push(place(at));
            ends.push(place(stop));
        }
        at = stop;
    }
    out.origin = Origin::Bytes { starts, ends };
    out
}
