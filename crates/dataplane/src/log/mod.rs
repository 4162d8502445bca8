//! The decision log: JSON lines in one file. An answer waits until its line is written.
//!
//! Most lines are written by the call itself: handing one to another thread and back costs several times the write.
//! When the file stays busy or was slow repeatedly, lines go through a bounded queue to the log's thread, which writes
//! all that wait with one system call and tells each: a slow disk stops that thread, not those that serve calls.
//! "Written" means handed to the operating system: the line survives the process, not a power cut.

mod ack;
mod file;
pub(crate) mod line;
mod writer;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::Duration;

use aegis_model::caps;
use tokio::sync::watch;

use crate::laps::instant;
pub(crate) use ack::Ack;
use ack::Promise;
use file::LogFile;
use writer::Writer;

/// A handle to the log. Its thread ends with [`Log::close`].
#[derive(Debug)]
pub(crate) struct Log {
    queue: SyncSender<Order>,
    shared: Arc<Shared>,
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
struct Shared {
    file: Mutex<LogFile>,
    /// Lines in the queue.
    queued: AtomicUsize,
    /// So many more lines go through the queue since writes were slow.
    wary: AtomicUsize,
    /// During so many more lines a slow write makes the log wary.
    suspicious: AtomicUsize,
    closed: AtomicBool,
    healthy: watch::Sender<bool>,
}

/// A write of a call that takes longer than this is slow: it should be a copy within memory. Longer than a thread usually
/// waits for its turn on a busy machine.
const SLOW: Duration = Duration::from_millis(5);
/// A slow write makes the log wary only if one of so many before it was slow, too: a thread that lost its processor
/// in the middle of a write looks like one slow write, a slow disk like many.
const SUSPICIOUS_LINES: usize = 128;
/// How many lines the thread has to write before calls write for themselves again.
const WARY_LINES: usize = 1_024;
/// How often a call looks whether the file is free before it hands its line over: about as long as one write takes.
const LOOKS: usize = 200;

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
        let shared = Arc::new(Shared {
            file: Mutex::new(file),
            queued: AtomicUsize::new(0),
            wary: AtomicUsize::new(0),
            suspicious: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            healthy: watch::Sender::new(true),
        });
        let writer = Writer::new(Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("aegis-log".to_owned());
        let thread = thread.spawn(move || writer.run(&orders))?;
        Ok(Self { queue, shared, thread: Mutex::new(Some(thread)) })
    }

    /// Takes `line`, which ends with a line feed. It is written or on its way once this returns; the [`Ack`] tells
    /// when it is written, or that it never will be.
    ///
    /// May block for one write to the page cache.
    pub(crate) fn append(&self, line: Vec<u8>) -> Result<Ack, NotTaken> {
        if self.shared.closed.load(Ordering::Relaxed) {
            return Err(NotTaken);
        }
        if let Some(written) = self.shared.write_now(&line) {
            return Ok(Ack::known(written));
        }
        let (ack, promise) = Ack::promised();
        self.shared.queued.fetch_add(1, Ordering::Relaxed);
        match self.queue.try_send(Order::Line(line, promise)) {
            Ok(()) => Ok(ack),
            Err(_full_or_closed) => {
                self.shared.queued.fetch_sub(1, Ordering::Relaxed);
                self.shared.set_healthy(false);
                Err(NotTaken)
            }
        }
    }

    /// From now on every line goes through the queue.
    #[cfg(test)]
    pub(crate) fn queue_every_line(&self) {
        self.shared.wary.store(usize::MAX, Ordering::Relaxed);
    }

    /// How many lines wait for the thread.
    pub(crate) fn queued(&self) -> usize {
        self.shared.queued.load(Ordering::Relaxed)
    }

    /// Whether the last write succeeded and the queue had room since; to be watched.
    pub(crate) fn healthy(&self) -> watch::Receiver<bool> {
        self.shared.healthy.subscribe()
    }

    /// Takes no more lines, waits until every line taken was written and synced to disk, and ends the thread.
    /// Blocks. A second call returns at once.
    ///
    /// # Errors
    /// The last write or the sync failed.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.shared.closed.store(true, Ordering::Relaxed);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return Ok(()) };
        // The thread may have panicked and dropped its end; joining tells.
        let _ = self.queue.send(Order::Close);
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the log's thread panicked")))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // The thread ends when it has written what is queued; nobody is left to be told how that went.
        self.shared.closed.store(true, Ordering::Relaxed);
        let _ = self.queue.try_send(Order::Close);
    }
}

impl Shared {
    /// Writes `line` at once, if nothing waits before it and the file is free: whether it was written.
    fn write_now(&self, line: &[u8]) -> Option<bool> {
        if self.queued.load(Ordering::Relaxed) > 0 || self.wary.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let mut file = self.file_soon()?;
        let begun = instant();
        let result = self.write(&mut file, line);
        self.watch(begun.elapsed());
        Some(result.is_ok())
    }

    /// The file, unless another write takes longer than a write should.
    fn file_soon(&self) -> Option<MutexGuard<'_, LogFile>> {
        for _ in 0..LOOKS {
            match self.file.try_lock() {
                Ok(file) => return Some(file),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
            }
        }
        None
    }

    /// Notes how long a call's write took. To be called with the file held, so that nobody else notes meanwhile.
    fn watch(&self, took: Duration) {
        let suspicious = self.suspicious.load(Ordering::Relaxed);
        match took > SLOW {
            true if suspicious > 0 => self.wary.store(WARY_LINES, Ordering::Relaxed),
            true => self.suspicious.store(SUSPICIOUS_LINES, Ordering::Relaxed),
            false if suspicious > 0 => self.suspicious.store(suspicious - 1, Ordering::Relaxed),
            false => {}
        }
    }

    /// Writes `lines` and notes how that went.
    fn write(&self, file: &mut LogFile, lines: &[u8]) -> io::Result<()> {
        let result = file.append(lines);
        if let Err(error) = &result
            && *self.healthy.borrow()
        {
            tracing::error!(%error, "the decision log cannot be written; calls are refused until it can");
        }
        self.set_healthy(result.is_ok());
        result
    }

    /// The file; a panic while it was held left it whole or marked as torn.
    fn file(&self) -> MutexGuard<'_, LogFile> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_healthy(&self, healthy: bool) {
        // Looking is cheaper than a write lock, and nearly always enough.
        if *self.healthy.borrow() != healthy {
            self.healthy.send_if_modified(|before| std::mem::replace(before, healthy) != healthy);
        }
    }
}

#[cfg(test)]
mod tests;
