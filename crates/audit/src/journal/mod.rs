//! The durable journal: records in, evidence on disk out. No answer may be given before its [`Ticket`] resolved (AUD-1).
//!
//! One thread writes, and syncs once for all that wait. Another seals ended segments. Both block on the disk; nothing here
//! is async, and a [`Ticket`] is a future of any runtime.
//!
//! Any error of the disk is final: everything that waits and everything that comes later fails, and [`Journal::failure`] says
//! why. A new life of the node begins a new log, after [`Home::close_earlier`] has closed this one.

mod disk;
mod error;
mod figures;
mod frame;
mod grown;
mod home;
mod live;
mod seal;
mod ticket;
mod writer;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use aegis_model::caps;
use aegis_model::clock::{Clock, UnixNanos};
use rand::CryptoRng;

pub(crate) use disk::write_whole;
pub use disk::{Disk, DiskFile, SystemDisk};
use error::Failure;
pub use error::{JournalError, NotKept};
pub use figures::Figures;
pub use grown::Follower;
pub(crate) use grown::{Grown, Step, grown, grown_bytes, grown_file, grown_numbers, grown_records};
pub(crate) use home::make_root;
pub use home::{Closed, Home};
pub use live::{Proof, Signed};
use seal::Sealer;
use ticket::Promise;
pub use ticket::{Placed, Ticket};
use writer::{Log, Writer};

use crate::keys::VerifyingKey;
use crate::receipt::Receipt;
use crate::record::Draft;
use crate::tiles::NoTile;
use crate::tree;

/// What the journal is given from outside: it has neither clock nor randomness of its own.
pub struct Means {
    /// For the moments of its own records, and for when a checkpoint is due.
    pub clock: Clock,
    /// For the ids of its own records.
    pub randomness: Box<dyn CryptoRng + Send>,
    /// How it is run.
    pub settings: Settings,
}

/// How a journal is run.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Bytes after which a segment ends.
    pub segment_bytes: u64,
    /// Longest time from the first record of a segment until it ends.
    pub segment_after: Duration,
    /// Longest time until synced entries get a checkpoint.
    pub checkpoint_after: Duration,
    /// Entries that get a checkpoint at once.
    pub checkpoint_entries: u64,
    /// Shortest time from the beginning of one sync to that of the next, while records come together.
    pub sync_pace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment_bytes: caps::AUDIT_SEGMENT_BYTES,
            segment_after: Duration::from_secs(caps::AUDIT_SEGMENT_SECONDS),
            checkpoint_after: Duration::from_millis(caps::AUDIT_CHECKPOINT_MS),
            checkpoint_entries: caps::AUDIT_CHECKPOINT_ENTRIES,
            sync_pace: Duration::from_micros(caps::AUDIT_SYNC_PACE_MICROS),
        }
    }
}

/// What a record waits for. The tenant chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The disk has it: it survives a power cut.
    Synced,
    /// The system has it: it survives the process. After a power cut a gap in its chain says that records may be missing.
    Written,
}

/// An open log. Dropped without [`Journal::close`], it is left as a crash would leave it.
pub struct Journal {
    queue: Mutex<Option<SyncSender<Order>>>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    log: Log,
    failure: Failure,
    closed: AtomicBool,
    /// Bytes of the records in the queue.
    bytes: AtomicUsize,
    /// Records whose tickets have not resolved.
    waiting: AtomicUsize,
    clock: Clock,
    _lock: home::Lock,
}

enum Order {
    Record(Draft, Durability, Promise),
    Checkpoint(SyncSender<Result<Arc<Signed>, NotKept>>),
    Close(SyncSender<Result<Arc<Signed>, NotKept>>),
}

impl Journal {
    fn start(log: Log, writer: Writer, sealer: Sealer, lock: home::Lock) -> Result<Self, JournalError> {
        let (queue, orders) = sync_channel(caps::AUDIT_QUEUE_MAX);
        let folder = log.folder.clone();
        let shared = Arc::new(Shared {
            log,
            failure: Failure::default(),
            closed: AtomicBool::new(false),
            bytes: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            clock: writer.clock().clone(),
            _lock: lock,
        });
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("aegis-journal".to_owned());
        let thread = thread.spawn(move || run(&for_thread, writer, sealer, &orders));
        let thread = thread.map_err(seal::file(&folder, "has no thread"))?;
        Ok(Self { queue: Mutex::new(Some(queue)), shared, thread: Mutex::new(Some(thread)) })
    }

    /// The log's public key; its name is the log's origin.
    pub fn key(&self) -> &VerifyingKey {
        self.shared.log.key.verifying_key()
    }

    /// Takes a record. It is on its way once this returns; the [`Ticket`] tells when it is kept, or that it never will be.
    /// Never blocks.
    ///
    /// # Errors
    /// [`NotKept`]: it was not taken.
    pub fn append(&self, draft: Draft, durability: Durability) -> Result<Ticket, NotKept> {
        self.shared.check()?;
        if draft.is_of_journal() {
            return Err(NotKept::Own);
        }
        let bytes = draft.bytes();
        if self.shared.bytes.fetch_add(bytes, Ordering::Relaxed) > caps::AUDIT_QUEUE_BYTES_MAX {
            self.shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(NotKept::Busy);
        }
        let (ticket, promise) = Ticket::new();
        if self.shared.waiting.fetch_add(1, Ordering::Relaxed) == 0 {
            self.shared.counts().waiting_since(self.shared.clock.monotonic());
        }
        let sent = self.send(Order::Record(draft, durability, promise));
        if sent.is_err() {
            self.shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        sent.map(|()| {
            self.shared.counts().taken.fetch_add(1, Ordering::Relaxed);
            ticket
        })
    }

    /// What it has done, in numbers.
    pub fn figures(&self) -> Figures {
        self.shared.counts().figures(self.waiting(), self.shared.clock.monotonic())
    }

    /// How many records wait for the disk.
    pub fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    /// Signs a checkpoint over everything taken before, now. Blocks.
    ///
    /// # Errors
    /// [`NotKept`]
    pub fn checkpoint(&self) -> Result<Arc<Signed>, NotKept> {
        self.shared.check()?;
        self.ask(Order::Checkpoint)
    }

    /// The newest checkpoint.
    pub fn newest(&self) -> Option<Arc<Signed>> {
        self.shared.log.live.newest()
    }

    /// Proves that the entry at `index` is in the log. Nothing until a checkpoint covers it. May read the disk.
    ///
    /// # Errors
    /// [`NoTile`]: the disk does not give what is needed.
    pub fn prove(&self, index: u64) -> Result<Option<Proof>, NoTile> {
        self.shared.log.live.prove(index + 1, |nodes, size| tree::inclusion(nodes, index, size))
    }

    /// Proves that the newest checkpoint follows from the one of `old` entries. Nothing if that is newer. May read the disk.
    ///
    /// # Errors
    /// [`NoTile`]: the disk does not give what is needed.
    pub fn prove_since(&self, old: u64) -> Result<Option<Proof>, NoTile> {
        self.shared.log.live.prove(old, |nodes, size| tree::consistency(nodes, old, size))
    }

    /// The log's signed word that a record stands where it was placed, for an answer that asks for one. Costs a signature.
    pub fn receipt(&self, placed: &Placed, at: UnixNanos) -> (Receipt, [u8; 64]) {
        let key = &self.shared.log.key;
        let origin = key.verifying_key().name().clone();
        let receipt = Receipt { origin, index: placed.index, leaf: placed.leaf, at };
        let signature = receipt.sign(key);
        (receipt, signature)
    }

    /// What failed, if something did: then nothing may be decided at this node any more.
    pub fn failure(&self) -> Option<Arc<str>> {
        self.shared.failure.get()
    }

    /// Takes no more records, keeps what was taken, ends and seals the log, and destroys its key. Gives the last checkpoint.
    /// Blocks.
    ///
    /// # Errors
    /// [`NotKept`]: the log is not closed; the next life's [`Home::close_earlier`] does it.
    pub fn close(&self) -> Result<Arc<Signed>, NotKept> {
        if self.shared.closed.swap(true, Ordering::Relaxed) {
            return Err(NotKept::Closed);
        }
        let closed = self.ask(Order::Close);
        self.stop();
        closed
    }

    fn send(&self, order: Order) -> Result<(), NotKept> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queue.as_ref().ok_or(NotKept::Closed)?;
        queue.try_send(order).map_err(|refused| match refused {
            TrySendError::Full(_) => NotKept::Busy,
            TrySendError::Disconnected(_) => self.shared.check().err().unwrap_or(NotKept::Closed),
        })
    }

    fn ask(
        &self,
        order: impl FnOnce(SyncSender<Result<Arc<Signed>, NotKept>>) -> Order,
    ) -> Result<Arc<Signed>, NotKept> {
        let (reply, answer) = sync_channel(1);
        let queue =
            self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(NotKept::Closed)?;
        // Waits for its turn: who asks this blocks anyway.
        queue.send(order(reply)).map_err(|_gone| self.gone())?;
        drop(queue);
        answer.recv().unwrap_or_else(|_gone| Err(self.gone()))
    }

    fn gone(&self) -> NotKept {
        self.shared.failure.get().map_or(NotKept::Closed, NotKept::Failed)
    }

    fn stop(&self) {
        // Whoever waits for this thread wants no rests.
        self.shared.closed.store(true, Ordering::Relaxed);
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // What it panicked with is in the failure.
        thread.into_iter().for_each(|thread| drop(thread.join()));
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Journal({})", self.key().name())
    }
}

impl Shared {
    fn counts(&self) -> &figures::Counts {
        &self.log.live.counts
    }

    /// Fails for good, and leaves a mark for the next life: what was acknowledged before it was synced may be gone even
    /// though the machine did not stop.
    fn fail(&self, what: &str) -> Arc<str> {
        let kept = self.failure.declare(what);
        let marked =
            self.log.disk.create(&self.log.folder.join(home::FAILED)).and_then(|mut file| file.sync());
        // The disk that failed may refuse this, too; then there is nothing that could be left on it.
        drop(marked.and_then(|()| self.log.disk.sync_dir(&self.log.folder)));
        kept
    }

    /// Whether nobody waits for segments to be sealed: this is the newest that ended, and the log is not closing.
    fn may_rest(&self, sealing: u64) -> bool {
        !self.closed.load(Ordering::Relaxed) && self.counts().segments.load(Ordering::Relaxed) <= sealing + 1
    }

    /// Tells what became of a record.
    fn settle(&self, promise: Promise, outcome: Result<Placed, NotKept>) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        if outcome.is_ok() {
            self.counts().kept.fetch_add(1, Ordering::Relaxed);
        }
        promise.settle(outcome);
    }

    fn check(&self) -> Result<(), NotKept> {
        match self.failure.get() {
            Some(what) => Err(NotKept::Failed(what)),
            None if self.closed.load(Ordering::Relaxed) => Err(NotKept::Closed),
            None => Ok(()),
        }
    }
}

/// The journal's thread, and the sealer's beside it.
fn run(shared: &Arc<Shared>, mut writer: Writer, mut sealer: Sealer, orders: &Receiver<Order>) {
    let (ended, segments) = sync_channel::<u64>(caps::AUDIT_SEALING_MAX);
    std::thread::scope(|scope| {
        let sealing = std::thread::Builder::new().name("aegis-seal".to_owned()).spawn_scoped(scope, || {
            let sealed = std::panic::catch_unwind(AssertUnwindSafe(|| {
                segments.iter().try_for_each(|segment| sealer.seal(segment, &|| shared.may_rest(segment)))
            }));
            // Whoever waits for room in the channel is let go.
            drop(segments);
            match sealed {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    drop(shared.failure.declare(&format!("a segment cannot be sealed: {error}")))
                }
                Err(_panic) => drop(shared.failure.declare("the sealing thread panicked")),
            }
        });
        let Ok(sealing) = sealing else {
            shared.failure.declare("there is no thread to seal segments");
            return;
        };
        let worked = std::panic::catch_unwind(AssertUnwindSafe(|| work(shared, &mut writer, orders, &ended)));
        drop(ended);
        let closing = worked.unwrap_or_else(|_panic| {
            shared.failure.declare("the journal's thread panicked");
            None
        });
        // The sealer catches its own panics.
        drop(sealing.join());
        if let Some((reply, last)) = closing {
            // Nobody may be left to be told.
            drop(reply.send(closed(shared, last)));
        }
    });
}

type Closing = (SyncSender<Result<Arc<Signed>, NotKept>>, Option<Arc<Signed>>);

/// The last step, after everything is sealed.
fn closed(shared: &Shared, last: Option<Arc<Signed>>) -> Result<Arc<Signed>, NotKept> {
    if let Some(what) = shared.failure.get() {
        return Err(NotKept::Failed(what));
    }
    match home::destroy_key(&shared.log) {
        Ok(()) => last.ok_or(NotKept::Closed),
        Err(error) => {
            Err(NotKept::Failed(shared.failure.declare(&format!("the log cannot be closed: {error}"))))
        }
    }
}

/// Works until told to close, or until nobody is left to tell it anything.
fn work(
    shared: &Shared,
    writer: &mut Writer,
    orders: &Receiver<Order>,
    ended: &SyncSender<u64>,
) -> Option<Closing> {
    let (mut batch, mut pace) = (Vec::new(), Pace::new(writer.sync_pace()));
    loop {
        // A writer that failed is never asked again.
        let due_in = if shared.failure.get().is_some() { None } else { writer.wakes_in() };
        let first = match due_in {
            None => orders.recv().map_err(|_gone| RecvTimeoutError::Disconnected),
            Some(wait) => orders.recv_timeout(wait),
        };
        match first {
            Ok(order) => batch.push(order),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return None,
        }
        while batch.len() < caps::AUDIT_BATCH_MAX
            && let Ok(order) = orders.try_recv()
        {
            batch.push(order);
        }
        let (began, taken) = (shared.clock.monotonic(), batch.len());
        if let Some(closing) = turn(shared, writer, batch.drain(..), ended) {
            return Some(closing);
        }
        let rest = pace.rest(taken, shared.clock.monotonic().since(began));
        if !rest.is_zero() && shared.failure.get().is_none() {
            // Nobody has to wake this thread for what comes meanwhile.
            std::thread::sleep(rest);
        }
    }
}

/// How long the thread rests between two syncs, so that those who call at the same time share one.
struct Pace {
    sync: Duration,
    /// How many more batches of one record are taken for chance.
    crowded: u32,
}

impl Pace {
    fn new(sync: Duration) -> Self {
        Self { sync, crowded: 0 }
    }

    /// The rest after a turn with so many orders that took so long. None for who calls alone, and after a full batch: more wait.
    fn rest(&mut self, orders: usize, took: Duration) -> Duration {
        match orders {
            0 => return Duration::ZERO,
            1 => self.crowded = self.crowded.saturating_sub(1),
            _ => self.crowded = caps::AUDIT_SYNC_ALONE,
        }
        let rests = self.crowded > 0 && orders < caps::AUDIT_BATCH_MAX;
        if rests { self.sync.saturating_sub(took) } else { Duration::ZERO }
    }
}

/// Writes one batch, and does what is due after it.
fn turn(
    shared: &Shared,
    writer: &mut Writer,
    batch: impl Iterator<Item = Order>,
    ended: &SyncSender<u64>,
) -> Option<Closing> {
    let (mut kept, mut strict, mut asked, mut closing) = (Vec::new(), false, Vec::new(), None);
    let began = shared.clock.monotonic();
    let failed = shared.failure.get();
    for order in batch {
        match order {
            Order::Record(draft, durability, promise) => {
                shared.bytes.fetch_sub(draft.bytes(), Ordering::Relaxed);
                match &failed {
                    Some(what) => shared.settle(promise, Err(NotKept::Failed(Arc::clone(what)))),
                    None => match writer.put(&draft, durability) {
                        Ok((placed, early)) => {
                            strict |= !early;
                            kept.push((placed, promise));
                        }
                        Err(refusal) => shared.settle(promise, Err(refusal)),
                    },
                }
            }
            Order::Checkpoint(reply) => asked.push(reply),
            Order::Close(reply) => closing = Some(reply),
        }
    }
    if let Some(what) = failed {
        return closing.map(|reply| (reply, None)).or_else(|| {
            asked.into_iter().for_each(|reply| drop(reply.send(Err(NotKept::Failed(Arc::clone(&what))))));
            None
        });
    }
    let written = if strict { writer.sync() } else { writer.write() };
    let done = written.map_err(|error| shared.fail(&format!("the journal cannot be written: {error}")));
    match &done {
        Ok(()) => kept.into_iter().for_each(|(placed, promise)| shared.settle(promise, Ok(placed))),
        Err(what) => {
            let failed = || Err(NotKept::Failed(Arc::clone(what)));
            kept.into_iter().for_each(|(_, promise)| shared.settle(promise, failed()));
        }
    }
    // What waits now came after this batch was taken from the queue.
    shared.counts().waiting_since(began);
    let followed = done.and_then(|()| {
        let done = follow_up(writer, !asked.is_empty(), closing.is_some(), ended);
        done.map_err(|error| shared.fail(&format!("the journal cannot go on: {error}")))
    });
    match followed {
        Ok(signed) => {
            let answer = |reply: SyncSender<_>| drop(reply.send(signed.clone().ok_or(NotKept::Closed)));
            asked.into_iter().for_each(answer);
            closing.map(|reply| (reply, signed))
        }
        Err(what) => {
            asked.into_iter().for_each(|reply| drop(reply.send(Err(NotKept::Failed(Arc::clone(&what))))));
            closing.map(|reply| (reply, None))
        }
    }
}

/// A checkpoint if one is due or asked for; the end of the segment if it is full, and of the log if it closes.
fn follow_up(
    writer: &mut Writer,
    asked: bool,
    closing: bool,
    ended: &SyncSender<u64>,
) -> std::io::Result<Option<Arc<Signed>>> {
    let mut signed = None;
    if asked || writer.due_in().is_some_and(|wait| wait.is_zero()) {
        signed = Some(writer.checkpoint()?);
    }
    if closing || writer.is_full() {
        let (segment, last) = writer.end(closing)?;
        signed = Some(last);
        if !closing {
            writer.next()?;
        }
        ended.send(segment).map_err(|_gone| std::io::Error::other("segments are not sealed any more"))?;
    }
    Ok(signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Duration = Duration::from_millis(1);

    #[test]
    fn who_calls_alone_does_not_wait_for_others() {
        let mut pace = Pace::new(PACE);
        for orders in [1, 0, 1, 1] {
            assert_eq!(pace.rest(orders, Duration::ZERO), Duration::ZERO);
        }
    }

    #[test]
    fn who_come_together_share_syncs_that_begin_a_pace_apart() {
        let mut pace = Pace::new(PACE);
        assert_eq!(pace.rest(2, Duration::from_micros(300)), Duration::from_micros(700));
        // Sometimes only one comes.
        for _ in 1..caps::AUDIT_SYNC_ALONE {
            assert_eq!(pace.rest(1, Duration::ZERO), PACE);
        }
        assert_eq!(pace.rest(1, Duration::ZERO), Duration::ZERO, "that was no chance");
        assert_eq!(pace.rest(5, Duration::from_millis(3)), Duration::ZERO, "a slow disk sets the pace");
        assert_eq!(pace.rest(caps::AUDIT_BATCH_MAX, Duration::ZERO), Duration::ZERO, "more wait");
    }
}
