//! Whether a line was written: told once, to any number of waiters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use aegis_model::caps;
use tokio::sync::Notify;

const WAITING: u8 = 0;
const WRITTEN: u8 = 1;
const LOST: u8 = 2;

/// The fate of one line. Cheap to clone; every clone tells the same.
#[derive(Debug, Clone)]
pub(crate) struct Ack(Arc<Fate>);

#[derive(Debug)]
struct Fate {
    state: AtomicU8,
    changed: Notify,
}

impl Ack {
    pub(super) fn new() -> Self {
        Self(Arc::new(Fate { state: AtomicU8::new(WAITING), changed: Notify::new() }))
    }

    /// The other end, for whoever writes the line.
    pub(super) fn promise(&self) -> Promise {
        Promise(self.clone())
    }

    /// Waits until the fate is known: whether the line was written.
    pub(crate) async fn written(&self) -> bool {
        // A `Notified` made before the look hears of every change after it.
        let changed = self.0.changed.notified();
        if let Some(written) = self.known() {
            return written;
        }
        changed.await;
        self.known().unwrap_or(false)
    }

    /// Like [`Ack::written`], but what takes longer than [`caps::RECORD_WAIT_SECONDS`] counts as not written.
    pub(crate) async fn written_in_time(&self) -> bool {
        let wait = Duration::from_secs(caps::RECORD_WAIT_SECONDS);
        tokio::time::timeout(wait, self.written()).await.unwrap_or(false)
    }

    fn known(&self) -> Option<bool> {
        match self.0.state.load(Ordering::Acquire) {
            WAITING => None,
            state => Some(state == WRITTEN),
        }
    }
}

/// The writer's end of an [`Ack`]. Dropped unkept, it tells that the line is lost.
#[derive(Debug)]
pub(super) struct Promise(Ack);

impl Promise {
    /// The line is in the file, or never will be.
    pub(super) fn settle(self, written: bool) {
        self.tell(if written { WRITTEN } else { LOST });
    }

    fn tell(&self, state: u8) {
        let Ack(fate) = &self.0;
        fate.state.store(state, Ordering::Release);
        fate.changed.notify_waiters();
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if self.0.known().is_none() {
            self.tell(LOST);
        }
    }
}
