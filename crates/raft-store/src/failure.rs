//! The node's storage failed: said once, seen by everybody, never taken back.

use std::sync::Arc;

use tokio::sync::watch;

/// Whether the storage failed. Cheap to clone; all clones see the same.
///
/// After a failure nothing is written any more: after a failed sync nobody knows what is on the disk, and trying again
/// would only hide that. The owner ends the process.
#[derive(Debug, Clone)]
pub struct Failure {
    shared: Arc<watch::Sender<Option<Arc<str>>>>,
}

impl Default for Failure {
    fn default() -> Self {
        Self { shared: Arc::new(watch::Sender::new(None)) }
    }
}

impl Failure {
    /// Notes the first failure; later ones change nothing.
    pub(crate) fn declare(&self, what: &str) {
        let first = self.shared.send_if_modified(|state| {
            let first = state.is_none();
            state.get_or_insert_with(|| what.into());
            first
        });
        if first {
            tracing::error!(what, "the storage failed; the node has to stop");
        }
    }

    /// What failed, if something did.
    pub fn get(&self) -> Option<Arc<str>> {
        self.shared.borrow().clone()
    }

    /// Waits until the storage fails, and says what failed. Waits for ever if it never does.
    pub async fn wait(&self) -> Arc<str> {
        let mut state = self.shared.subscribe();
        // The guard must not live into the match, or no task could wait for this.
        let failed = state.wait_for(Option::is_some).await.map(|failed| failed.clone());
        match failed {
            Ok(failed) => failed.unwrap_or_else(|| "the storage failed".into()),
            Err(_closed) => std::future::pending().await,
        }
    }
}
