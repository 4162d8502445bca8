//! Disks in memory that lose power, tear writes, fail, and wait.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use redb::StorageBackend;

/// What a disk writes in one piece.
const SECTOR_BYTES: usize = 512;

/// How long a test waits for a sync to begin.
const WAIT: Duration = Duration::from_secs(60);

/// One machine with several disks: they lose power together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rig {
    shared: Arc<(Mutex<Plan>, Condvar)>,
}

#[derive(Debug, Default)]
struct Plan {
    /// Writes, changes of length and syncs so far.
    operations: u64,
    /// The power goes before the operation of this number.
    crash_at: Option<u64>,
    /// The operation of this number fails; later ones do not.
    fail_at: Option<u64>,
    dead: bool,
    failed: bool,
    /// Syncs wait.
    held: bool,
    /// Syncs that wait now.
    waiting: u64,
}

impl Rig {
    /// The power goes before the operation that comes after `operations` more.
    pub(crate) fn crash_after(&self, operations: u64) {
        let mut plan = self.plan();
        plan.crash_at = Some(plan.operations + operations);
    }

    /// The operation that comes after `operations` more fails.
    pub(crate) fn fail_after(&self, operations: u64) {
        let mut plan = self.plan();
        plan.fail_at = Some(plan.operations + operations);
    }

    /// The power goes now.
    pub(crate) fn crash(&self) {
        self.plan().dead = true;
    }

    /// Whether the power is gone, or an operation failed.
    pub(crate) fn is_broken(&self) -> bool {
        let plan = self.plan();
        plan.dead || plan.failed
    }

    /// From now on syncs wait until [`Rig::let_sync`].
    pub(crate) fn hold_syncs(&self) {
        self.plan().held = true;
    }

    /// Waits until a sync waits.
    pub(crate) fn await_held_sync(&self) {
        let waits = self.shared.1.wait_timeout_while(self.plan(), WAIT, |plan| plan.waiting == 0);
        assert!(!waits.expect("the plan").1.timed_out(), "nothing was synced");
    }

    /// Syncs go on.
    pub(crate) fn let_sync(&self) {
        self.plan().held = false;
        self.shared.1.notify_all();
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.shared.0.lock().expect("the plan")
    }

    /// Counts an operation, and fails if it is its turn.
    fn operate(&self) -> io::Result<()> {
        let mut plan = self.plan();
        let number = plan.operations;
        plan.operations += 1;
        plan.dead |= plan.crash_at.is_some_and(|at| number >= at);
        if plan.fail_at == Some(number) {
            plan.failed = true;
            return Err(io::Error::other("planted: the operation fails"));
        }
        if plan.dead { Err(no_power()) } else { Ok(()) }
    }

    fn wait_for_leave(&self) {
        let mut plan = self.plan();
        plan.waiting += 1;
        self.shared.1.notify_all();
        let mut plan = self.shared.1.wait_while(plan, |plan| plan.held).expect("the plan");
        plan.waiting -= 1;
    }

    fn check(&self) -> io::Result<()> {
        if self.plan().dead { Err(no_power()) } else { Ok(()) }
    }
}

fn no_power() -> io::Error {
    io::Error::other("planted: the power is gone")
}

/// A disk of a [`Rig`]. Clones are the same disk.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    rig: Rig,
    content: Arc<Mutex<Content>>,
}

#[derive(Debug, Default)]
struct Content {
    /// What a crash leaves for certain.
    synced: Vec<u8>,
    /// What reads see.
    seen: Vec<u8>,
    /// What was done since the last sync.
    pending: Vec<Operation>,
}

#[derive(Debug)]
enum Operation {
    Write { offset: usize, data: Vec<u8> },
    Length(usize),
}

impl Disk {
    pub(crate) fn new(rig: &Rig, image: Vec<u8>) -> Self {
        let content = Content { synced: image.clone(), seen: image, pending: Vec::new() };
        Self { rig: rig.clone(), content: Arc::new(Mutex::new(content)) }
    }

    /// What is on the disk after the power went: everything synced, and of the rest any part, torn at any sector.
    pub(crate) fn image(&self, seed: u64) -> Vec<u8> {
        let mut random = StdRng::seed_from_u64(seed);
        let content = self.content.lock().expect("the disk");
        let mut image = content.synced.clone();
        // Now all of it, now none, now a part: each finds other faults.
        let chance = [0.0, 0.1, 0.5, 0.9, 1.0][random.random_range(0..5)];
        for operation in &content.pending {
            if !random.random_bool(chance) {
                continue;
            }
            match operation {
                Operation::Length(length) => image.resize(*length, 0),
                Operation::Write { offset, data } => {
                    let torn = random.random_bool(0.3);
                    for (sector, bytes) in data.chunks(SECTOR_BYTES).enumerate() {
                        if torn && random.random_bool(0.5) {
                            continue;
                        }
                        write_at(&mut image, offset + sector * SECTOR_BYTES, bytes);
                    }
                }
            }
        }
        image
    }

    /// What reads see.
    pub(crate) fn seen(&self) -> Vec<u8> {
        self.content.lock().expect("the disk").seen.clone()
    }
}

fn write_at(image: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(bytes);
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).expect("a small disk")
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.rig.check()?;
        Ok(self.content.lock().expect("the disk").seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.rig.check()?;
        let content = self.content.lock().expect("the disk");
        let offset = place(offset);
        let bytes = content.seen.get(offset..offset + out.len());
        out.copy_from_slice(bytes.ok_or_else(|| io::Error::other("read beyond the end"))?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.rig.operate()?;
        let mut content = self.content.lock().expect("the disk");
        content.seen.resize(place(length), 0);
        content.pending.push(Operation::Length(place(length)));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.rig.operate()?;
        self.rig.wait_for_leave();
        let mut content = self.content.lock().expect("the disk");
        let Content { synced, pending, .. } = &mut *content;
        for operation in pending.drain(..) {
            match operation {
                Operation::Length(length) => synced.resize(length, 0),
                Operation::Write { offset, data } => write_at(synced, offset, &data),
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.rig.operate()?;
        let mut content = self.content.lock().expect("the disk");
        write_at(&mut content.seen, place(offset), data);
        content.pending.push(Operation::Write { offset: place(offset), data: data.to_vec() });
        Ok(())
    }
}
