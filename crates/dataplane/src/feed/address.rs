//! Where a control node is reached.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// `https://HOST:PORT`, or `http://HOST:PORT` where the host is this machine.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ControlAddress {
    pub(super) tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
}

/// Why a text is no address of a control node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a control node's address is `https://HOST:PORT`, or `http://HOST:PORT` on this machine")]
pub struct BadAddress;

impl ControlAddress {
    /// Whether the host is this machine, by its name or its address.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.ip().is_some_and(|ip| ip.is_loopback())
    }

    fn ip(&self) -> Option<IpAddr> {
        self.host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    /// The host as a server's certificate names it: an address without its brackets.
    pub(super) fn server_name(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

impl FromStr for ControlAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let uri: hyper::Uri = text.parse().map_err(|_withheld| BadAddress)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(BadAddress),
        };
        let authority = uri.authority().ok_or(BadAddress)?;
        let port = authority.port_u16().ok_or(BadAddress)?;
        let plain = uri.path_and_query().is_none_or(|rest| rest.as_str() == "/");
        if !plain || authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(BadAddress);
        }
        Ok(Self { tls, host: authority.host().to_owned(), port })
    }
}

impl fmt::Display for ControlAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for ControlAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_scheme_host_and_port_and_nothing_else() {
        for text in
            ["https://control-1:7071", "http://127.0.0.1:1", "http://[::1]:7071", "https://[fe80::1]:7071"]
        {
            assert_eq!(text.parse::<ControlAddress>().unwrap().to_string(), text);
        }
        for text in [
            "control-1:7071",
            "https://control-1",
            "ftp://a:1",
            "https://a:1/x",
            "https://u@a:1",
            "https://:1",
            "",
        ] {
            assert_eq!(text.parse::<ControlAddress>(), Err(BadAddress), "{text}");
        }
    }

    #[test]
    fn this_machine_is_known_by_its_names() {
        for (text, expected) in [
            ("http://localhost:1", true),
            ("http://127.3.2.1:1", true),
            ("http://[::1]:1", true),
            ("http://localhost.example:1", false),
            ("http://10.0.0.1:1", false),
            ("http://[2001:db8::1]:1", false),
        ] {
            assert_eq!(text.parse::<ControlAddress>().unwrap().is_loopback(), expected, "{text}");
        }
    }
}
