//! Regular expressions for canonical hosts, URLs, paths and IP addresses.
//!
//! What they do not match is undecided, so they are narrow on purpose: one spelling for one thing. A host's
//! last label begins with a letter, unless the host is a dotted quad in plain decimal: `0x7f.1`, `017700000001`
//! and `2130706433` are spellings of an address, and undecided.

/// One label of a host name.
const LABEL: &str = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
/// The last label.
const LAST_LABEL: &str = "[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?";
/// 0 to 255 without leading zeros.
const OCTET: &str = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
/// One segment of a URL's path: not empty, not `.`, not `..`, no percent.
const URL_SEGMENT: &str = r"(?:[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9._~!$&'()*+,;=:@-]*|\.[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9._~!$&'()*+,;=:@-]*|\.\.[A-Za-z0-9._~!$&'()*+,;=:@-]+)";
/// One segment of a file path: printable ASCII but `/`, `\` and `%`; not empty, not `.`, not `..`.
const PATH_SEGMENT: &str = r"(?:[\x20-\x24\x26-\x2d\x30-\x5b\x5d-\x7e][\x20-\x24\x26-\x2e\x30-\x5b\x5d-\x7e]*|\.[\x20-\x24\x26-\x2d\x30-\x5b\x5d-\x7e][\x20-\x24\x26-\x2e\x30-\x5b\x5d-\x7e]*|\.\.[\x20-\x24\x26-\x2e\x30-\x5b\x5d-\x7e]+)";

fn url_around(host: &str) -> String {
    format!(
        r"^(?:[a-z][a-z0-9+.-]{{0,31}}://)?{host}(?::[1-9][0-9]{{0,4}})?(?:/{URL_SEGMENT})*/?(?:\?[A-Za-z0-9._~!$&'()*+,;=:@/?-]*)?$"
    )
}

fn escaped(texts: &[String]) -> String {
    let parts: Vec<String> = texts.iter().map(|text| regex::escape(text)).collect();
    format!("(?:{})", parts.join("|"))
}

/// Any canonical host, or URL without user info.
pub(super) fn any_host() -> String {
    url_around(&format!(r"(?:(?:{LABEL}\.)*{LAST_LABEL}|{OCTET}(?:\.{OCTET}){{3}})"))
}

/// Those whose host is one of `hosts`.
pub(super) fn host_in(hosts: &[String]) -> String {
    url_around(&escaped(hosts))
}

/// Those whose host is one of `domains` or below one.
pub(super) fn domain_in(domains: &[String]) -> String {
    url_around(&format!(r"(?:{LABEL}\.)*{}", escaped(domains)))
}

/// Any canonical absolute path.
pub(super) fn any_path() -> String {
    format!("^(?:/|(?:/{PATH_SEGMENT})+)$")
}

/// Those that are one of `folders` or lie below one.
pub(super) fn within(folders: &[String]) -> String {
    if folders.iter().any(|folder| folder == "/") {
        return any_path();
    }
    format!("^{}(?:/{PATH_SEGMENT})*$", escaped(folders))
}

/// Any canonical IPv4 address, or IPv6 address in lower case without leading zeros, in which `::` stands for at
/// least two groups (RFC 5952). An IPv6 address whose first group is zero is undecided but for `::` and `::1`: the others embed IPv4 addresses.
pub(super) fn any_address() -> String {
    let group = "(?:0|[1-9a-f][0-9a-f]{0,3})";
    let first = "[1-9a-f][0-9a-f]{0,3}";
    let mut forms =
        vec![format!(r"{OCTET}(?:\.{OCTET}){{3}}"), "::1?".to_owned(), format!("{first}(?::{group}){{7}}")];
    forms.push(format!("{first}(?::{group}){{5}}::"));
    for left in 1..=5 {
        let right = 6 - left;
        forms.push(format!(
            "{first}(?::{group}){{{}}}::(?:{group}(?::{group}){{0,{}}})?",
            left - 1,
            right - 1
        ));
    }
    format!("^(?:{})$", forms.join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let regex = regex::Regex::new(pattern).expect("a valid pattern");
        for text in yes {
            assert!(regex.is_match(text), "{text:?} should match {pattern}");
        }
        for text in no {
            assert!(!regex.is_match(text), "{text:?} should not match {pattern}");
        }
    }

    #[test]
    fn only_one_spelling_of_a_host_is_canonical() {
        let yes = [
            "api.stripe.com",
            "https://api.stripe.com/v1/charges?x=1",
            "localhost:8080",
            "127.0.0.1",
            "a.b/...",
        ];
        let no = [
            "API.stripe.com",
            "api.stripe.com.",
            "https://u@api.stripe.com/",
            "https://api.stripe.com/a%2fb",
            "a.b/../c",
            "a.b//c",
            "a.b/./c",
            "0x7f.1",
            "2130706433",
            "017700000001",
            "127.1",
            "256.0.0.1",
            "127.0.0.01",
            "",
            "a..b",
            "-a.b",
            "a.b:0",
            "[::1]",
            "ａ.com",
            "a.com#x",
            "a.com\n",
            "a.com\\b",
            " a.com",
            "https:///a.com",
        ];
        check(&any_host(), &yes, &no);
    }

    #[test]
    fn a_domain_is_itself_and_what_is_below_it() {
        let domain = domain_in(&["stripe.com".to_owned()]);
        check(
            &domain,
            &["stripe.com", "https://api.stripe.com/v1", "a.b.stripe.com:443"],
            &["evilstripe.com", "stripe.com.evil.org"],
        );
        check(&host_in(&["stripe.com".to_owned()]), &["stripe.com"], &["api.stripe.com"]);
    }

    #[test]
    fn paths_have_no_way_up() {
        check(
            &any_path(),
            &["/", "/srv/data", "/srv/.hidden", "/srv/...", "/a b"],
            &["", "srv", "/srv/", "/srv//a", "/srv/../a", "/a/.", "/a%2e", "/a\\b", "/é"],
        );
        check(
            &within(&["/srv/data".to_owned()]),
            &["/srv/data", "/srv/data/a/b"],
            &["/srv/data2", "/srv", "/srv/data/../x"],
        );
    }

    #[test]
    fn addresses_have_one_spelling_and_embed_nothing() {
        let yes = [
            "10.0.0.1",
            "::1",
            "::",
            "2001:db8::1",
            "fe80::1",
            "2001:db8:0:0:0:0:0:1",
            "1:2:3:4:5:6::",
            "1:2::5:6:7:8",
        ];
        let no = [
            "010.0.0.1",
            "10.0.0",
            "::ffff:10.0.0.1",
            "::ffff:a00:1",
            "2001:DB8::1",
            "2001:0db8::1",
            "fe80::1%eth0",
            "1::2::3",
            "1:2:3:4:5:6:7::",
            "1:2:3:4:5:6::8",
            "1::3:4:5:6:7:8",
            "1:2:3:4:5:6:7:8:9",
            "0:0:0:0:0:ffff:a00:1",
        ];
        check(&any_address(), &yes, &no);
    }
}
