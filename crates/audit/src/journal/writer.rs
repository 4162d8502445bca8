//! The end of a log that grows: puts records into frames, writes, syncs, signs, and begins the next segment.
//!
//! Everything here happens in order in one thread. After any error the writer is not used any more.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use aegis_model::caps;
use aegis_model::clock::{Clock, Monotonic};
use rand::CryptoRng;

use super::disk::{Disk, DiskFile, write_whole};
use super::error::NotKept;
use super::frame::{Head, Kind, New, Place, Standing};
use super::live::{Live, Signed};
use super::ticket::Placed;
use super::{Durability, Means, Settings};
use crate::checkpoint::Checkpoint;
use crate::hash::Hash;
use crate::heads::{HeadKeys, Heads};
use crate::keys::SigningKey;
use crate::record::{Chain, Draft, RecordId, SegmentEnd, What};
use crate::tree::{self, Compact};

/// The parts of an open log that its threads share.
#[derive(Clone)]
pub(super) struct Log {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) folder: PathBuf,
    pub(super) key: SigningKey,
    pub(super) live: Arc<Live>,
}

impl Log {
    /// Its origin, which is also the name of its key.
    pub(super) fn origin(&self) -> &str {
        self.key.verifying_key().name().as_str()
    }

    pub(super) fn wal(&self) -> PathBuf {
        self.folder.join("wal")
    }

    pub(super) fn wal_file(&self, segment: u64) -> PathBuf {
        self.wal().join(format!("{segment:08}.wal"))
    }

    pub(super) fn head_keys(&self) -> HeadKeys {
        HeadKeys::new(&self.key.to_seed())
    }

    /// Signs the head of a tree.
    pub(super) fn sign(&self, tree: &Compact) -> Signed {
        let origin = self.key.verifying_key().name().clone();
        let checkpoint = Checkpoint { origin, size: tree.size(), root: tree.root() };
        let note = checkpoint.sign(&self.key).to_bytes();
        Signed { checkpoint, note }
    }
}

pub(super) struct Writer {
    log: Log,
    clock: Clock,
    randomness: Box<dyn CryptoRng + Send>,
    settings: Settings,
    file: Box<dyn DiskFile>,
    place: Place,
    segment: u64,
    /// Bytes of the file.
    offset: u64,
    /// How many of them are known to be on disk.
    synced: u64,
    /// Frames that are not written yet.
    waiting: Vec<u8>,
    leaves: Vec<Hash>,
    chains: HashMap<Chain, Standing>,
    tree: Compact,
    /// The size of the newest checkpoint, and when it was made.
    checked: (u64, Monotonic),
    /// When the first record of the segment was put.
    first: Option<Monotonic>,
}

/// Where a writer goes on.
pub(super) struct Resume {
    pub(super) file: Box<dyn DiskFile>,
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) chains: HashMap<Chain, Standing>,
    pub(super) tree: Compact,
}

impl Writer {
    pub(super) fn new(log: Log, means: Means, from: Resume) -> Self {
        let Means { clock, randomness, settings } = means;
        let place = Place::new(log.origin(), from.segment);
        let checked = (from.tree.size(), clock.monotonic());
        Self {
            log,
            clock,
            randomness,
            settings,
            file: from.file,
            place,
            segment: from.segment,
            offset: from.offset,
            synced: from.offset,
            waiting: Vec::new(),
            leaves: Vec::new(),
            chains: from.chains,
            tree: from.tree,
            checked,
            // What was there before counts from now.
            first: None,
        }
    }

    /// Puts a record at the end. Whether it may be acknowledged before a sync is the second answer: never the first
    /// record of a chain that does not wait, since only a synced mark tells a later reader that a gap is possible.
    pub(super) fn put(&mut self, draft: &Draft, durability: Durability) -> Result<(Placed, bool), NotKept> {
        let before = self.chains.get(draft.chain()).copied();
        // One place is kept for the chain `log`, without which no segment could end.
        let others = self.chains.len() - usize::from(self.chains.contains_key(&Chain::Log));
        if before.is_none() && *draft.chain() != Chain::Log && others >= caps::AUDIT_CHAINS_MAX - 1 {
            return Err(NotKept::Chains);
        }
        let record = draft.complete(before.map_or(1, |it| it.seq + 1), before.map(|it| it.entry));
        let relaxed = durability == Durability::Written;
        let standing = Standing::after(before, record.entry, relaxed);
        let Self { place, waiting, offset, synced, .. } = self;
        place.put(waiting, *offset, *synced, &New::record(&record, relaxed));
        let leaf = tree::leaf(&record.entry.0);
        let placed =
            Placed { index: self.tree.size(), entry: record.entry, leaf, id: draft.id(), seq: standing.seq };
        self.tree.push(leaf);
        self.leaves.push(leaf);
        if self.first.is_none() {
            self.first = Some(self.clock.monotonic());
        }
        match self.chains.get_mut(draft.chain()) {
            Some(kept) => *kept = standing,
            None => drop(self.chains.insert(draft.chain().clone(), standing)),
        }
        Ok((placed, relaxed && before.is_some_and(|it| it.relaxed)))
    }

    /// Hands what was put to the system.
    pub(super) fn write(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.file.append(&self.waiting)?;
        let written = self.waiting.len() as u64;
        self.offset += written;
        self.log.live.counts.bytes.fetch_add(written, Ordering::Relaxed);
        self.waiting.clear();
        self.log.live.extend(self.leaves.drain(..));
        Ok(())
    }

    /// Writes, and brings everything to the disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.write()?;
        if self.synced < self.offset {
            let began = self.clock.monotonic();
            self.file.sync()?;
            self.synced = self.offset;
            self.log.live.counts.synced(self.clock.monotonic().since(began));
        }
        Ok(())
    }

    /// How long until a checkpoint is due; nothing while there is nothing new.
    pub(super) fn due_in(&self) -> Option<std::time::Duration> {
        let new = self.tree.size() - self.checked.0;
        if new == 0 {
            return None;
        }
        if new >= self.settings.checkpoint_entries {
            return Some(std::time::Duration::ZERO);
        }
        Some(self.settings.checkpoint_after.saturating_sub(self.clock.monotonic().since(self.checked.1)))
    }

    /// How long until something is due by itself; nothing while there is nothing new.
    pub(super) fn wakes_in(&self) -> Option<std::time::Duration> {
        let left = |first| self.settings.segment_after.saturating_sub(self.clock.monotonic().since(first));
        let (checkpoint, end) = (self.due_in(), self.first.map(left));
        checkpoint.min(end).or(checkpoint).or(end)
    }

    /// Signs what there is, after it was synced (AUD-1: what a checkpoint says survives any crash).
    pub(super) fn checkpoint(&mut self) -> io::Result<Arc<Signed>> {
        self.sync()?;
        let signed = Arc::new(self.log.sign(&self.tree));
        self.checked = (self.tree.size(), self.clock.monotonic());
        let Self { place, waiting, offset, synced, .. } = self;
        // Not synced by itself: it only says again what is on disk, and how far.
        place.put(waiting, *offset, *synced, &New::own(Kind::Checkpoint, &signed.note));
        self.write()?;
        self.log.live.publish(Arc::clone(&signed));
        self.log.live.counts.checkpoints.fetch_add(1, Ordering::Relaxed);
        Ok(signed)
    }

    /// Whether the segment is long enough, or old enough: what is not sealed is neither copied nor pruned.
    pub(super) fn is_full(&self) -> bool {
        let old = |first| self.clock.monotonic().since(first) >= self.settings.segment_after;
        self.offset >= self.settings.segment_bytes || self.first.is_some_and(old)
    }

    /// Ends the segment: its last record commits to every chain, and is on disk afterwards.
    pub(super) fn end(&mut self, last: bool) -> io::Result<(u64, Arc<Signed>)> {
        let id = RecordId::random(&mut self.randomness);
        let keys = self.log.head_keys();
        let others = self.chains.iter().filter(|(chain, _)| **chain != Chain::Log);
        let heads = Heads::new(&keys, id, others.map(|(chain, it)| (chain, it.seq, it.entry)));
        let end = SegmentEnd {
            at: self.tree.size(),
            heads: heads.len(),
            heads_root: heads.root(),
            last,
            segment: self.segment,
        };
        self.put_as(Chain::Log, id, &What::SegmentEnd(end))?;
        let signed = self.checkpoint()?;
        // The checkpoint's frame as well: the file is whole before another one begins.
        self.sync()?;
        self.log.live.counts.segments.fetch_add(1, Ordering::Relaxed);
        Ok((self.segment, signed))
    }

    /// Puts a record of the journal's own.
    pub(super) fn put_own(&mut self, chain: Chain, what: &What) -> io::Result<()> {
        let id = RecordId::random(&mut self.randomness);
        self.put_as(chain, id, what)
    }

    fn put_as(&mut self, chain: Chain, id: RecordId, what: &What) -> io::Result<()> {
        let draft = Draft::new(self.clock.now(), chain, id, what).map_err(io::Error::other)?;
        self.put(&draft, Durability::Synced).map_err(io::Error::other)?;
        Ok(())
    }

    /// Begins the next segment.
    pub(super) fn next(&mut self) -> io::Result<()> {
        let chains: Vec<_> = self.chains.iter().map(|(chain, standing)| (chain.clone(), *standing)).collect();
        let head = Head { segment: self.segment + 1, start: self.tree.size(), chains };
        let (file, offset) = begin(&self.log, &head)?;
        self.file = file;
        self.segment += 1;
        self.place = Place::new(self.log.origin(), self.segment);
        (self.offset, self.synced) = (offset, offset);
        self.first = None;
        Ok(())
    }

    /// Shortest time between the beginnings of two syncs, while records come together.
    pub(super) fn sync_pace(&self) -> std::time::Duration {
        self.settings.sync_pace
    }

    /// Where its time comes from.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How every chain stands.
    pub(super) fn chains(&self) -> &HashMap<Chain, Standing> {
        &self.chains
    }
}

/// Makes the file of a segment, with its first frame, on disk under its final name.
pub(super) fn begin(log: &Log, head: &Head) -> io::Result<(Box<dyn DiskFile>, u64)> {
    let path = log.wal_file(head.segment);
    let bytes = first_frame(log.origin(), head);
    write_whole(&*log.disk, &path, &bytes)?;
    log.disk.sync_dir(&log.wal())?;
    Ok((log.disk.grow(&path)?, bytes.len() as u64))
}

pub(super) fn first_frame(origin: &str, head: &Head) -> Vec<u8> {
    let mut bytes = Vec::new();
    let text = head.to_text();
    Place::new(origin, head.segment).put(&mut bytes, 0, 0, &New::own(Kind::Head, text.as_bytes()));
    bytes
}

/// Makes the folders of `path` below `folder`, and syncs those that hold their names.
pub(super) fn make_dirs(disk: &dyn Disk, folder: &Path, below: &Path) -> io::Result<()> {
    let mut at = folder.to_owned();
    for part in below.components() {
        disk.create_dir(&at.join(part))?;
        disk.sync_dir(&at)?;
        at.push(part);
    }
    Ok(())
}
