//! Hosts, domains, folders and networks as a policy may write them: canonical, or refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::cx::Cx;
use super::values::short;
use crate::yaml::Node;

/// Longest host name, in bytes (RFC 1035).
const HOST_BYTES_MAX: usize = 253;

/// Longest label of a host name, in bytes (RFC 1035).
const LABEL_BYTES_MAX: usize = 63;

/// Whether `text` is a canonical host name: lower-case ASCII labels, no trailing dot, and a last label that
/// begins with a letter, since readers of URLs take a host that ends in a number for an address.
pub(crate) fn is_host_name(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or(text);
    text.len() <= HOST_BYTES_MAX
        && text.split('.').all(is_label)
        && last.starts_with(|c: char| c.is_ascii_lowercase())
}

fn is_label(label: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label.bytes().all(inside)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Whether `text` is an IPv4 address in its only canonical form.
pub(crate) fn is_ipv4(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok_and(|address| address.to_string() == text)
}

/// Whether `text` is an IPv6 address in the form of RFC 5952, and none that embeds an IPv4 address.
pub(crate) fn is_ipv6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok_and(|address| address.to_string() == text && !text.contains('.'))
}

/// Whether `text` is a canonical absolute path: no empty, `.` or `..` part, no slash at the end, and only
/// printable ASCII without `%` and `\`.
pub(crate) fn is_folder(text: &str) -> bool {
    if text == "/" {
        return true;
    }
    let Some(rest) = text.strip_prefix('/') else { return false };
    let plain = |byte: u8| (0x20..0x7F).contains(&byte) && !matches!(byte, b'%' | b'\\');
    text.bytes().all(plain) && rest.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Why `text` is no canonical network, or nothing.
fn network_problem(text: &str) -> Option<&'static str> {
    let Some((address, bits)) = text.split_once('/') else {
        return Some("it has no `/bits`; a single address is `/32`, or `/128` for IPv6");
    };
    if !is_ipv4(address) && !is_ipv6(address) {
        return Some("its address is not canonical");
    }
    let Ok(address) = address.parse::<IpAddr>() else { return Some("its address is not canonical") };
    let (value, width) = match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32_u32),
        IpAddr::V6(address) => (u128::from(address), 128),
    };
    let Some(prefix) =
        bits.parse::<u32>().ok().filter(|prefix| *prefix <= width && prefix.to_string() == bits)
    else {
        return Some("its number of bits is out of range");
    };
    let host_bits = width - prefix;
    let mask = if host_bits == 128 { u128::MAX } else { (1_u128 << host_bits) - 1 };
    (value & mask != 0).then_some("bits behind the prefix are set")
}

/// A host for `host_in`: a host name or an IPv4 address.
pub(super) fn host(text: &str, node: &Node, cx: &mut Cx<'_>) -> Option<String> {
    if is_host_name(text) || is_ipv4(text) {
        return Some(text.to_owned());
    }
    let help = if is_host_name(&text.to_ascii_lowercase()) {
        format!("write `{}`", text.to_ascii_lowercase())
    } else {
        "a host is lower-case ASCII without scheme, port, path or trailing dot (`xn--…` for other scripts), or an IPv4 \
         address; IPv6 belongs into `cidr_in`"
            .to_owned()
    };
    cx.error("bad-host", node.span, format!("`{}` is not a canonical host", short(text)), help);
    None
}

/// A domain for `domain_in`: a host name.
pub(super) fn domain(text: &str, node: &Node, cx: &mut Cx<'_>) -> Option<String> {
    if is_host_name(text) {
        return Some(text.to_owned());
    }
    let help = match text.strip_prefix("*.").or_else(|| text.strip_prefix('.')) {
        Some(bare) if is_host_name(bare) => format!("write `{bare}`: subdomains are included"),
        _ if is_host_name(&text.to_ascii_lowercase()) => format!("write `{}`", text.to_ascii_lowercase()),
        _ => "a domain is lower-case ASCII without scheme, port, path or trailing dot (`xn--…` for other scripts)".to_owned(),
    };
    cx.error("bad-host", node.span, format!("`{}` is not a canonical domain", short(text)), help);
    None
}

/// A folder for `within`.
pub(super) fn folder(text: &str, node: &Node, cx: &mut Cx<'_>) -> Option<String> {
    if is_folder(text) {
        return Some(text.to_owned());
    }
    let help = match text.strip_suffix('/') {
        Some(bare) if is_folder(bare) => format!("write `{bare}`, without the slash at the end"),
        _ => {
            "a folder is an absolute path of printable ASCII without `//`, `.`, `..`, `%` or `\\`".to_owned()
        }
    };
    cx.error("bad-folder", node.span, format!("`{}` is not a canonical folder", short(text)), help);
    None
}

/// A network for `cidr_in`.
pub(super) fn network(text: &str, node: &Node, cx: &mut Cx<'_>) -> Option<String> {
    let Some(why) = network_problem(text) else { return Some(text.to_owned()) };
    let help =
        "write `10.0.0.0/8` or `2001:db8::/32`, in canonical form; write embedded IPv4 addresses as IPv4";
    cx.error("bad-network", node.span, format!("`{}` is not a canonical network: {why}", short(text)), help);
    None
}

/// An element of `egress.allow`: a host name, `*.` and a host name, or an IP address.
pub(super) fn destination(text: &str, node: &Node, cx: &mut Cx<'_>) -> Option<String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    if is_host_name(name) || is_ipv4(text) || is_ipv6(text) {
        return Some(text.to_owned());
    }
    let help = "write `example.com`, `*.example.com` (exactly one label more) or an IP address, lower case, without scheme or port";
    cx.error("bad-host", node.span, format!("`{}` is not a canonical destination", short(text)), help);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for good in ["example.com", "localhost", "a-b.c-d.xn--p1ai", "1.example", "0x1.example"] {
            assert!(is_host_name(good), "{good}");
        }
        let long = format!("{}.com", "a".repeat(64));
        for bad in [
            "",
            "Example.com",
            "example.com.",
            "a..b",
            "-a.b",
            "a-.b",
            "10.0.0.1",
            "a.0x1f",
            "1",
            "a_b.c",
            "b\u{fc}cher.de",
            &long,
        ] {
            assert!(!is_host_name(bad), "{bad}");
        }
    }

    #[test]
    fn addresses_and_networks() {
        assert!(is_ipv4("10.0.0.1") && !is_ipv4("10.0.0.01") && !is_ipv4("10.1"));
        assert!(is_ipv6("2001:db8::1") && !is_ipv6("2001:DB8::1") && !is_ipv6("::ffff:1.2.3.4"));
        for good in ["10.0.0.0/8", "0.0.0.0/0", "10.0.0.1/32", "2001:db8::/32", "::/0", "::1/128"] {
            assert_eq!(network_problem(good), None, "{good}");
        }
        for bad in [
            "10.0.0.0",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/08",
            "2001:db8::1/64",
            "::ffff:10.0.0.0/104",
            "x/8",
        ] {
            assert!(network_problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn folders() {
        for good in ["/", "/srv", "/srv/a b/c.d", "/srv/..."] {
            assert!(is_folder(good), "{good}");
        }
        for bad in ["", "srv", "/srv/", "//", "/a//b", "/a/../b", "/a/.", "/a%2f", "/a\\b", "/\u{e4}"] {
            assert!(!is_folder(bad), "{bad}");
        }
    }
}
