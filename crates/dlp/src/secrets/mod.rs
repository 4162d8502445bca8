//! Keys and tokens of vendors: a table, and one way to check a row of it.

mod table;

use crate::detectors::assigned;
use crate::kind::{About, Group};
use crate::place::{AHEAD, Hit, Spot, before, ends};
pub(crate) use table::VENDORS;

/// What a key is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Body {
    /// Hexadecimal digits of either case.
    Hex,
    /// Lower-case letters and digits.
    Lower,
    /// Capitals and digits.
    Upper,
    /// Letters and digits.
    Alnum,
    /// Letters, digits, `_` and `-`.
    Word,
    /// As `Word`, and `.` and `~`.
    Dotted,
    /// base64, also as URLs have it.
    Base64,
}

/// A vendor's kind of key.
pub(crate) struct Vendor {
    name: &'static str,
    title: &'static str,
    /// What the key begins with, or the words that announce it.
    pub marks: &'static [&'static str],
    /// Whether the marks are a part of the key.
    pub prefixed: bool,
    body: Body,
    least: usize,
    most: usize,
}

/// A key that begins with one of these, followed by `least` to `most` of `body`.
const fn prefixed(
    name: &'static str,
    title: &'static str,
    marks: &'static [&'static str],
    body: Body,
    least: usize,
    most: usize,
) -> Vendor {
    Vendor { name, title, marks, prefixed: true, body, least, most }
}

/// A key of `least` to `most` of `body` that is assigned to a name with one of these words.
const fn named(
    name: &'static str,
    title: &'static str,
    marks: &'static [&'static str],
    body: Body,
    least: usize,
    most: usize,
) -> Vendor {
    Vendor { name, title, marks, prefixed: false, body, least, most }
}

impl Vendor {
    pub(crate) fn about(&self) -> About {
        let check = if self.prefixed { "prefix, alphabet and length" } else { "name, alphabet and length" };
        About {
            name: self.name,
            group: Group::Secrets,
            title: self.title,
            source: "the vendor's form",
            check,
        }
    }

    /// Whether such a key may be longer than what other detectors see.
    pub(crate) fn long(&self) -> bool {
        self.prefixed && self.most > AHEAD - 64
    }

    /// How many bytes must be seen to judge a key.
    pub(crate) fn longest(&self) -> usize {
        self.most + 64
    }

    /// The key whose mark stands at the spot.
    pub(crate) fn find(&self, spot: &Spot<'_>) -> Option<Hit> {
        if self.prefixed { self.after_prefix(spot) } else { self.after_name(spot) }
    }

    fn after_prefix(&self, spot: &Spot<'_>) -> Option<Hit> {
        let (text, prefix) = (spot.text, &spot.text[spot.at..spot.end]);
        // The search for marks ignores case; vendors do not.
        if !self.marks.iter().any(|mark| mark.as_bytes() == prefix) {
            return None;
        }
        let host = self.marks[0].contains('/');
        let left = before(text, spot.at, 1);
        if !host && left.is_ascii_alphanumeric() && !crate::place::escape_letter(text, spot.at) {
            return None;
        }
        let length = self.length(&text[spot.end..]);
        let end = spot.end + length;
        let over = length > self.most || text.get(end).is_some_and(|byte| byte.is_ascii_alphanumeric());
        if length < self.least || over || dull(&text[spot.end..end]) {
            return None;
        }
        Hit::valid(spot.at, end)
    }

    fn after_name(&self, spot: &Spot<'_>) -> Option<Hit> {
        let value = assigned(spot, false)?;
        let length = self.length(&spot.text[value.start..value.end]);
        let fits = (self.least..=self.most).contains(&length) && value.start + length == value.end;
        if !fits || !ends(spot.text, value.end) && !value.quoted || dull(&spot.text[value.start..value.end]) {
            return None;
        }
        Hit::valid(value.start, value.end)
    }

    /// How many bytes of the alphabet stand at the beginning; one more than `most` at most.
    fn length(&self, text: &[u8]) -> usize {
        let body = self.body;
        let inside = |byte: &&u8| match body {
            Body::Hex => byte.is_ascii_hexdigit(),
            Body::Lower => byte.is_ascii_lowercase() || byte.is_ascii_digit(),
            Body::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Body::Alnum => byte.is_ascii_alphanumeric(),
            Body::Word => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Body::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'~'),
            Body::Base64 => {
                byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-' | b'%')
            }
        };
        let length = text.iter().take(self.most + 1).take_while(inside).count();
        // A full stop ends a sentence, not a key.
        if matches!(body, Body::Dotted) && length > 0 && text[length - 1] == b'.' {
            length - 1
        } else {
            length
        }
    }
}

/// Whether a key is one that documentation shows: few different characters, or no digit and no capital.
fn dull(key: &[u8]) -> bool {
    let mut seen = [false; 256];
    let mut kinds = 0;
    for byte in key {
        kinds += usize::from(!std::mem::replace(&mut seen[usize::from(*byte)], true));
    }
    kinds < 6 || key.iter().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'-'))
}
