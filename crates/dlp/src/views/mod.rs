//! What a text hides: escapes, look-alike characters, base64, hexadecimal, gzip. Each gives the text that was meant, and
//! where in the original it came from.

pub(crate) mod blobs;
pub(crate) mod escapes;
pub(crate) mod fold;
pub(crate) mod gzip;

use crate::finding::{Span, Via};

/// A text that was hidden in another.
pub(crate) struct View {
    pub text: Vec<u8>,
    pub via: Via,
    pub origin: Origin,
}

/// Where the bytes of a view came from.
pub(crate) enum Origin {
    /// Byte `n` from `starts[n]` to `ends[n]`.
    Bytes { starts: Vec<u32>, ends: Vec<u32> },
    /// Byte `n` from the characters at `places[n * 8 / bits]` on, each of which holds so many bits.
    Digits { places: Places, bits: usize },
    /// All of them from here.
    Whole(Span),
}

/// Where characters stand.
pub(crate) enum Places {
    /// One after the other from here.
    From(usize),
    /// Here and there.
    At(Vec<u32>),
}

impl Places {
    fn get(&self, at: usize) -> usize {
        match self {
            Self::From(start) => start + at,
            Self::At(places) => places[at.min(places.len() - 1)] as usize,
        }
    }
}

impl Origin {
    /// Where a range of the view came from.
    pub(crate) fn span(&self, start: usize, end: usize) -> Span {
        match self {
            Self::Bytes { starts, ends } => {
                Span { start: starts[start] as usize, end: ends[end - 1] as usize }
            }
            Self::Digits { places, bits } => Span {
                start: places.get(start * 8 / bits),
                end: places.get((end * 8).div_ceil(*bits) - 1) + 1,
            },
            Self::Whole(span) => *span,
        }
    }
}
