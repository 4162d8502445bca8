//! IPv6 addresses.
//!
//! Source: RFC 4291, section 2.2.

use std::net::Ipv6Addr;

use super::{Anchor, Detector, network};
use crate::place::{Hit, Spot};

pub(super) const DETECTOR: Detector = Detector {
    about: network("ipv6", "IPv6 address", "RFC 4291", "the standard's grammar"),
    words: &["ip", "ip address", "ipv6", "host", "server", "client", "addr", "gateway", "subnet"],
    anchors: &[Anchor::Byte(b':', find)],
};

/// Longest spelling, an IPv4 address at its end included.
const LONGEST: usize = 45;

fn find(spot: &Spot<'_>) -> Option<Hit> {
    let (text, at) = (spot.text, spot.at);
    if !text.get(at + 1).is_some_and(|byte| byte.is_ascii_hexdigit() || *byte == b':') {
        return None;
    }
    // The first colon of the address: at most four digits before it, and a second colon soon.
    let mut start = at;
    while start > 0 && at - start < 5 && text[start - 1].is_ascii_hexdigit() {
        start -= 1;
    }
    if at - start > 4
        || start > 0
            && (text[start - 1] == b':' || text[start - 1].is_ascii_alphanumeric() || text[start - 1] == b'_')
    {
        return None;
    }
    let next = text[at + 1..].iter().take(5).position(|byte| *byte == b':')?;
    if !text[at + 1..at + 1 + next].iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let most = text.len().min(start + LONGEST + 1);
    let mut end = at
        + text[at..most]
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit() || **byte == b':' || **byte == b'.')
            .count();
    while end > at && (text[end - 1] == b'.' || text[end - 1] == b':' && text[end - 2] != b':') {
        end -= 1;
    }
    if text.get(end).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
        return None;
    }
    // Eight groups, or some left out: seven colons or two together.
    let colons = text[start..end].iter().filter(|byte| **byte == b':').count();
    if colons < 6 && !text[start..end].windows(2).any(|pair| pair == b"::") {
        return None;
    }
    let address = std::str::from_utf8(&text[start..end]).ok()?;
    address.parse::<Ipv6Addr>().ok()?;
    // `std::fs` is no address, and `a::b` hardly ever.
    let groups = address.split(':').filter(|group| !group.is_empty()).count();
    let digits = address.bytes().any(|byte| byte.is_ascii_digit());
    let told = groups >= 3
        || spot.context()
        || ["fe80", "2001", "2a0", "fd", "fc", "ff0", "::ffff:"]
            .iter()
            .any(|it| address.to_ascii_lowercase().starts_with(it));
    match digits && told && groups > 0 {
        true => Hit::valid(start, end),
        false => None,
    }
}
