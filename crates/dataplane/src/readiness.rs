//! Whether the node should be sent calls.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::decider::{Decider, PolicyStanding};
use crate::records::Trouble;

/// Ready while there are policies to enforce, the journal can be written and the node neither leaves nor stops. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Readiness {
    leaving: CancellationToken,
    stopping: CancellationToken,
    trouble: watch::Receiver<Option<Trouble>>,
    policies: watch::Receiver<PolicyStanding>,
}

impl Readiness {
    pub(crate) fn new(stopping: CancellationToken, decider: &Decider) -> Self {
        Self {
            leaving: decider.leaving().clone(),
            stopping,
            trouble: decider.records.trouble(),
            policies: decider.policies(),
        }
    }

    /// Whether calls are welcome.
    pub(crate) fn is_ready(&self) -> bool {
        !self.is_leaving()
            && !self.is_stopping()
            && self.trouble.borrow().is_none()
            && self.policies() == PolicyStanding::InForce
    }

    /// Whether the node is about to stop: it answers calls, but should be sent no more of them.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.is_cancelled()
    }

    /// Whether the node was told to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Why nothing can be recorded, if so.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        self.trouble.borrow().clone()
    }

    /// Whether there are policies to enforce.
    pub(crate) fn policies(&self) -> PolicyStanding {
        *self.policies.borrow()
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
            () = self.leaving.cancelled(), if !self.is_leaving() => true,
            changed = self.trouble.changed() => changed.is_ok(),
            changed = self.policies.changed() => changed.is_ok(),
        }
    }
}
