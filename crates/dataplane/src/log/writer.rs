//! The log's thread: takes what waits, writes it at once, tells everybody.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use aegis_model::caps;

use super::ack::Promise;
use super::{Order, Shared};

/// Largest buffer that is kept between writes, in bytes; a larger one was for an unusual batch.
const BUFFER_KEPT_BYTES: usize = 1 << 20;

pub(super) struct Writer {
    shared: Arc<Shared>,
    buffer: Vec<u8>,
    waiting: Vec<Promise>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, buffer: Vec::new(), waiting: Vec::new() }
    }

    /// Writes until told to close, or until the handle is gone, and closes the file.
    ///
    /// # Errors
    /// The last write to the file, whoever made it, or the sync failed.
    pub(super) fn run(mut self, orders: &Receiver<Order>) -> io::Result<()> {
        while let Ok(order) = orders.recv() {
            let mut open = self.take(order);
            while open && self.waiting.len() < caps::RECORD_BATCH_MAX {
                let Ok(order) = orders.try_recv() else { break };
                open = self.take(order);
            }
            if !self.waiting.is_empty() {
                self.write();
            }
            if !open {
                break;
            }
        }
        self.shared.file().close()
    }

    /// Adds a line to the batch; whether more may come.
    fn take(&mut self, order: Order) -> bool {
        match order {
            Order::Line(line, promise) => {
                self.buffer.extend_from_slice(&line);
                self.waiting.push(promise);
                true
            }
            Order::Close => false,
        }
    }

    /// Writes the batch. All of it counts as lost when any of it may be: a lost answer is safer than a lost record.
    fn write(&mut self) {
        let lines = self.waiting.len();
        let written = self.shared.write(&mut self.shared.file(), &self.buffer).is_ok();
        self.shared.queued.fetch_sub(lines, Ordering::Relaxed);
        if self.shared.wary.load(Ordering::Relaxed) > 0 {
            let less = |wary: usize| Some(wary.saturating_sub(lines));
            // Another thread may be storing a new bound; either value is a good one.
            let _ = self.shared.wary.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
        for promise in self.waiting.drain(..) {
            promise.settle(written);
        }
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_KEPT_BYTES);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Also after a panic: nobody hands over lines that nobody writes.
        self.shared.closed.store(true, Ordering::Relaxed);
    }
}
