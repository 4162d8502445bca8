//! The journal of leases: a mapped file in which the word of each lease lies, so that a killed process loses nothing.
//!
//! ```text
//!  enter: identity, checksum ──▶ the lease pays ──▶ its rest is returned ──▶ the return was answered ──▶ leave: free
//!                        └────────────── killed ──────────────┴──▶ the next start returns the rest
//! ```
//!
//! - Proof is a file that this node wrote since the machine was started, in the same history, and no copy of it. Anything else,
//!   and any slot whose checksum is wrong, proves nothing: those leases stay charged (LIM-1).
//! - It also knows whether it is *complete*: every lease that earlier lives took in, since the leader last heard what they left, is in
//!   it or was returned. What else was granted to them was never spent from. A new file, and any damage, makes it incomplete
//!   until the leader has heard of it.
//! - One process at a time has it: the lock goes with the last word of the file that is in use.
//! - A lease that cannot be entered is not spent from.
//! - Nothing is ever synced: after a loss of power the boot is another one, and the file proves nothing.

mod format;
mod mapping;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use aegis_limits::cell::Cell;
use aegis_limits::lease::recovered_rest;
use aegis_model::caps;
use aegis_model::money::Micros;

use super::book::Identity;
use super::desk::lock;
use format::{
    AMOUNT, CHECKSUM, COMPLEMENT, Foreign, HEADER_BYTES, Header, INCARNATION, LEASE, LEDGER, SETTLED,
    SLOT_BYTES, SLOT_WORDS, STEPS, SlotKey, WORD,
};
use mapping::Mapping;

pub(crate) use format::Boot;

/// Bytes by which the file grows.
const STEP_BYTES: usize = caps::LEASE_SLOTS_STEP * SLOT_BYTES;

const _: () = assert!(STEP_BYTES.is_multiple_of(64 << 10), "each step begins at a page of every machine");

/// Where the words of leases lie.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    key: SlotKey,
    head: Mapping,
    complete: bool,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    steps: Vec<Arc<Mapping>>,
    free: Vec<usize>,
}

/// A lease, as it is named in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) ledger: u64,
    pub(crate) lease: u64,
    pub(crate) amount: Micros,
    pub(crate) incarnation: u64,
}

/// A place in the journal.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    step: Arc<Mapping>,
    number: usize,
}

/// The word of a lease, in its slot.
#[derive(Debug)]
pub(crate) struct SlotWord(Slot);

/// What an earlier life of this node left of a lease.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) entry: Entry,
    pub(crate) rest: Micros,
    pub(crate) slot: Slot,
}

/// No slot is free, and the file did not grow: what was granted goes back unspent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal of leases has no free slot")]
pub(crate) struct NoSlot;

/// Why there is no journal. Without one, nothing is borrowed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// The file system says no.
    #[error("the journal of leases `{}` cannot be {doing}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has it.
    #[error("the journal of leases `{}` is in use by another process", .0.display())]
    InUse(PathBuf),
}

impl Boot {
    /// Which start of the machine this is. Nothing where that cannot be told, and then no journal proves anything.
    pub(crate) fn read() -> Option<Self> {
        let mut text = Vec::new();
        let file = File::open("/proc/sys/kernel/random/boot_id").ok()?;
        file.take(64).read_to_end(&mut text).ok()?;
        text.trim_ascii().try_into().ok().map(Self)
    }
}

impl Journal {
    /// Opens the journal at `path` for `owner`, or makes a new one. Gives what earlier lives of the owner left, if the file
    /// proves that. Blocks.
    ///
    /// # Errors
    /// [`JournalError`]
    pub(crate) fn open(
        path: &Path,
        owner: &Identity,
        boot: Option<Boot>,
    ) -> Result<(Self, Vec<Recovered>), JournalError> {
        let io = |doing| move |source| JournalError::Io { doing, path: path.to_owned(), source };
        let opened = OpenOptions::new().read(true).write(true).open(path);
        match opened {
            Ok(mut file) => {
                // Held as long as the file is open: nobody else writes what is read here.
                try_lock(&file, path)?;
                match Self::read(&mut file, owner, boot).map_err(io("read"))? {
                    Ok(key) => return Self::recover(file, key, owner).map_err(io("mapped")),
                    Err(foreign) => tracing::warn!(
                        path = %path.display(), why = %foreign,
                        "the journal of leases proves nothing: what it holds stays spent"
                    ),
                }
                // The lock is held until the new file is in its place.
                Self::create(path, owner, boot)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path, owner, boot),
            Err(error) => Err(io("opened")(error)),
        }
    }

    /// Whether the file is what `owner` wrote in an earlier life; the key of its slots.
    fn read(file: &mut File, owner: &Identity, boot: Option<Boot>) -> io::Result<Result<SlotKey, Foreign>> {
        let Some(boot) = boot else { return Ok(Err(Foreign::OtherBoot)) };
        let metadata = file.metadata()?;
        let header = header(&metadata, owner, boot);
        if !metadata.is_file() || metadata.len() < HEADER_BYTES as u64 {
            return Ok(Err(Foreign::Damaged));
        }
        let mut bytes = vec![0; HEADER_BYTES];
        file.seek(SeekFrom::Start(0))?;
        file.read_exact(&mut bytes)?;
        Ok(header.check(&bytes).map(|()| header.slot_key()))
    }

    fn recover(file: File, key: SlotKey, owner: &Identity) -> io::Result<(Self, Vec<Recovered>)> {
        // A process that was killed while it grew leaves part of a step, which nobody has used.
        let steps = file.metadata()?.len().saturating_sub(HEADER_BYTES as u64) / STEP_BYTES as u64;
        let steps = steps.min((caps::LEASES_PER_NODE_MAX / caps::LEASE_SLOTS_STEP) as u64);
        let head = Mapping::of(&file, 0, HEADER_BYTES)?;
        let mut journal = Self { file, key, head, complete: true, slots: Mutex::default() };
        let all_there = journal.number(STEPS).is_some_and(|written| written <= steps);
        if !all_there || journal.number(SETTLED).is_none() {
            journal.is_incomplete();
        }
        journal.file.set_len(HEADER_BYTES as u64 + steps * STEP_BYTES as u64)?;
        let mut recovered = Vec::new();
        for step in 0..steps as usize {
            let mapping = Arc::new(map(&journal.file, step)?);
            let mut free = Vec::new();
            for number in (0..caps::LEASE_SLOTS_STEP).rev() {
                let number = step * caps::LEASE_SLOTS_STEP + number;
                let slot = Slot { step: Arc::clone(&mapping), number };
                match slot.read(&key).filter(|(entry, _)| entry.incarnation < owner.incarnation) {
                    Some((entry, rest)) => recovered.push(Recovered { entry, rest, slot }),
                    None => {
                        if !slot.is_blank() {
                            // First: whoever comes after a crash would find nothing wrong any more.
                            journal.is_incomplete();
                            slot.clear();
                        }
                        free.push(number);
                    }
                }
            }
            let mut slots = lock(&journal.slots);
            slots.free.extend(free);
            slots.steps.push(mapping);
        }
        // Low numbers first.
        lock(&journal.slots).free.sort_unstable_by(|one, other| other.cmp(one));
        Ok((journal, recovered))
    }

    /// A new file takes the place of whatever is at `path`.
    fn create(
        path: &Path,
        owner: &Identity,
        boot: Option<Boot>,
    ) -> Result<(Self, Vec<Recovered>), JournalError> {
        let io = |doing| move |source| JournalError::Io { doing, path: path.to_owned(), source };
        let mut draft = path.as_os_str().to_owned();
        draft.push(".new");
        let draft = PathBuf::from(draft);
        let made = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&draft);
        let mut file = made.map_err(io("made"))?;
        try_lock(&file, path)?;
        // Only now: another process may have been writing it.
        file.set_len(0).map_err(io("written"))?;
        // Where the start of the machine has no name, the file has one that no start has.
        let boot = boot.unwrap_or(Boot([0; 36]));
        let header = header(&file.metadata().map_err(io("made"))?, owner, boot);
        file.write_all(&header.to_bytes()).map_err(io("written"))?;
        let head = Mapping::of(&file, 0, HEADER_BYTES).map_err(io("mapped"))?;
        let key = header.slot_key();
        let journal = Self { file, key, head, complete: false, slots: Mutex::default() };
        journal.grow().map_err(io("written"))?;
        std::fs::rename(&draft, path).map_err(io("put in its place"))?;
        Ok((journal, Vec::new()))
    }

    /// A number in the header, if it stands there twice.
    fn number(&self, place: usize) -> Option<u64> {
        let read = |place| self.head.word(place).load(Ordering::Acquire);
        (read(place) == !read(place + 1)).then(|| read(place))
    }

    fn set_number(&self, place: usize, number: u64) {
        self.head.word(place).store(number, Ordering::Release);
        self.head.word(place + 1).store(!number, Ordering::Release);
    }

    /// It does not hold all that it should, and says so until the leader has heard of it.
    fn is_incomplete(&mut self) {
        self.complete = false;
        // Equal to its own complement is no number.
        self.head.word(SETTLED).store(0, Ordering::Release);
        self.head.word(SETTLED + 1).store(0, Ordering::Release);
    }

    /// Whether every lease that earlier lives took in, since the leader last heard what they left, was found or was returned.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// The leader has heard what earlier lives left, and whether that is all.
    pub(crate) fn settle(&self) {
        self.set_number(SETTLED, 1);
    }

    /// Whether it should grow before it is full.
    pub(crate) fn wants_to_grow(&self) -> bool {
        let slots = lock(&self.slots);
        slots.free.len() < caps::LEASE_SLOTS_STEP / 2
            && (slots.steps.len() + 1) * caps::LEASE_SLOTS_STEP <= caps::LEASES_PER_NODE_MAX
    }

    /// Makes room for more leases. Blocks. One at a time.
    ///
    /// # Errors
    /// What the system says; the journal is as it was.
    pub(crate) fn grow(&self) -> io::Result<()> {
        let step = lock(&self.slots).steps.len();
        // Written in full before it is mapped: a page that the disk has no room for would end the process.
        let mut file = &self.file;
        let begin = (HEADER_BYTES + step * STEP_BYTES) as u64;
        let written = file.seek(SeekFrom::Start(begin)).and_then(|_| file.write_all(&vec![0; STEP_BYTES]));
        if let Err(error) = written {
            // What was written of it is mapped by nobody.
            self.file.set_len(begin)?;
            return Err(error);
        }
        let mapping = Arc::new(map(&self.file, step)?);
        // Before a lease lies there: a file that is shorter later on was cut.
        self.set_number(STEPS, step as u64 + 1);
        let mut slots = lock(&self.slots);
        slots.steps.push(mapping);
        let numbers = step * caps::LEASE_SLOTS_STEP..(step + 1) * caps::LEASE_SLOTS_STEP;
        slots.free.splice(0..0, numbers.rev());
        Ok(())
    }

    /// A slot for a lease. When this returns, the lease may pay.
    ///
    /// # Errors
    /// [`NoSlot`]
    pub(crate) fn enter(&self, entry: Entry) -> Result<Slot, NoSlot> {
        let slot = {
            let mut slots = lock(&self.slots);
            let number = slots.free.pop().ok_or(NoSlot)?;
            let step = &slots.steps[number / caps::LEASE_SLOTS_STEP];
            Slot { step: Arc::clone(step), number }
        };
        slot.write(&self.key, entry);
        Ok(slot)
    }

    /// Frees a slot: the return of its lease was answered.
    pub(crate) fn leave(&self, slot: &Slot) {
        slot.clear();
        lock(&self.slots).free.push(slot.number);
    }
}

fn header(metadata: &std::fs::Metadata, owner: &Identity, boot: Boot) -> Header {
    let Identity { node_id, history, .. } = *owner;
    Header { boot, node: node_id, history, device: metadata.dev(), inode: metadata.ino() }
}

fn map(file: &File, step: usize) -> io::Result<Mapping> {
    Mapping::of(file, (HEADER_BYTES + step * STEP_BYTES) as u64, STEP_BYTES)
}

fn try_lock(file: &File, path: &Path) -> Result<(), JournalError> {
    file.try_lock().map_err(|refused| match refused {
        TryLockError::WouldBlock => JournalError::InUse(path.to_owned()),
        TryLockError::Error(source) => JournalError::Io { doing: "locked", path: path.to_owned(), source },
    })
}

impl Slot {
    fn word(&self, place: usize) -> &AtomicU64 {
        self.step.word(self.number % caps::LEASE_SLOTS_STEP * SLOT_WORDS + place)
    }

    /// The word of its lease.
    pub(crate) fn lease_word(&self) -> SlotWord {
        SlotWord(self.clone())
    }

    /// Writes which lease it is, the checksum last: a slot that was not written to its end proves nothing.
    fn write(&self, key: &SlotKey, entry: Entry) {
        let Entry { ledger, lease, amount, incarnation } = entry;
        SlotWord(self.clone()).store(0);
        let identity = [ledger, lease, amount.0, incarnation];
        for (place, number) in [LEDGER, LEASE, AMOUNT, INCARNATION].into_iter().zip(identity) {
            self.word(place).store(number, Ordering::Release);
        }
        self.word(CHECKSUM).store(key.checksum(self.number, identity), Ordering::Release);
    }

    /// The checksum first: what is half cleared proves nothing.
    fn clear(&self) {
        self.word(CHECKSUM).store(0, Ordering::Release);
        for place in (0..SLOT_WORDS).filter(|place| *place != CHECKSUM) {
            self.word(place).store(0, Ordering::Release);
        }
    }

    /// Whether nothing was ever written there, or all of it was cleared.
    fn is_blank(&self) -> bool {
        (0..SLOT_WORDS).all(|place| self.word(place).load(Ordering::Acquire) == 0)
    }

    /// What it proves: a lease, and what was left of it.
    fn read(&self, key: &SlotKey) -> Option<(Entry, Micros)> {
        let read = |place| self.word(place).load(Ordering::Acquire);
        let identity = [LEDGER, LEASE, AMOUNT, INCARNATION].map(read);
        let checksum = read(CHECKSUM);
        // Most slots are free, and hashing all of them would take a while.
        if checksum == 0 || checksum != key.checksum(self.number, identity) {
            return None;
        }
        let [ledger, lease, amount, incarnation] = identity;
        let amount = Micros(amount);
        let rest = |word| recovered_rest(word, amount).unwrap_or(Micros::ZERO);
        let rest = rest(read(WORD)).min(rest(!read(COMPLEMENT)));
        Some((Entry { ledger, lease, amount, incarnation }, rest))
    }
}

impl SlotWord {
    /// Brings the complement to the present word. Whoever changes the word does it, and the last one to leave finds that
    /// nothing has changed since, so that both agree whenever nobody is at it.
    fn follow(&self) {
        let (word, complement) = (self.0.word(WORD), self.0.word(COMPLEMENT));
        loop {
            let seen = word.load(Ordering::SeqCst);
            complement.store(!seen, Ordering::SeqCst);
            if word.load(Ordering::SeqCst) == seen {
                return;
            }
        }
    }
}

impl Cell for SlotWord {
    fn load(&self) -> u64 {
        self.0.word(WORD).load(Ordering::Acquire)
    }

    fn store(&self, value: u64) {
        self.0.word(WORD).store(value, Ordering::SeqCst);
        self.follow();
    }

    fn exchange(&self, seen: u64, new: u64) -> Result<(), u64> {
        let word = self.0.word(WORD);
        word.compare_exchange_weak(seen, new, Ordering::SeqCst, Ordering::SeqCst)?;
        self.follow();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
