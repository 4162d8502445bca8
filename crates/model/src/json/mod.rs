//! Strict JSON: what is judged is what is forwarded, so nothing ambiguous is read.
//!
//! Two engines that read the same bytes must see the same value. Whatever RFC 8259 leaves to the reader, and on
//! which real readers differ, is therefore refused with its place: repeated keys, keys that differ only in
//! Unicode normalization, lone surrogates, numbers that a double does not hold. Every accepted
//! text is accepted by `serde_json` too, with the same value up to the form of its numbers.
//!
//! Start at [`read`] (to `serde_json`'s values), [`read_with`] (to any other value type), [`canonical`] (to bytes).

mod build;
mod canonical;
mod error;
mod keys;
mod number;
mod pointer;
mod reader;
mod string;

pub use build::{Build, Items, Members, ToSerde};
pub use canonical::canonical;
pub use error::{JsonError, JsonErrorKind};
pub use pointer::pointer_push;

use crate::caps;
use reader::Reader;

/// A JSON object with sorted keys.
pub type JsonObject = serde_json::Map<String, serde_json::Value>;

/// How much a reader accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest text, in bytes.
    pub bytes_max: usize,
    /// Deepest nesting of arrays and objects; the root counts as 1.
    pub depth_max: usize,
    /// Most values, each array, object and member of one counted.
    pub values_max: usize,
}

impl Default for Limits {
    /// [`caps::BODY_BYTES_MAX`], [`caps::JSON_DEPTH_MAX`] and [`caps::JSON_VALUES_MAX`].
    fn default() -> Self {
        Self {
            bytes_max: caps::BODY_BYTES_MAX,
            depth_max: caps::JSON_DEPTH_MAX,
            values_max: caps::JSON_VALUES_MAX,
        }
    }
}

/// Reads one JSON text.
///
/// Numbers come back in one form each: an integral value within ±2^53 is an integer, however it was written
/// (`5000`, `5000.0`, `5e3`; `-0` is 0); any other number is a double, and what was written is its shortest decimal.
///
/// # Errors
/// [`JsonError`] with the kind and the place of the first problem, never with the values.
pub fn read(bytes: &[u8], limits: Limits) -> Result<serde_json::Value, JsonError> {
    read_with(bytes, limits, &mut ToSerde)
}

/// Reads one JSON text that has to be an object.
///
/// # Errors
/// As [`read`]; [`JsonErrorKind::NotAnObject`] for a sound text of another type.
pub fn read_object(bytes: &[u8], limits: Limits) -> Result<JsonObject, JsonError> {
    match read(bytes, limits)? {
        serde_json::Value::Object(object) => Ok(object),
        _ => {
            let start = bytes.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or_default();
            Err(JsonError::new(JsonErrorKind::NotAnObject, bytes, start, Some(String::new())))
        }
    }
}

/// Reads one JSON text and builds its value with `build`, without another tree in between.
///
/// # Errors
/// As [`read`]. What `build` made until then is dropped.
pub fn read_with<B: Build>(bytes: &[u8], limits: Limits, build: &mut B) -> Result<B::Value, JsonError> {
    if bytes.len() > limits.bytes_max {
        let kind = JsonErrorKind::TooLarge { bytes_max: limits.bytes_max };
        return Err(JsonError::new(kind, bytes, limits.bytes_max, None));
    }
    // The UTF-16 marks are named as well: "invalid UTF-8" would send the reader of the message astray.
    if [&b"\xEF\xBB\xBF"[..], b"\xFF\xFE", b"\xFE\xFF"].iter().any(|mark| bytes.starts_with(mark)) {
        return Err(JsonError::new(JsonErrorKind::ByteOrderMark, bytes, 0, None));
    }
    let (text, valid) = match std::str::from_utf8(bytes) {
        Ok(text) => (text, true),
        Err(error) => {
            let sound = &bytes[..error.valid_up_to()];
            (std::str::from_utf8(sound).expect("this prefix was just found valid"), false)
        }
    };
    let mut reader = Reader::new(text, limits, build);
    let outcome = reader.document();
    if valid {
        return outcome.map_err(|failure| reader.explain(failure));
    }
    // Only the sound prefix was read, to learn the place; a problem before the bad byte is the first one.
    match outcome {
        Err(failure) if failure.at < text.len() => Err(reader.explain(failure)),
        _ => {
            let pointer = reader.pointer_here();
            Err(JsonError::new(JsonErrorKind::InvalidUtf8, bytes, text.len(), Some(pointer)))
        }
    }
}
