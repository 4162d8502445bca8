//! A connection to a collector of syslog: what is written to it, whether it still lives, and when what was written counts as sent.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use aegis_model::caps;
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Collector;
use super::position::Position;
use super::worker::{Frames, LOOK, NotSent, Wanted, Worker};

/// An open connection.
#[derive(Debug)]
pub(super) struct Line(TlsStream<TcpStream>);

/// Bytes that nobody acknowledged for so long end the connection: what was written before that, on one that lives, has arrived.
const UNACKNOWLEDGED: Duration = Duration::from_secs(caps::EXPORT_UNACKNOWLEDGED_SECONDS);

/// After so long on a connection that lives, bytes were acknowledged.
const SETTLED: Duration =
    Duration::from_secs(caps::EXPORT_UNACKNOWLEDGED_SECONDS + caps::EXPORT_UNACKNOWLEDGED_SECONDS / 2);

/// What was sent within so long of each other counts as sent at once.
const TOGETHER: Duration = Duration::from_millis(500);

/// What was sent, and waits until it is certain that it arrived.
struct Sent {
    began: Instant,
    last: Instant,
    then: Position,
}

/// One connection, from what was noted last. With `to_the_end` it ends once nothing is left, and the collector has it all.
pub(super) async fn session(
    worker: &mut Worker,
    collector: &Collector,
    to_the_end: bool,
) -> Result<(), NotSent> {
    let mut noted = worker.noted().await?.position;
    let mut place = noted;
    let mut line = Line::open(collector).await.map_err(NotSent::Line)?;
    let (mut reading, mut sent, mut noted_at) = (None, VecDeque::<Sent>::new(), Instant::now());
    loop {
        let batch = worker.next(&mut reading, &mut place, None, Wanted::frames).await?;
        let idle = batch.is_none();
        if let Some(Frames { messages, bytes }) = batch {
            if messages > 0 {
                line.send(&bytes).await.map_err(NotSent::Line)?;
            }
            worker.count(messages, bytes.len() as u64);
            note_sent(&mut sent, place);
        }
        let lag = worker.lag(reading.as_ref(), place).await;
        worker.note_lag(Some(lag));
        if idle && to_the_end {
            line.close().await.map_err(NotSent::Line)?;
            return Ok(worker.note(place.into()).await?);
        }
        if idle {
            worker.well();
            line.rest(LOOK).await.map_err(NotSent::Line)?;
        }
        let now = Instant::now();
        let mut settled = noted;
        while let Some(first) = sent.pop_front_if(|first| now.duration_since(first.last) >= SETTLED) {
            settled = first.then;
        }
        if settled != noted && now.duration_since(noted_at) >= Duration::from_secs(1) {
            worker.note(settled.into()).await?;
            (noted, noted_at) = (settled, now);
        } else if settled != noted {
            // Not yet: it is told with the next one.
            sent.push_front(Sent { began: now - SETTLED, last: now - SETTLED, then: settled });
        }
    }
}

fn note_sent(sent: &mut VecDeque<Sent>, then: Position) {
    let now = Instant::now();
    match sent.back_mut() {
        Some(last) if now.duration_since(last.began) < TOGETHER => (last.last, last.then) = (now, then),
        _ => sent.push_back(Sent { began: now, last: now, then }),
    }
}

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
