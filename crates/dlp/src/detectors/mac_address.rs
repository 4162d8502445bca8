//! MAC addresses.
//!
//! Source: IEEE 802, EUI of 48 bits: six pairs joined by `:` or `-`; three groups of four joined by `.`, as routers print them.

use super::{Anchor, Detector, network};
use crate::place::{Hit, Spot, before, ends};

pub(super) const DETECTOR: Detector = Detector {
    about: network("mac_address", "MAC address", "IEEE 802, EUI-48", "six pairs, not all alike"),
    words: &["mac", "ethernet", "bssid", "hwaddr"],
    anchors: &[Anchor::Twice(b':', 3, pairs), Anchor::Twice(b'-', 3, pairs), Anchor::Twice(b'.', 5, quads)],
};

fn pairs(spot: &Spot<'_>) -> Option<Hit> {
    joined(spot, 2, 6)
}

fn quads(spot: &Spot<'_>) -> Option<Hit> {
    joined(spot, 4, 3)
}

/// So many groups of so many digits, joined by the byte at the spot, which is the first joint.
fn joined(spot: &Spot<'_>, size: usize, groups: usize) -> Option<Hit> {
    let (text, joint) = (spot.text, spot.text[spot.at]);
    let start = spot.at.checked_sub(size)?;
    let end = start + groups * (size + 1) - 1;
    if text.get(spot.at + size + 1) != Some(&joint) || text.len() < end {
        return None;
    }
    let left = before(text, start, 1);
    if left.is_ascii_alphanumeric()
        || left == joint
        || left == b'_'
        || text.get(end) == Some(&joint)
        || !ends(text, end)
    {
        return None;
    }
    let digits = |group: &[u8]| group.iter().all(u8::is_ascii_hexdigit);
    let sound = text[start..end]
        .chunks(size + 1)
        .all(|chunk| digits(&chunk[..size]) && chunk.get(size).is_none_or(|byte| *byte == joint));
    let first = &text[start..start + size];
    if !sound
        || text[start..end]
            .chunks(size + 1)
            .all(|chunk| &chunk[..size] == first && first.iter().all(|it| *it == b'0'))
    {
        return None;
    }
    // Six decimal pairs joined by dashes may be a date and a time.
    let decimal =
        joint == b'-' && text[start..end].iter().all(|byte| byte.is_ascii_digit() || *byte == joint);
    Hit::of(start, end, !decimal || spot.context())
}
