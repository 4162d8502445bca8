//! A connection to a collector: what is written to it, and whether it still lives.

use std::io;
use std::time::Duration;

use aegis_model::caps;
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Collector;

/// An open connection.
#[derive(Debug)]
pub(super) struct Line(TlsStream<TcpStream>);

/// Bytes that nobody acknowledged for so long end the connection: what was written before that, on one that lives, has arrived.
const UNACKNOWLEDGED: Duration = Duration::from_secs(caps::EXPORT_UNACKNOWLEDGED_SECONDS);

impl Line {
    /// Connects, and proves the collector's certificate.
    ///
    /// # Errors
    /// It cannot be reached in time, or it is not who it should be.
    pub(super) async fn open(to: &Collector) -> io::Result<Self> {
        let within = Duration::from_secs(caps::EXPORT_CONNECT_SECONDS);
        let open = async {
            let tcp = TcpStream::connect((to.host.as_str(), to.port)).await?;
            tcp.set_nodelay(true)?;
            SockRef::from(&tcp).set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
            let name: ServerName<'static> = to.server_name.clone();
            TlsConnector::from(std::sync::Arc::clone(&to.tls)).connect(name, tcp).await
        };
        tokio::time::timeout(within, open).await.unwrap_or_else(|_elapsed| Err(late())).map(Self)
    }

    /// Hands bytes to the system. Waits for a collector that is slow, but not for ever.
    ///
    /// # Errors
    /// The connection broke, or the collector takes nothing.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let within = Duration::from_secs(caps::EXPORT_WRITE_SECONDS);
        let write = async {
            self.0.write_all(bytes).await?;
            self.0.flush().await
        };
        tokio::time::timeout(within, write).await.unwrap_or_else(|_elapsed| Err(late()))
    }

    /// Waits so long, and looks whether the collector goes away meanwhile. It has nothing to say otherwise.
    ///
    /// # Errors
    /// It went away.
    pub(super) async fn rest(&mut self, long: Duration) -> io::Result<()> {
        let mut said = [0; 64];
        let listen = async {
            while self.0.read(&mut said).await? > 0 {}
            Err(io::ErrorKind::UnexpectedEof.into())
        };
        // Reading may be given up at any point: nothing that was read is of any use.
        tokio::time::timeout(long, listen).await.unwrap_or(Ok(()))
    }

    /// Says that nothing follows, and waits until the collector has read it all, which it says by ending the connection.
    ///
    /// # Errors
    /// It broke before.
    pub(super) async fn close(mut self) -> io::Result<()> {
        self.0.shutdown().await?;
        let mut said = [0; 64];
        loop {
            match self.0.read(&mut said).await {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                // Some end without saying so.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}
