//! The way out: HTTPS to where an administrator said, and nowhere else.
//!
//! Tenants' administrators choose addresses, so what this node can reach must not be within their reach (SSRF): names are resolved
//! here, and only public addresses are connected to, which are the very ones that were looked at; redirects and proxies are not followed;
//! answers are bounded in size and time. Where the node's operator says so, private addresses and plain HTTP to them are permitted.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use aegis_model::caps;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{StatusCode, Url};

/// Sends messages. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Out {
    http: reqwest::Client,
    private: bool,
}

/// Messages cannot be sent at all.
#[derive(Debug, thiserror::Error)]
#[error("messages about approvals cannot be sent: {0}")]
pub struct NoWayOut(#[from] reqwest::Error);

/// Why a message was not taken. Says nothing of what was in it or of a secret address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undelivered {
    /// The address is none, or none that may be sent to.
    #[error("{0}")]
    Address(&'static str),
    /// Nobody answers there.
    #[error("the receiver cannot be reached: {0}")]
    Unreachable(&'static str),
    /// It answers that it did not take the message.
    #[error("the receiver answered with status {status}{}", if .told.is_empty() { String::new() } else { format!(": {}", .told) })]
    Status {
        status: u16,
        told: String,
        /// How long it wants to be left alone.
        pause_ms: Option<u64>,
    },
    /// Its answer cannot be read.
    #[error("the receiver's answer {0}")]
    Answer(&'static str),
    /// Something of our own is in the way.
    #[error("{0}")]
    Own(String),
}

impl Undelivered {
    /// How long the receiver wants to be left alone.
    pub(crate) fn pause_ms(&self) -> Option<u64> {
        match self {
            Self::Status { pause_ms, .. } => *pause_ms,
            Self::Address(_) | Self::Unreachable(_) | Self::Answer(_) | Self::Own(_) => None,
        }
    }
}

/// What a receiver answered that took a message.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) body: Vec<u8>,
}

impl Out {
    /// A way out; to private addresses, and to them in the clear, if `private`.
    ///
    /// # Errors
    /// [`NoWayOut`]: there is no TLS.
    pub(crate) fn new(private: bool) -> Result<Self, NoWayOut> {
        let builder = || {
            reqwest::Client::builder()
                .timeout(Duration::from_secs(caps::DELIVERY_SECONDS))
                // Whoever answers elsewhere is somebody else, and a proxy would look up names itself.
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .referer(false)
                .user_agent(concat!("aegis/", env!("CARGO_PKG_VERSION")))
                .dns_resolver(std::sync::Arc::new(Public { private }))
        };
        let http = match builder().build() {
            Ok(http) => http,
            // A machine that knows no authorities, as a bare container does: nobody is trusted then, and everything else goes on.
            Err(error) => {
                let error = error.to_string();
                tracing::warn!(
                    error,
                    "messages about approvals cannot go out over https: install certificates of authorities, such as the package ca-certificates, and start the node anew"
                );
                builder().tls_certs_only([]).build()?
            }
        };
        Ok(Self { http, private })
    }

    /// The address in `text`, if it may be sent to as far as it says itself.
    ///
    /// # Errors
    /// [`Undelivered::Address`]
    pub(crate) fn address(&self, text: &str) -> Result<Url, Undelivered> {
        let url = Url::parse(text).map_err(|_uninformative| Undelivered::Address("the address is no URL"))?;
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(Undelivered::Address(
                "the address must hold neither a name, a password nor a fragment",
            ));
        }
        let literal = literal(&url)?;
        if literal.is_some_and(|address| !self.private && !is_public(address)) {
            return Err(Undelivered::Address(
                "the address is a private one, which this node does not send to",
            ));
        }
        let plain = match literal {
            Some(address) => self.private && !is_public(address),
            None => self.private && url.host_str() == Some("localhost"),
        };
        match url.scheme() {
            "https" => Ok(url),
            "http" if plain => Ok(url),
            _ => Err(Undelivered::Address("the address has to begin with `https://`")),
        }
    }

    /// Posts `body`, which is JSON.
    ///
    /// # Errors
    /// [`Undelivered`]: it was not taken, or nobody knows.
    pub(crate) async fn post(
        &self,
        url: Url,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Taken, Undelivered> {
        let sent = self.http.post(url).headers(headers).body(body).send().await;
        let mut answer = sent.map_err(|error| Undelivered::Unreachable(in_words(&error)))?;
        let status = answer.status();
        let pause_ms = pause_asked(answer.headers());
        let mut body = Vec::new();
        loop {
            match answer.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= caps::DELIVERY_ANSWER_BYTES_MAX => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Some(_too_long)) => return Err(Undelivered::Answer("is too long")),
                Ok(None) => break,
                Err(_broken) => return Err(Undelivered::Answer("was cut off")),
            }
        }
        if status.is_success() {
            return Ok(Taken { body });
        }
        let told = if status == StatusCode::TOO_MANY_REQUESTS { "too many messages" } else { "" };
        Err(Undelivered::Status { status: status.as_u16(), told: told.to_owned(), pause_ms })
    }
}

/// The pause that `Retry-After` asks for, in whole seconds; its other form, a date, is not read.
fn pause_asked(headers: &HeaderMap) -> Option<u64> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(seconds.saturating_mul(1_000).min(caps::DELIVERY_PAUSE_MS_ASKED_MAX))
}

/// An error without the address, which may be a secret.
fn in_words(error: &reqwest::Error) -> &'static str {
    let refused = || {
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            if error.to_string() == NOT_PUBLIC {
                return true;
            }
            source = error.source();
        }
        false
    };
    if error.is_timeout() {
        "it takes too long"
    } else if refused() {
        NOT_PUBLIC
    } else if error.is_connect() {
        "no connection, or no trusted certificate"
    } else if error.is_redirect() {
        "it leads elsewhere"
    } else {
        "the connection broke"
    }
}

/// The address that a URL's host is; nothing for a name.
fn literal(url: &Url) -> Result<Option<IpAddr>, Undelivered> {
    let host = url.host_str().ok_or(Undelivered::Address("the address names no host"))?;
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    Ok(bare.parse().ok())
}

const NOT_PUBLIC: &str = "the name leads to no public address";

/// Looks names up, and leaves out every address that is not to be connected to.
#[derive(Debug)]
struct Public {
    private: bool,
}

impl Resolve for Public {
    fn resolve(&self, name: Name) -> Resolving {
        let private = self.private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let good: Vec<SocketAddr> = found.filter(|it| private || is_public(it.ip())).collect();
            if good.is_empty() {
                return Err(io::Error::other(NOT_PUBLIC).into());
            }
            Ok(Box::new(good.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is somebody's on the public internet, by the special-purpose registries of IANA: what is not known to be is not.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127 | 224.., _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // 2000::/3 is all that is given out. Within it: what embeds IPv4 (Teredo, 6to4), benchmarks, ORCHID and documentation.
    let special = matches!((first, second), (0x2001, 0..=0x01ff | 0x0db8) | (0x2002 | 0x3fff, _));
    (0x2000..0x4000).contains(&first) && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(private: bool, text: &str) -> bool {
        Out::new(private).unwrap().address(text).is_err()
    }

    #[test]
    fn only_public_addresses_are_public() {
        for address in
            ["1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.0.1", "2606:4700::1111", "2001:4860::1"]
        {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "127.0.0.1",
            "100.64.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.2.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:1.1.1.1",
            "64:ff9b::a00:1",
            "fe80::1",
            "fc00::1",
            "fd00::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::",
            "3fff::1",
            "4000::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn an_address_is_https_and_public_unless_the_node_says_otherwise() {
        for text in ["https://hooks.example.com/x?sig=1", "https://1.1.1.1/", "https://example.com:8443"] {
            assert!(!problem(false, text), "{text}");
        }
        for text in [
            "http://hooks.example.com/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://0177.0.0.1/",
            "https://169.254.169.254/latest",
            "https://[::ffff:10.0.0.1]/",
            "ftp://example.com",
            "https://me:secret@example.com/",
            "https://example.com/#x",
            "file:///etc/passwd",
            "https://",
            "no address",
        ] {
            assert!(problem(false, text), "{text}");
        }
        assert!(!problem(true, "http://127.0.0.1:8080/x") && !problem(true, "https://10.0.0.1/"));
        assert!(problem(true, "http://1.1.1.1/"), "in the clear over the internet never");
    }

    #[tokio::test]
    async fn a_name_of_a_private_address_is_not_connected_to() {
        let out = Out::new(false).unwrap();
        let url = out.address("https://localhost:1/").unwrap();
        let refused = out.post(url, HeaderMap::new(), Vec::new()).await.unwrap_err();
        assert!(refused.to_string().contains(NOT_PUBLIC), "{refused}");
    }
}
