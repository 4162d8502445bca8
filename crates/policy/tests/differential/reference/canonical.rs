//! Hosts, URLs, paths and addresses in their one canonical spelling, read character by character.

use std::net::IpAddr;

/// The host of a canonical `[scheme://]host[:port][/path][?query]`.
pub(crate) fn host(text: &str) -> Option<&str> {
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => rest,
        _ => text,
    };
    let end = rest.find([':', '/', '?']).unwrap_or(rest.len());
    let (host, rest) = rest.split_at(end);
    let rest = match rest.strip_prefix(':') {
        Some(rest) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (port, rest) = rest.split_at(end);
            let canonical = (1..=5).contains(&port.len())
                && port.bytes().all(|byte| byte.is_ascii_digit())
                && !port.starts_with('0');
            if !canonical {
                return None;
            }
            rest
        }
        None => rest,
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let canonical = is_host(host)
        && is_url_path(path)
        && query.bytes().all(|byte| is_url_byte(byte) || b"/?".contains(&byte));
    canonical.then_some(host)
}

fn is_scheme(text: &str) -> bool {
    text.len() <= 32
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+.-".contains(&byte))
}

/// A dotted quad in plain decimal, or labels of which the last does not begin like a number.
fn is_host(text: &str) -> bool {
    let labels: Vec<&str> = text.split('.').collect();
    let named = labels.iter().all(|label| is_label(label))
        && labels.last().is_some_and(|last| last.starts_with(|first: char| first.is_ascii_lowercase()));
    named || is_quad(text)
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn is_quad(text: &str) -> bool {
    let octets: Vec<&str> = text.split('.').collect();
    octets.len() == 4
        && octets.iter().all(|octet| octet.parse::<u8>().is_ok_and(|number| number.to_string() == **octet))
}

/// Empty, or `/` and segments, none of them empty (but for one `/` at the end), `.` or `..`.
fn is_url_path(path: &str) -> bool {
    let Some(inside) = path.strip_prefix('/') else { return path.is_empty() };
    let inside = inside.strip_suffix('/').unwrap_or(inside);
    if inside.is_empty() {
        return path == "/";
    }
    inside.split('/').all(|segment| is_step(segment) && segment.bytes().all(is_url_byte))
}

fn is_step(segment: &str) -> bool {
    !segment.is_empty() && segment != "." && segment != ".."
}

/// RFC 3986 `pchar` without percent.
fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._~!$&'()*+,;=:@-".contains(&byte)
}

/// An absolute path in printable ASCII, without percent, backslash, empty steps, `.` and `..`.
pub(crate) fn is_path(path: &str) -> bool {
    let printable = path.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'%' && byte != b'\\');
    printable
        && path.strip_prefix('/').is_some_and(|inside| inside.is_empty() || inside.split('/').all(is_step))
}

/// Whether a canonical path is `folder` or below it.
pub(crate) fn is_within(path: &str, folder: &str) -> bool {
    path == folder || path.starts_with(&format!("{}/", folder.trim_end_matches('/')))
}

/// A canonical address. Of the IPv6 addresses that begin with a zero group only `::` and `::1` are: the
/// others embed addresses of IPv4.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    match text.parse().ok()? {
        IpAddr::V4(address) => is_quad(text).then_some(IpAddr::V4(address)),
        IpAddr::V6(address) => {
            let groups_plain = text.split(':').all(|group| {
                group.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                    && (group.len() <= 1 || !group.starts_with('0'))
            });
            // `::` stands for at least two groups.
            let short = text.contains("::") && text.split(':').filter(|group| !group.is_empty()).count() > 6;
            let embeds = address.segments()[0] == 0 && !matches!(text, "::" | "::1");
            (groups_plain && !short && !embeds).then_some(IpAddr::V6(address))
        }
    }
}

/// Whether `address` is in `network`, an `address/bits` of the same family.
pub(crate) fn is_in_network(address: IpAddr, network: &str) -> bool {
    let (base, bits) = network.split_once('/').expect("a checked network has a length");
    let bits: u32 = bits.parse().expect("a checked network's length is a number");
    let base: IpAddr = base.parse().expect("a checked network's address is one");
    match (address, base) {
        (IpAddr::V4(address), IpAddr::V4(base)) => {
            let shift = 32 - bits;
            u64::from(address.to_bits()) >> shift == u64::from(base.to_bits()) >> shift
        }
        (IpAddr::V6(address), IpAddr::V6(base)) => {
            let keep = if bits == 0 { 0 } else { u128::MAX << (128 - bits) };
            address.to_bits() & keep == base.to_bits() & keep
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_spelling() {
        for (text, expected) in [
            ("api.x.com", "api.x.com"),
            ("https://api.x.com:8443/v1/a.b?u=http://c/", "api.x.com"),
            ("api.x.com?u=http://evil.org/", "api.x.com"),
            ("10.0.0.1:80", "10.0.0.1"),
            ("a.b/.../", "a.b"),
        ] {
            assert_eq!(host(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "A.com",
            "a.com.",
            "u@a.com",
            "https://u:p@a.com/",
            "a.com/%41",
            "a.com//b",
            "a.com/../b",
            "a.com#f",
            "a.com:0",
            "a.com:",
            "a.com:123456",
            "0x7f.1",
            "1.2.3",
            "256.1.1.1",
            "01.2.3.4",
            "[::1]",
            "a_b.com",
            "-a.com",
            "a-.com",
            "HTTPS://a.com",
            "a.com\n",
            "ä.com",
            "https://",
            "//a.com",
            "a.com\\b",
        ] {
            assert_eq!(host(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_path_has_no_way_up() {
        for path in ["/", "/a", "/a b/.c/...", "/~x"] {
            assert!(is_path(path), "{path}");
        }
        for path in ["", "a", "/a/", "//", "/a//b", "/..", "/a/../b", "/./a", "/a%2f", "/a\\b", "/é", "/a\n"]
        {
            assert!(!is_path(path), "{path:?}");
        }
        assert!(is_within("/a/b", "/a") && is_within("/a", "/a") && is_within("/a", "/"));
        assert!(!is_within("/ab", "/a") && !is_within("/", "/a"));
    }

    #[test]
    fn an_address_has_one_spelling() {
        let within = |text: &str, network: &str| address(text).map(|address| is_in_network(address, network));
        assert_eq!(within("10.1.2.3", "10.0.0.0/8"), Some(true));
        assert_eq!(within("11.1.2.3", "10.0.0.0/8"), Some(false));
        assert_eq!(within("11.1.2.3", "0.0.0.0/0"), Some(true));
        assert_eq!(within("::1", "::/0"), Some(true));
        assert_eq!(within("2001:db8::1", "2001:db8::/32"), Some(true));
        assert_eq!(within("2001:db8::1", "10.0.0.0/8"), Some(false));
        assert_eq!(within("1:2:3:4:5:6::", "1:2::/32"), Some(true));
        for text in [
            "010.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:a00:1",
            "2001:DB8::1",
            "2001:0db8::1",
            "fe80::1%eth0",
            "10.0.0.1/8",
            "::2",
            " 10.0.0.1",
        ] {
            assert_eq!(address(text), None, "{text}");
        }
    }
}
