//! IPv4 addresses.
//!
//! Source: RFC 791, RFC 6943 (four decimal numbers without leading zeros).

use super::{Anchor, Detector, network};
use crate::place::{Hit, Place, begins, ends};

pub(super) const DETECTOR: Detector = Detector {
    about: network("ipv4", "IPv4 address", "RFC 791, RFC 6943", "four numbers up to 255"),
    words: &["ip", "ip address", "ipv4", "host", "server", "client", "addr", "gateway", "subnet"],
    anchors: &[Anchor::Grouped(&[1, 2, 3], grouped)],
};

fn grouped(place: &Place<'_>) -> Option<Hit> {
    let runs = place.runs;
    if runs.len() < 4 || runs[..3].iter().any(|run| run.joint != b'.' || run.digits > 3) || runs[3].digits > 3
    {
        return None;
    }
    let (start, end) = (place.start(), runs[3].end);
    if matches!(place.joint_before, b'.' | b'-') || runs[3].joint == b'.' || place.letters != 0 {
        return None;
    }
    if !begins(place.text, start) || !ends(place.text, end) {
        return None;
    }
    let number = |at: usize| {
        place.text[runs[at].start..runs[at].end]
            .iter()
            .fold(0_u32, |sum, byte| sum * 10 + u32::from(byte - b'0'))
    };
    let canonical = |at: usize| runs[at].digits == 1 || place.text[runs[at].start] != b'0';
    if (0..4).any(|at| number(at) > 255 || runs[at].end - runs[at].start != usize::from(runs[at].digits)) {
        return None;
    }
    if versioned(place.text, start) && !place.context() {
        return None;
    }
    Hit::of(start, end, (0..4).all(canonical))
}

/// Whether the word before says that this is the number of a version.
fn versioned(text: &[u8], start: usize) -> bool {
    let head = text[start.saturating_sub(12)..start].to_ascii_lowercase();
    [&b"version"[..], b"version:", b"v.", b"release", b"ver", b"section", b"chapter"]
        .iter()
        .any(|word| head.trim_ascii_end().ends_with(word))
}
