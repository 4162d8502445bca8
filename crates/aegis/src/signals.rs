//! Signals from the service manager and the terminal.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that a node listens to.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// SIGTERM, SIGINT: end in order.
    Stop,
    /// SIGHUP: read the files again.
    Reload,
}

impl Signals {
    /// Listens from now on. To be called within a tokio runtime.
    ///
    /// # Errors
    /// The system refuses the handlers.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("listening to signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// The next signal. Nothing is lost when this is dropped.
    pub(crate) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.hang_up.recv() => Wish::Reload,
        }
    }
}
