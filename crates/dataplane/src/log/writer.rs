//! The log's thread: takes what waits, writes it at once, tells everybody.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use aegis_model::caps;

use super::ack::Promise;
use super::file::LogFile;
use super::{Order, State};

/// Largest buffer that is kept between writes, in bytes; a larger one was for an unusual batch.
const BUFFER_KEPT_BYTES: usize = 1 << 20;

pub(super) struct Writer {
    file: LogFile,
    state: Arc<State>,
    buffer: Vec<u8>,
    waiting: Vec<Promise>,
}

impl Writer {
    pub(super) fn new(file: LogFile, state: Arc<State>) -> Self {
        Self { file, state, buffer: Vec::new(), waiting: Vec::new() }
    }

    /// Writes until told to close, or until the handle is gone. Returns how the last write went.
    pub(super) fn run(mut self, orders: &Receiver<Order>) -> io::Result<()> {
        let mut last = Ok(());
        while let Ok(order) = orders.recv() {
            let mut open = self.take(order);
            while open && self.waiting.len() < caps::RECORD_BATCH_MAX {
                let Ok(order) = orders.try_recv() else { break };
                open = self.take(order);
            }
            if !self.waiting.is_empty() {
                last = self.write();
            }
            if !open {
                break;
            }
        }
        last.and_then(|()| self.file.sync())
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
    fn write(&mut self) -> io::Result<()> {
        let result = self.file.append(&self.buffer);
        if let Err(error) = &result
            && *self.state.healthy.borrow()
        {
            tracing::error!(%error, "the decision log cannot be written; calls are refused until it can");
        }
        self.state.queued.fetch_sub(self.waiting.len(), Ordering::Relaxed);
        self.state.set_healthy(result.is_ok());
        for promise in self.waiting.drain(..) {
            promise.settle(result.is_ok());
        }
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_KEPT_BYTES);
        result
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Also after a panic: nobody hands over lines that nobody writes.
        self.state.closed.store(true, Ordering::Relaxed);
    }
}
