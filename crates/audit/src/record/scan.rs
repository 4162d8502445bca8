//! Reads a record without taking it apart: whether it is in its one spelling, and what its envelope says.
//!
//! A verifier needs no more of most records, and this is many times faster than [`super::Record::read`]. What stands in `what`
//! has to be canonical and of a known kind; whether its fields are those of the kind is not looked at: who wrote the log
//! answers for that, and their bytes are as hard to change as those of any other.

use aegis_model::caps;

use super::{INTEGER_MAX, RecordError, VERSION};
use crate::hash::{Hash, from_hex};

/// What the envelope of a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'b> {
    /// Its chain, as text.
    pub chain: &'b str,
    /// The hash of the chain's previous record.
    pub prev: Option<Hash>,
    /// Its number.
    pub seq: u64,
    /// Its kind, such as `decision`.
    pub kind: &'b str,
}

/// The kinds of [`super::What`].
const KINDS: [&str; 7] = ["decision", "completion", "shadow", "refusals", "gap", "segment_end", "pruning"];

/// Deepest nesting within `what`.
const DEPTH_MAX: usize = 8;

/// The envelope of a record, if the record is in its one spelling.
///
/// # Errors
/// [`RecordError::TooLong`] and [`RecordError::Malformed`].
pub fn envelope(bytes: &[u8]) -> Result<Envelope<'_>, RecordError> {
    if bytes.len() > caps::AUDIT_RECORD_BYTES_MAX {
        return Err(RecordError::TooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|_withheld| RecordError::Malformed)?;
    read(text).ok_or(RecordError::Malformed)
}

fn read(text: &str) -> Option<Envelope<'_>> {
    let mut at = Scanner { text, at: 0 };
    at.word(r#"{"at":""#)?;
    super::moment::parse(at.take(30)?).filter(|moment| {
        // Days that the calendar lacks come out as others.
        text.get(7..37) == Some(&aegis_model::utc::Utc(*moment).to_string())
    })?;
    at.word(r#"","chain":""#)?;
    let chain = at.until_quote()?;
    chain.parse::<super::Chain>().ok()?;
    at.word(r#","id":""#)?;
    from_hex::<16>(at.take(32)?)?;
    let prev = match at.word(r#"","prev":""#) {
        Some(()) => Some(at.take(64)?.parse().ok()?),
        None => None,
    };
    at.word(r#"","seq":"#)?;
    let seq = at.number().filter(|seq| (1..=INTEGER_MAX).contains(seq))?;
    at.word(r#","v":"#)?;
    (at.number()? == VERSION).then_some(())?;
    at.word(r#","what":{""#)?;
    let kind = at.until_quote()?;
    KINDS.contains(&kind).then_some(())?;
    at.word(":{")?;
    at.at -= 1;
    at.value(DEPTH_MAX)?;
    at.word("}}")?;
    (at.at == text.len()).then_some(Envelope { chain, prev, seq, kind })
}

struct Scanner<'b> {
    text: &'b str,
    at: usize,
}

impl<'b> Scanner<'b> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text.as_bytes()[self.at..].starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    fn take(&mut self, bytes: usize) -> Option<&'b str> {
        let taken = self.text.get(self.at..self.at + bytes)?;
        self.at += bytes;
        Some(taken)
    }

    /// A text without escapes, up to its quote, which is taken along.
    fn until_quote(&mut self) -> Option<&'b str> {
        let start = self.at;
        self.string_rest()?;
        let inner = &self.text[start..self.at - 1];
        (!inner.contains('\\')).then_some(inner)
    }

    /// A whole number within 2^53, without sign or leading zeros: records hold no others.
    fn number(&mut self) -> Option<u64> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) && self.at - start < 17 {
            self.at += 1;
        }
        let digits = &self.text[start..self.at];
        let canonical = digits == "0" || !digits.starts_with('0');
        digits.parse().ok().filter(|number| canonical && *number <= INTEGER_MAX)
    }

    /// The rest of a string after its first quote, with the one that ends it. Escapes are those that RFC 8785 writes.
    fn string_rest(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        loop {
            match *bytes.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.escape()?,
                0..0x20 => return None,
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        match *bytes.get(self.at + 1)? {
            b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
            b'u' => {
                // Only control characters without a letter of their own, in lower case.
                let [code] = from_hex::<1>(self.text.get(self.at + 4..self.at + 6)?)?;
                let plain = bytes[self.at + 2..].starts_with(b"00") && code < 0x20;
                (plain && !matches!(code, 8 | 9 | 10 | 12 | 13)).then_some(())?;
                self.at += 6;
            }
            _ => return None,
        }
        Some(())
    }

    /// Any value, at most so deep.
    fn value(&mut self, depth: usize) -> Option<()> {
        match self.peek()? {
            b'"' => {
                self.at += 1;
                self.string_rest()
            }
            b'{' => self.object(depth.checked_sub(1)?),
            b'[' => self.array(depth.checked_sub(1)?),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'0'..=b'9' => self.number().map(drop),
            _ => None,
        }
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        if self.word("]").is_some() {
            return Some(());
        }
        loop {
            self.value(depth)?;
            if self.word(",").is_none() {
                return self.word("]");
            }
        }
    }

    /// An object whose keys rise, so that none stands twice. Keys are plain ASCII, whose order is the same in any encoding.
    fn object(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        if self.word("}").is_some() {
            return Some(());
        }
        let mut before: Option<&str> = None;
        loop {
            self.word("\"")?;
            let key = self.until_quote()?;
            if !key.is_ascii() || before.is_some_and(|before| before >= key) {
                return None;
            }
            before = Some(key);
            self.word(":")?;
            self.value(depth)?;
            if self.word(",").is_none() {
                return self.word("}");
            }
        }
    }
}
