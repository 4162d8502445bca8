//! Private keys in PEM.
//!
//! Source: RFC 7468 (PEM), RFC 4716 and OpenSSH's `PROTOCOL.key`, PuTTY's PPK.

use super::{Anchor, Detector, secret};
use crate::place::{Hit, Spot};

pub(super) const DETECTOR: Detector = Detector {
    about: secret("private_key", "Private key", "RFC 7468, PROTOCOL.key", "header"),
    words: &[],
    anchors: &[Anchor::Long(&["-----begin ", "putty-user-key-file-"], find)],
};

/// Longest label that is looked at: `ENCRYPTED PRIVATE KEY` and its like.
const LABEL_MAX: usize = 48;

fn find(spot: &Spot<'_>) -> super::Long {
    use super::Long;
    let rest = &spot.text[spot.end..];
    let putty = spot.text[spot.at] != b'-';
    let label = &rest[..rest.len().min(LABEL_MAX)];
    let dash = label.iter().position(|byte| *byte == b'-');
    let label = &label[..dash.unwrap_or(label.len())];
    if !putty && !label.windows(11).any(|part| part == b"PRIVATE KEY") {
        let open = dash.is_none() && label.len() < LABEL_MAX;
        return if open { Long::More(None) } else { Long::Done(None) };
    }
    let (close, tail): (&[u8], usize) = if putty { (b"Private-MAC:", 65) } else { (b"-----END ", 48) };
    let Some(found) = memchr::memmem::find(rest, close) else {
        // A key that is broken off is still a key, as far as it is one.
        return Long::More(Hit::valid(spot.at, spot.end + body(rest)));
    };
    let last = &rest[found + close.len()..];
    let last = &last[..last.len().min(tail)];
    let length = match putty {
        true => last.iter().take_while(|byte| byte.is_ascii_hexdigit() || **byte == b' ').count(),
        false => memchr::memmem::find(last, b"-----").map_or(0, |at| at + 5),
    };
    let end = spot.end + found + close.len() + length;
    if last.len() < tail && length == 0 {
        Long::More(Hit::valid(spot.at, end))
    } else {
        Long::Done(Hit::valid(spot.at, end))
    }
}

/// How far a key without end goes: base64, its header, and the escapes of line ends.
fn body(rest: &[u8]) -> usize {
    let inside = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/=-: ,\r\n\\".contains(byte);
    rest.iter().take_while(inside).count()
}
