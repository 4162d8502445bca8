//! Why a text was refused: kind, place, and what helps; never the values.

use std::fmt;

use crate::reason::ReasonCode;

/// What is wrong with a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonErrorKind {
    /// The text is longer than the reader accepts.
    #[error("the text is longer than {bytes_max} bytes")]
    TooLarge {
        /// The longest accepted text, in bytes.
        bytes_max: usize,
    },
    /// Arrays and objects are nested deeper than the reader accepts.
    #[error("arrays and objects are nested deeper than {depth_max}")]
    TooDeep {
        /// The deepest accepted nesting.
        depth_max: usize,
    },
    /// There are more values than the reader accepts: small ones take many times their text in memory.
    #[error("more than {values_max} values")]
    TooManyValues {
        /// Most values accepted.
        values_max: usize,
    },
    /// The text starts with a byte order mark.
    #[error("a byte order mark")]
    ByteOrderMark,
    /// A byte sequence is not UTF-8.
    #[error("invalid UTF-8")]
    InvalidUtf8,
    /// An object has the same key twice.
    #[error("a duplicate key")]
    DuplicateKey,
    /// Two keys of an object are equal after Unicode normalization (NFC).
    #[error("a key that equals another one after Unicode normalization")]
    TwinKey,
    /// A `\u` escape names half of a surrogate pair.
    #[error("a lone surrogate")]
    LoneSurrogate,
    /// A control character stands in a string without escape.
    #[error("a control character in a string")]
    ControlCharacter,
    /// A backslash is not followed by an escape of RFC 8259.
    #[error("an invalid escape")]
    InvalidEscape,
    /// An integral number lies beyond ±2^53.
    #[error("an integer beyond ±2^53")]
    IntegerRange,
    /// A decimal that another one stands for once it is a double: it has too many digits, or is too small.
    #[error("a decimal with more digits than a double keeps")]
    DecimalPrecision,
    /// NaN or an infinity.
    #[error("a number that is not finite")]
    NotFinite,
    /// A number in a form that RFC 8259 forbids.
    #[error("an invalid number")]
    InvalidNumber,
    /// Something else stands where the grammar wants `expected`.
    #[error("expected {expected}")]
    Unexpected {
        /// What the grammar wants here.
        expected: &'static str,
    },
    /// The text ends before its value does.
    #[error("the text ends too early")]
    UnexpectedEnd,
    /// Something follows the value.
    #[error("something follows the value")]
    TrailingBytes,
    /// The value is sound, but not an object.
    #[error("not an object")]
    NotAnObject,
}

impl JsonErrorKind {
    /// One sentence that says what to do about it.
    pub fn help(self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "Send less, or ask the operator for a larger limit.",
            Self::TooDeep { .. } => "Flatten the value.",
            Self::TooManyValues { .. } => "Send fewer values, in several calls.",
            Self::ByteOrderMark | Self::InvalidUtf8 => "Send UTF-8 without a byte order mark.",
            Self::DuplicateKey => "Send each key of an object once.",
            Self::TwinKey => "Send keys in Unicode normalization form C, each once.",
            Self::LoneSurrogate => "Send valid Unicode; binary data travels as Base64.",
            Self::ControlCharacter => "Escape control characters, for instance as `\\n` or `\\u0000`.",
            Self::InvalidEscape => "Use one of `\\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX`.",
            Self::IntegerRange => "Send large integers as strings.",
            Self::DecimalPrecision => "Send at most 15 significant digits, or the number as a string.",
            Self::NotFinite => "Send `null` or a string; JSON has no such number.",
            Self::InvalidNumber => "Write numbers as RFC 8259 does, such as `0.5`, `-3` or `1e-6`.",
            Self::Unexpected { .. } | Self::UnexpectedEnd => "Send JSON as RFC 8259 defines it.",
            Self::TrailingBytes => "Send one JSON value per body and nothing after it.",
            Self::NotAnObject => "Send a JSON object.",
        }
    }
}

/// A refused JSON text: what is wrong and where.
///
/// It holds keys (in [`JsonError::pointer`]) and never values, so it may be shown and logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct JsonError {
    kind: JsonErrorKind,
    offset: usize,
    line: usize,
    column: usize,
    pointer: Option<String>,
}

impl JsonError {
    pub(super) fn new(kind: JsonErrorKind, bytes: &[u8], offset: usize, pointer: Option<String>) -> Self {
        let before = &bytes[..offset.min(bytes.len())];
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        // Continuation bytes are not counted: a column is a character, as in an editor.
        let column = 1 + before[line_start..].iter().filter(|&&byte| byte & 0xC0 != 0x80).count();
        Self { kind, offset, line, column, pointer }
    }

    /// What is wrong.
    pub fn kind(&self) -> JsonErrorKind {
        self.kind
    }

    /// Where, in bytes from the start of the text.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column in characters, from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// The JSON Pointer (RFC 6901) of the place, `""` for the root; `None` where the problem lies outside the
    /// value. A pointer longer than [`crate::caps::JSON_POINTER_BYTES_MAX`] is cut to an ancestor of the place.
    pub fn pointer(&self) -> Option<&str> {
        self.pointer.as_deref()
    }

    /// The code that a client sees.
    pub fn code(&self) -> ReasonCode {
        ReasonCode::InvalidRequest
    }

    /// Never: the same text is refused again.
    pub fn retryable(&self) -> bool {
        false
    }

    /// One sentence that says what to do about it.
    pub fn help(&self) -> &'static str {
        self.kind.help()
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid JSON: {} at line {}, column {}", self.kind, self.line, self.column)?;
        match self.pointer() {
            // A client chose the keys: escaped, they can neither break a log line nor steer a terminal.
            Some(pointer) if !pointer.is_empty() => write!(f, ", `{}`", pointer.escape_debug()),
            _ => Ok(()),
        }
    }
}
