//! JSON Web Tokens.
//!
//! Source: RFC 7515 and 7519: three parts in base64url, the first of which is a JSON object with `alg`.

use super::{Anchor, Detector, Long, secret};
use crate::place::{Hit, Spot, begins};

pub(super) const DETECTOR: Detector = Detector {
    about: secret("jwt", "JSON Web Token", "RFC 7515, RFC 7519", "three parts, header begins with an object"),
    words: &[],
    anchors: &[Anchor::Long(&["eyj"], find)],
};

fn find(spot: &Spot<'_>) -> Long {
    let text = spot.text;
    if !begins(text, spot.at) || &text[spot.at..spot.end] != b"eyJ" {
        return Long::Done(None);
    }
    let part = |from: usize| {
        from + text[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            .count()
    };
    let header = part(spot.at);
    if header == text.len() {
        return Long::More(None);
    }
    if text[header] != b'.' || header - spot.at < 12 {
        return Long::Done(None);
    }
    let payload = part(header + 1);
    if payload == text.len() {
        return Long::More(Hit::looks(spot.at, payload));
    }
    if text[payload] != b'.' || payload - header < 9 || !text[header + 1..].starts_with(b"e") {
        return Long::Done(None);
    }
    let end = part(payload + 1);
    let signed = end - payload > 16;
    let hit = Hit::of(spot.at, end, signed);
    if end == text.len() { Long::More(hit) } else { Long::Done(hit) }
}
