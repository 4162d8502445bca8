//! Sockets for tests. A port is never picked: the kernel gives a free one, and whoever bound it names it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::Context;

/// A listening socket on the loopback interface with a port from the kernel, and its address.
///
/// It is non-blocking, so that `tokio::net::TcpListener::from_std` takes it as it is. There is deliberately no
/// function that gives only a free port: between asking and binding, another process takes it. A program under
/// test is told `127.0.0.1:0` and prints what it got.
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

#[cfg(test)]
mod tests {
    use super::*;

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
