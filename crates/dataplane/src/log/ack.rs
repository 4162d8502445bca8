//! Whether a line was written: told once, to any number of waiters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use aegis_model::caps;
use tokio::sync::Notify;

/// The fate of one line. Cheap to clone; every clone tells the same.
#[derive(Debug, Clone)]
pub(crate) struct Ack(Fate);

#[derive(Debug, Clone)]
enum Fate {
    Known(bool),
    Promised(Arc<Promised>),
}

#[derive(Debug)]
struct Promised {
    state: AtomicU8,
    changed: Notify,
}

const WAITING: u8 = 0;
const WRITTEN: u8 = 1;
const LOST: u8 = 2;

impl Ack {
    /// A line whose fate is known at once.
    pub(super) fn known(written: bool) -> Self {
        Self(Fate::Known(written))
    }

    /// A line that somebody promises to write, and the promise.
    pub(super) fn promised() -> (Self, Promise) {
        let fate = Arc::new(Promised { state: AtomicU8::new(WAITING), changed: Notify::new() });
        (Self(Fate::Promised(Arc::clone(&fate))), Promise(fate))
    }

    /// Waits until the fate is known: whether the line was written. What takes longer than
    /// [`caps::RECORD_WAIT_SECONDS`] counts as not written.
    pub(crate) async fn written(&self) -> bool {
        match &self.0 {
            Fate::Known(written) => *written,
            Fate::Promised(promised) => {
                let wait = Duration::from_secs(caps::RECORD_WAIT_SECONDS);
                tokio::time::timeout(wait, promised.told()).await.unwrap_or(false)
            }
        }
    }
}

impl Promised {
    async fn told(&self) -> bool {
        // A `Notified` made before the look hears of every change after it.
        let changed = self.changed.notified();
        if let Some(written) = self.known() {
            return written;
        }
        changed.await;
        self.known().unwrap_or(false)
    }

    fn known(&self) -> Option<bool> {
        match self.state.load(Ordering::Acquire) {
            WAITING => None,
            state => Some(state == WRITTEN),
        }
    }

    fn tell(&self, state: u8) {
        self.state.store(state, Ordering::Release);
        self.changed.notify_waiters();
    }
}

/// The writer's end of an [`Ack`]. Dropped unkept, it tells that the line is lost.
#[derive(Debug)]
pub(super) struct Promise(Arc<Promised>);

impl Promise {
    /// The line is in the file, or never will be.
    pub(super) fn settle(self, written: bool) {
        self.0.tell(if written { WRITTEN } else { LOST });
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if self.0.known().is_none() {
            self.0.tell(LOST);
        }
    }
}
