//! Strings: their end, their escapes.

use std::borrow::Cow;

use super::JsonErrorKind;

/// Reads the string whose first character, after the opening quote, stands at `start`.
/// Gives it unescaped, borrowed where it has no escape, and the place after the closing quote.
///
/// # Errors
/// The problem and its place.
#[inline(always)] // Into both callers: its large result is then never written to memory.
pub(super) fn read(text: &str, start: usize) -> Result<(Cow<'_, str>, usize), (JsonErrorKind, usize)> {
    let bytes = text.as_bytes();
    let end = plain_until(bytes, start);
    if bytes.get(end) == Some(&b'"') {
        return Ok((Cow::Borrowed(&text[start..end]), end + 1));
    }
    read_escaped(text, start, end)
}

#[cold]
/// The rest of [`read`], for a string whose first special byte, at `at`, is not its closing quote.
fn read_escaped(
    text: &str,
    start: usize,
    mut at: usize,
) -> Result<(Cow<'_, str>, usize), (JsonErrorKind, usize)> {
    let bytes = text.as_bytes();
    let mut unescaped = String::from(&text[start..at]);
    loop {
        match bytes.get(at) {
            Some(b'"') => return Ok((Cow::Owned(unescaped), at + 1)),
            Some(b'\\') => {
                let (character, next) = escape(bytes, at)?;
                unescaped.push(character);
                let end = plain_until(bytes, next);
                unescaped.push_str(&text[next..end]);
                at = end;
            }
            Some(_) => return Err((JsonErrorKind::ControlCharacter, at)),
            None => return Err((JsonErrorKind::UnexpectedEnd, at)),
        }
    }
}

/// The character of the escape whose backslash stands at `at`, and the place after it.
fn escape(bytes: &[u8], at: usize) -> Result<(char, usize), (JsonErrorKind, usize)> {
    let character = match bytes.get(at + 1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{C}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode_escape(bytes, at),
        Some(_) => return Err((JsonErrorKind::InvalidEscape, at)),
        None => return Err((JsonErrorKind::UnexpectedEnd, at + 1)),
    };
    Ok((character, at + 2))
}

fn unicode_escape(bytes: &[u8], at: usize) -> Result<(char, usize), (JsonErrorKind, usize)> {
    let first = code_unit(bytes, at)?;
    if let Some(character) = char::from_u32(first) {
        return Ok((character, at + 6));
    }
    // Not a character, hence a surrogate: the first half, and the second has to follow at once.
    let paired = first < 0xDC00 && bytes[at + 6..].starts_with(b"\\u");
    let second = if paired { code_unit(bytes, at + 6)? } else { 0 };
    if !(0xDC00..0xE000).contains(&second) {
        return Err((JsonErrorKind::LoneSurrogate, at));
    }
    let code_point = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    Ok((char::from_u32(code_point).expect("a surrogate pair names a character"), at + 12))
}

/// The four hexadecimal digits after the `\u` at `at`.
fn code_unit(bytes: &[u8], at: usize) -> Result<u32, (JsonErrorKind, usize)> {
    let mut unit = 0;
    for place in at + 2..at + 6 {
        let byte = *bytes.get(place).ok_or((JsonErrorKind::UnexpectedEnd, bytes.len()))?;
        let digit = char::from(byte).to_digit(16).ok_or((JsonErrorKind::InvalidEscape, at))?;
        unit = unit << 4 | digit;
    }
    Ok(unit)
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The first place from `at` on with a quote, a backslash or a control character, or the end.
///
/// Eight bytes at a time: subtracting borrows into a byte's high bit where the byte is smaller. A borrow may
/// travel on into the next higher byte, so only the lowest mark counts, and with little-endian words that is
/// the first byte.
#[inline]
fn plain_until(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * u64::from(b'"'));
        let backslash = word ^ (ONES * u64::from(b'\\'));
        let marks = (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        let marks = marks & HIGHS;
        if marks != 0 {
            return at + marks.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = bytes[at..].iter().position(|&byte| matches!(byte, b'"' | b'\\' | ..0x20));
    rest.map_or(bytes.len(), |plain| at + plain)
}
