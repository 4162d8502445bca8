//! Sockets for tests. The kernel gives a free port, and whoever bound it names it; only a program that keeps its address over
//! restarts is given a port before.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;

/// A listening socket on the loopback interface with a port from the kernel, and its address.
///
/// It is non-blocking, so that `tokio::net::TcpListener::from_std` takes it as it is. Between asking the kernel for a free port
/// and binding it, another process or connection takes it: a program under test is told `127.0.0.1:0` and prints what it
/// got, or is given an address of [`kept`].
///
/// # Errors
/// When the loopback interface is missing or no port is free.
pub fn loopback() -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("binding to the loopback interface")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Ports that no connection is given by the kernel: below those of `net.ipv4.ip_local_port_range`, as it is by default.
const KEPT: std::ops::Range<u16> = 12_000..32_000;

/// An address on the loopback interface for a program that keeps it over restarts. Nothing listens there at this moment, this
/// process gives it to nobody else, and no connection is given its port.
///
/// # Errors
/// When everything is taken.
pub fn kept() -> anyhow::Result<SocketAddr> {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let count = u32::from(KEPT.end - KEPT.start);
    // Processes begin at different ports.
    let first = std::process::id().wrapping_mul(509);
    for _ in 0..count {
        let offset = first.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % count;
        let port = KEPT.start + u16::try_from(offset).context("an offset within the ports")?;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return Ok(listener.local_addr()?);
        }
    }
    anyhow::bail!("every port from {} to {} is taken", KEPT.start, KEPT.end - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_address_is_given_once_and_by_no_connection() {
        let (one, two) = (kept().unwrap(), kept().unwrap());
        assert_ne!(one, two);
        assert!([one, two].iter().all(|address| KEPT.contains(&address.port())));
        assert!(TcpListener::bind(one).is_ok() && TcpListener::bind(two).is_ok());
    }

    #[test]
    fn two_sockets_never_share_a_port() {
        let (_one, first) = loopback().unwrap();
        let (_two, second) = loopback().unwrap();
        assert!(first.ip().is_loopback() && first.port() != 0 && first.port() != second.port());
    }

    #[test]
    fn accepting_does_not_block() {
        let (listener, _) = loopback().unwrap();
        let error = listener.accept().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
}
