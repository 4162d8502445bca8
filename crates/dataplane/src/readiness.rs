//! Whether the node should be sent calls.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Ready while the log can be written and the node is not stopping. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Readiness {
    stopping: CancellationToken,
    log_healthy: watch::Receiver<bool>,
}

impl Readiness {
    pub(crate) fn new(stopping: CancellationToken, log_healthy: watch::Receiver<bool>) -> Self {
        Self { stopping, log_healthy }
    }

    /// Whether calls are welcome.
    pub(crate) fn is_ready(&self) -> bool {
        !self.is_stopping() && *self.log_healthy.borrow()
    }

    /// Whether the node was told to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Waits until the node is told to stop.
    pub(crate) async fn stopped(&self) {
        self.stopping.cancelled().await;
    }

    /// Waits until the answer of [`Readiness::is_ready`] may have changed. Returns false once it never will again.
    pub(crate) async fn changed(&mut self) -> bool {
        if self.is_stopping() {
            return false;
        }
        tokio::select! {
            () = self.stopping.cancelled() => true,
            changed = self.log_healthy.changed() => changed.is_ok(),
        }
    }
}
