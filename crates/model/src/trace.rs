//! Where a call stands in somebody's trace, in the form of W3C Trace Context.
//!
//! A `traceparent` that is not well-formed counts as none, as the recommendation wants: a trace is a help for people, and no call
//! is refused for it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::caps;

/// A trace: 16 bytes, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TraceId(pub [u8; 16]);

/// A span within a trace: 8 bytes, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpanId(pub [u8; 8]);

/// What `traceparent` and `tracestate` say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The span of whoever says it.
    pub span: SpanId,
    /// Whether that span is recorded somewhere.
    pub sampled: bool,
    /// What systems of tracing have to say to each other, as it came; may be empty.
    pub state: String,
}

/// A text is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no `traceparent` of W3C Trace Context")]
pub struct NoTraceParent;

impl TraceContext {
    /// Reads both values. A `tracestate` that is too long or not of visible ASCII is left out, as the recommendation allows.
    ///
    /// # Errors
    /// [`NoTraceParent`]
    pub fn read(parent: &str, state: &str) -> Result<Self, NoTraceParent> {
        let mut context: Self = parent.parse()?;
        let printable = state.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if printable && state.len() <= caps::TRACE_STATE_BYTES_MAX {
            state.trim().clone_into(&mut context.state);
        }
        Ok(context)
    }

    /// The value of `traceparent`.
    pub fn parent(&self) -> String {
        let Self { trace, span, sampled, .. } = self;
        format!("00-{trace}-{span}-{:02x}", u8::from(*sampled))
    }
}

impl FromStr for TraceContext {
    type Err = NoTraceParent;

    /// Reads a `traceparent`: of version 00 exactly, of a later one its first four fields.
    fn from_str(text: &str) -> Result<Self, NoTraceParent> {
        let text = text.as_bytes();
        let (known, rest) = text.split_at_checked(55).ok_or(NoTraceParent)?;
        let dashes = known[2] == b'-' && known[35] == b'-' && known[52] == b'-';
        let [version] = bytes(&known[..2])?;
        let whole = match version {
            0 => rest.is_empty(),
            255 => false,
            _ => rest.is_empty() || rest[0] == b'-',
        };
        let (trace, span) = (TraceId(bytes(&known[3..35])?), SpanId(bytes(&known[36..52])?));
        let [flags] = bytes(&known[53..])?;
        if !dashes || !whole || trace.0 == [0; 16] || span.0 == [0; 8] {
            return Err(NoTraceParent);
        }
        Ok(Self { trace, span, sampled: flags & 1 == 1, state: String::new() })
    }
}

/// Reads lower-case hexadecimal digits.
fn bytes<const N: usize>(digits: &[u8]) -> Result<[u8; N], NoTraceParent> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(NoTraceParent),
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        let [high, low] = pair else { return Err(NoTraceParent) };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Ok(bytes)
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_recommendation_is_read_and_written() {
        let context = TraceContext::read(PARENT, "congo=t61rcWkgMzE").unwrap();
        assert_eq!(context.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span.to_string(), "00f067aa0ba902b7");
        assert!(context.sampled);
        assert_eq!(context.state, "congo=t61rcWkgMzE");
        assert_eq!(context.parent(), PARENT);
        assert!(!PARENT.replace("-01", "-00").parse::<TraceContext>().unwrap().sampled);
    }

    #[test]
    fn what_is_malformed_is_none() {
        for text in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0\u{e9}",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
        ] {
            assert_eq!(text.parse::<TraceContext>(), Err(NoTraceParent), "{text}");
        }
    }

    #[test]
    fn a_later_version_may_have_more_fields() {
        let later = PARENT.replacen("00", "cc", 1) + "-what-the-future-brings";
        assert_eq!(later.parse::<TraceContext>().unwrap().parent(), PARENT);
    }

    #[test]
    fn a_state_that_is_too_long_or_strange_is_left_out() {
        let long = "k=v,".repeat(caps::TRACE_STATE_BYTES_MAX / 4) + "x=y";
        for state in [long.as_str(), "k=\u{e9}", "k=\n"] {
            assert_eq!(TraceContext::read(PARENT, state).unwrap().state, "");
        }
    }
}
