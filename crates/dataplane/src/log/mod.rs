//! The decision log: JSON lines in one file, written by one thread; an answer waits until its line is written.
//!
//! Calls hand lines over through a bounded queue; the thread writes all that wait with one system call and tells
//! each. "Written" means handed to the operating system: the line survives the process, not a power cut.

mod ack;
mod file;
pub(crate) mod line;
mod writer;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use aegis_model::caps;
use tokio::sync::watch;

pub(crate) use ack::Ack;
use ack::Promise;
use file::LogFile;

/// A handle to the log. Its thread ends with [`Log::close`].
#[derive(Debug)]
pub(crate) struct Log {
    queue: SyncSender<Order>,
    state: Arc<State>,
    thread: Mutex<Option<JoinHandle<io::Result<()>>>>,
}

/// The line was not taken: the queue is full, or the log is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotTaken;

/// What the thread is told.
enum Order {
    /// Write this line, which ends with a line feed.
    Line(Vec<u8>, Promise),
    /// Everything before is written: sync, and end.
    Close,
}

/// What the handle and the thread share.
#[derive(Debug)]
struct State {
    queued: AtomicUsize,
    closed: AtomicBool,
    healthy: watch::Sender<bool>,
}

impl State {
    fn set_healthy(&self, healthy: bool) {
        self.healthy.send_if_modified(|before| std::mem::replace(before, healthy) != healthy);
    }
}

impl Log {
    /// Opens or makes the file at `path`, to append to it, and starts the thread.
    ///
    /// # Errors
    /// The file cannot be opened for appending, or the thread cannot be started.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::start(LogFile::open(path)?)
    }

    fn start(file: LogFile) -> io::Result<Self> {
        let (queue, orders) = sync_channel(caps::RECORD_QUEUE_MAX);
        let state = Arc::new(State {
            queued: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            healthy: watch::Sender::new(true),
        });
        let thread = spawn(orders, file, Arc::clone(&state))?;
        Ok(Self { queue, state, thread: Mutex::new(Some(thread)) })
    }

    /// Hands `line` over. It is on its way once this returns; the [`Ack`] tells when it is written, or that it
    /// never will be.
    pub(crate) fn append(&self, line: Vec<u8>) -> Result<Ack, NotTaken> {
        if self.state.closed.load(Ordering::Relaxed) {
            return Err(NotTaken);
        }
        let ack = Ack::new();
        self.state.queued.fetch_add(1, Ordering::Relaxed);
        match self.queue.try_send(Order::Line(line, ack.promise())) {
            Ok(()) => Ok(ack),
            Err(_full_or_closed) => {
                self.state.queued.fetch_sub(1, Ordering::Relaxed);
                self.state.set_healthy(false);
                Err(NotTaken)
            }
        }
    }

    /// How many lines wait for the thread.
    pub(crate) fn queued(&self) -> usize {
        self.state.queued.load(Ordering::Relaxed)
    }

    /// Whether the last write succeeded and the queue had room since; to be watched.
    pub(crate) fn healthy(&self) -> watch::Receiver<bool> {
        self.state.healthy.subscribe()
    }

    /// Takes no more lines, waits until every line taken was written and synced to disk, and ends the thread.
    /// Blocks. A second call returns at once.
    ///
    /// # Errors
    /// The last write or the sync failed.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.state.closed.store(true, Ordering::Relaxed);
        let thread = self.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(thread) = thread else { return Ok(()) };
        // The thread may have panicked and dropped its end; joining tells.
        let _ = self.queue.send(Order::Close);
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the log's thread panicked")))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // The thread ends when it has written what is queued; nobody is left to be told how that went.
        self.state.closed.store(true, Ordering::Relaxed);
        let _ = self.queue.try_send(Order::Close);
    }
}

fn spawn(
    orders: Receiver<Order>,
    file: LogFile,
    state: Arc<State>,
) -> io::Result<JoinHandle<io::Result<()>>> {
    std::thread::Builder::new()
        .name("aegis-log".to_owned())
        .spawn(move || writer::Writer::new(file, state).run(&orders))
}

#[cfg(test)]
mod tests;
