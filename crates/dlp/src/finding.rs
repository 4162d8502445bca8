//! What was found and where: never the value itself (AUD-2).

use crate::kind::Kind;

/// A range of bytes of the original text: from `start`, up to and without `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

impl Span {
    /// Number of bytes.
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Whether there is nothing between its ends.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Whether `other` lies within.
    pub fn holds(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Whether the two share a byte.
    pub fn meets(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// It looks like it: the shape fits, or the words around say so. *Lenient* only.
    Looks,
    /// Checksum and ranges hold; where the kind has none, its form leaves no doubt or the words around say so.
    Valid,
}

/// How a value was hidden: the last decoding before it showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Via {
    /// It stood there as it is.
    Plain,
    /// Escapes of JSON or URLs, or characters that look like others or like nothing.
    Escapes,
    /// base64 or base64url.
    Base64,
    /// Hexadecimal digits.
    Hex,
    /// gzip.
    Gzip,
}

/// One sensitive value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Finding {
    /// Where it stands in the original text. Of a hidden value: the encoded characters.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
    /// How sure that is.
    pub confidence: Confidence,
    /// How it was hidden.
    pub via: Via,
}

/// Why a part of a text could not be looked at. A careful caller denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unread {
    /// It unpacks to more than the bound of size or ratio.
    Inflates,
    /// Its packed form is broken off or damaged, or longer than what is read at once.
    Broken,
    /// More was hidden in the text than is decoded for one text.
    Work,
    /// It is encoded more often than is decoded.
    Depth,
}

/// All that one text says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What was found, by start; none lies within a surer one.
    pub findings: Vec<Finding>,
    /// What could not be looked at, by start.
    pub unread: Vec<(Span, Unread)>,
}
