//! Passwords in URLs and connection strings: `scheme://user:password@host`.
//!
//! Source: RFC 3986, section 3.2.1 (user information).

use super::{Anchor, Detector, secret};
use crate::place::{Hit, Spot, any_of, before};

pub(super) const DETECTOR: Detector = Detector {
    about: secret("connection_string", "Password in a URL", "RFC 3986, 3.2.1", "scheme, user and host"),
    words: &[],
    anchors: &[Anchor::Prefixes(&["://"], find)],
};

/// What ends user, password and host: white space, and signs that none of them may have.
const STOP: [bool; 256] = any_of(b"/\"'`<>?#\\ \t\n\r\x0c");

fn find(spot: &Spot<'_>) -> Option<Hit> {
    let text = spot.text;
    if !before(text, spot.at, 1).is_ascii_alphanumeric() {
        return None;
    }
    let most = text.len().min(spot.end + 256);
    let stop = |byte: &u8| STOP[usize::from(*byte)];
    let authority = &text[spot.end..most];
    let authority = &authority[..authority.iter().position(stop).unwrap_or(authority.len())];
    let at = authority.iter().rposition(|byte| *byte == b'@')?;
    let colon = authority[..at].iter().position(|byte| *byte == b':')?;
    let (start, end) = (spot.end + colon + 1, spot.end + at);
    let word = &text[start..end];
    let host = authority
        .get(at + 1)
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'[' | b'$' | b'{'));
    if word.is_empty() || !host || super::placeholder(word) {
        return None;
    }
    Hit::valid(start, end)
}
