//! Copies of a node's sealed segments somewhere else. Nothing of them is believed before it is held against what the control log
//! knows of the log: its key, and the newest checkpoint that it accepted.
//!
//! A segment is shown if the end of it is in the tree under a checkpoint that the log's key signed, and that end says where the chain
//! stands; from there each record names the one before by its hash. So no record can be changed, added or taken out of a file.
//! A file that is not there is noticed, since the next one says what came before it. What cannot be shown is told as a [`Lack`], and
//! never passed over in silence.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aegis_model::clock::UnixNanos;

use super::{Hit, Shelf};
use crate::checkpoint::Checkpoint;
use crate::hash::Hash;
use crate::heads::Opening;
use crate::keys::VerifyingKey;
use crate::pruned::{self, Stub};
use crate::record::{Chain, Record, SegmentEnd, What, envelope};
use crate::segment::{self, Segment};
use crate::tiles::{Tile, Tiles};
use crate::tree;
use crate::upload::CHECKPOINT;

/// Where the copies of one node's logs lie. Paths are below the folder of a log, their parts joined by `/`.
///
/// Contract: what is not there is nothing, and no error. [`io::ErrorKind::TimedOut`] says that the time of this question is over.
pub trait Copies: Send + Sync {
    /// The names of the files in a folder.
    ///
    /// # Errors
    /// What the place says.
    fn list(&self, life: u64, folder: &str) -> io::Result<Vec<String>>;

    /// Files, in the order of their paths.
    ///
    /// # Errors
    /// What the place says.
    fn read(&self, life: u64, files: &[String]) -> io::Result<Vec<Option<Vec<u8>>>>;

    /// The end of a file: at most so many bytes.
    ///
    /// # Errors
    /// What the place says.
    fn tail(&self, life: u64, file: &str, bytes_max: u64) -> io::Result<Option<Vec<u8>>>;
}

/// What the control log knows of a log.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its public key, which has its name.
    pub key: VerifyingKey,
    /// Size and root of the newest checkpoint that was accepted; nothing before the first.
    pub accepted: Option<(u64, Hash)>,
    /// Whether the log ended there.
    pub closed: bool,
    /// Whether its records may be wanted; of another one, only the key counts.
    pub wanted: bool,
}

/// Why something of a log was not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// There is no copy of it.
    NotCopied,
    /// The copy ends before the log did, or files of it are missing.
    Incomplete,
    /// The copy is not what the log's key signed: nothing of that is shown.
    Refused,
    /// The place cannot be read now.
    Unreadable,
}

impl Lack {
    /// The stable code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotCopied => "not_copied",
            Self::Incomplete => "copy_incomplete",
            Self::Refused => "copy_refused",
            Self::Unreadable => "store_unreadable",
        }
    }
}

/// The copies of one node's logs, verified. For one question.
pub struct CopyShelf<'c> {
    copies: &'c dyn Copies,
    known: BTreeMap<u64, Known>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lacks: BTreeSet<(u64, Lack)>,
    /// The signed size and root of each copy that was looked at; nothing of one that cannot be shown.
    logs: HashMap<u64, Option<Signed>>,
    /// The segments of the chain that is asked for, by life.
    listed: HashMap<u64, Listed>,
    tiles: HashMap<(u64, Tile), Vec<u8>>,
    /// Whether a segment was shown: then the next page can go on where the time was over.
    progressed: bool,
    /// The place failed: it is not asked again by this question.
    down: bool,
}

#[derive(Clone, Copy)]
struct Signed {
    size: u64,
    root: Hash,
}

#[derive(Clone, Default)]
struct Listed {
    numbers: Vec<u64>,
    /// Number and entry of the newest record that retention deleted.
    pruned: Option<(u64, Hash)>,
}

/// Why a file is not shown.
enum Bad {
    Lack(Lack),
    Failed(io::Error),
}

impl From<Lack> for Bad {
    fn from(lack: Lack) -> Self {
        Self::Lack(lack)
    }
}

impl From<io::Error> for Bad {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// Longer than the line `head` of any file: 64 hashes of a proof, and what stands before them.
const HEAD_BYTES_MAX: u64 = 8 << 10;

impl<'c> CopyShelf<'c> {
    /// What `copies` has of the logs in `known`, by their lives.
    pub fn new(copies: &'c dyn Copies, known: BTreeMap<u64, Known>) -> Self {
        Self { copies, known, state: Mutex::default() }
    }

    /// What was not looked at so far, by life.
    pub fn lacks(&self) -> Vec<(u64, Lack)> {
        self.lock().lacks.iter().copied().collect()
    }

    /// Takes out of `hits` what does not stand in its log where its copy says, and so what its receipt would be wrong about.
    pub fn vouch(&self, hits: &mut Vec<Hit>) {
        let of_here = |hit: &&Hit| self.known.get(&hit.life).is_some_and(|known| known.wanted);
        let places: BTreeSet<(u64, u64)> = hits
            .iter()
            .filter(of_here)
            .flat_map(|hit| {
                let links = hit.links.iter().map(|link| (hit.life, link.index));
                links.chain([(hit.life, hit.index)])
            })
            .collect();
        if let Err(error) = self.fetch_tiles(&places) {
            places.iter().for_each(|(life, _)| self.failed(*life, &error));
        }
        hits.retain_mut(|hit| {
            if !of_here(&&*hit) {
                return true;
            }
            let (life, links) = (hit.life, hit.links.len());
            hit.links.retain(|link| self.stands(life, link.index, &link.leaf));
            hit.links_partial |= hit.links.len() < links;
            self.stands(life, hit.index, &hit.leaf())
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lack(&self, life: u64, lack: Lack) {
        self.lock().lacks.insert((life, lack));
    }

    fn failed(&self, life: u64, error: &io::Error) {
        tracing::debug!(life, %error, "a copy of an audit log cannot be read");
        let mut state = self.lock();
        state.lacks.insert((life, Lack::Unreadable));
        state.down = true;
    }

    fn read(&self, life: u64, file: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.copies.read(life, &[file.to_owned()])?.pop().flatten())
    }

    /// What the copy of a log is signed for; nothing if it cannot be shown, which is told.
    fn signed(&self, life: u64) -> io::Result<Option<Signed>> {
        if let Some(signed) = self.lock().logs.get(&life) {
            return Ok(*signed);
        }
        let Some(known) = self.known.get(&life) else { return Ok(None) };
        let signed = match self.read(life, CHECKPOINT)? {
            None => Err(Lack::NotCopied),
            Some(note) => Checkpoint::open(&note, &known.key).map_err(|_forged| Lack::Refused),
        };
        let signed = signed.and_then(|it| match known.accepted {
            Some((size, root)) if size == it.size && root != it.root => Err(Lack::Refused),
            accepted => {
                if accepted.is_some_and(|(size, _)| it.size < size) {
                    self.lack(life, Lack::Incomplete);
                }
                Ok(Signed { size: it.size, root: it.root })
            }
        });
        let signed = signed.map_err(|lack| self.lack(life, lack)).ok();
        self.lock().logs.insert(life, signed);
        Ok(signed)
    }

    fn list(&self, life: u64, chain: &Chain) -> io::Result<Listed> {
        if self.lock().down {
            self.lack(life, Lack::Unreadable);
            return Ok(Listed::default());
        }
        let Some(signed) = self.signed(life)? else { return Ok(Listed::default()) };
        let folder = folder(chain);
        let names = self.copies.list(life, &folder)?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment::number(name)).collect();
        numbers.sort_unstable();
        let mut pruned = None;
        if names.iter().any(|name| name == pruned::NAME) {
            match self.pruned(life, signed, chain) {
                Ok(stub) => {
                    numbers.retain(|number| *number > stub.segment);
                    pruned = Some((stub.opening.seq, stub.opening.entry));
                }
                Err(Bad::Lack(lack)) => self.lack(life, lack),
                Err(Bad::Failed(error)) => return Err(error),
            }
        }
        if let Some(newest) = numbers.last()
            && self.ends_later(life, *newest)?
        {
            self.lack(life, Lack::Incomplete);
        }
        let listed = Listed { numbers, pruned };
        self.lock().listed.insert(life, listed.clone());
        Ok(listed)
    }

    /// Whether a log that ended has a later end than this segment: there every chain has a file.
    fn ends_later(&self, life: u64, newest: u64) -> io::Result<bool> {
        if !self.known.get(&life).is_some_and(|known| known.closed) {
            return Ok(false);
        }
        let names = self.copies.list(life, &folder(&Chain::Log))?;
        Ok(names.iter().filter_map(|name| segment::number(name)).any(|number| number > newest))
    }

    /// What retention deleted, if that is proved.
    fn pruned(&self, life: u64, signed: Signed, chain: &Chain) -> Result<Stub, Bad> {
        let bytes = self.read(life, &format!("{}/{}", folder(chain), pruned::NAME))?;
        let stub = Stub::read(&bytes.ok_or(Lack::Incomplete)?).filter(|stub| stub.chain == *chain);
        let stub = stub.ok_or(Lack::Refused)?;
        let end = self.end(life, signed, stub.segment)?;
        let keys: Vec<&VerifyingKey> = self.known.values().map(|known| &known.key).collect();
        let origin = self.origin(life).ok_or(Lack::Refused)?;
        stub.verify(origin, &end, &keys).map_err(|_unsound| Lack::Refused)?;
        Ok(stub)
    }

    fn origin(&self, life: u64) -> Option<&str> {
        self.known.get(&life).map(|known| known.key.name().as_str())
    }

    /// The end of a segment, which is in the log.
    fn end(&self, life: u64, signed: Signed, number: u64) -> Result<(SegmentEnd, UnixNanos), Bad> {
        let file = format!("{}/{}", folder(&Chain::Log), segment::file_name(number));
        let bytes = self.read(life, &file)?.ok_or(Lack::Incomplete)?;
        let read = segment::read(&bytes).filter(|it| it.number == number && it.chain == Chain::Log);
        let read = read.ok_or(Lack::Refused)?;
        let (index, last) = read.records.last().ok_or(Lack::Refused)?;
        let record = Record::read(last).map_err(|_malformed| Lack::Refused)?;
        let What::SegmentEnd(end) = record.what else { return Err(Lack::Refused.into()) };
        if end.at >= signed.size {
            // It was put for the next checkpoint, which is not there.
            return Err(Lack::Incomplete.into());
        }
        let leaf = tree::leaf(&Hash::of(last).0);
        let is_end = end.at == *index && end.segment == number && record.chain == Chain::Log;
        if !is_end || !self.is_included(life, signed, *index, &leaf)? {
            return Err(Lack::Refused.into());
        }
        Ok((end, record.at))
    }

    /// The file of a chain, once all of it is what the log says.
    fn verified(&self, life: u64, number: u64, chain: &Chain) -> Result<Vec<u8>, Bad> {
        let Some(signed) = self.signed(life)? else { return Err(Lack::Refused.into()) };
        let (end, _) = self.end(life, signed, number)?;
        let folder = folder(chain);
        let bytes = self.read(life, &format!("{folder}/{}", segment::file_name(number)))?;
        let bytes = bytes.ok_or(Lack::Incomplete)?;
        let origin = self.origin(life).ok_or(Lack::Refused)?;
        let read = segment::read(&bytes)
            .filter(|it| it.origin == origin && it.number == number && it.chain == *chain)
            .ok_or(Lack::Refused)?;
        let before = before(&read, &end).ok_or(Lack::Refused)?;
        if let Some(before) = before {
            let listed = self.lock().listed.get(&life).cloned().unwrap_or_default();
            let there = match listed.numbers.iter().rev().find(|lower| **lower < number) {
                Some(lower) => self.head(life, &folder, *lower)?.map(|head| (head.seq, head.entry)),
                None => listed.pruned,
            };
            if there != Some(before) {
                self.lack(life, Lack::Incomplete);
            }
        }
        Ok(bytes)
    }

    /// Where a file says that its chain stands. Nothing is shown by it alone.
    fn head(&self, life: u64, folder: &str, number: u64) -> io::Result<Option<Opening>> {
        let file = format!("{folder}/{}", segment::file_name(number));
        let tail = self.copies.tail(life, &file, HEAD_BYTES_MAX)?;
        Ok(tail.and_then(|tail| {
            let whole = tail.strip_suffix(b"\n")?;
            let line = whole.rsplit(|byte| *byte == b'\n').next()?;
            Opening::read_line(std::str::from_utf8(line).ok()?)
        }))
    }

    fn stands(&self, life: u64, index: u64, leaf: &Hash) -> bool {
        let stands = self.signed(life).and_then(|signed| match signed {
            Some(signed) => self.is_included(life, signed, index, leaf),
            None => Ok(false),
        });
        match stands {
            Ok(true) => true,
            Ok(false) => {
                self.lack(life, Lack::Refused);
                false
            }
            Err(error) => {
                self.failed(life, &error);
                false
            }
        }
    }

    fn is_included(&self, life: u64, signed: Signed, index: u64, leaf: &Hash) -> io::Result<bool> {
        let Signed { size, root } = signed;
        if index >= size {
            return Ok(false);
        }
        let tiles = Tiles::new(size, |tile: &Tile| self.tile(life, tile));
        match tree::inclusion(&tiles, index, size) {
            Ok(proof) => Ok(tree::verify_inclusion(index, size, leaf, &proof, &root).is_ok()),
            Err(missing) => match missing.source {
                Some(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Some(_) | None => Ok(false),
            },
        }
    }

    fn tile(&self, life: u64, tile: &Tile) -> io::Result<Vec<u8>> {
        if let Some(bytes) = self.lock().tiles.get(&(life, *tile)) {
            return Ok(bytes.clone());
        }
        let bytes = self.read(life, &tile.to_string())?.ok_or(io::ErrorKind::NotFound)?;
        self.lock().tiles.insert((life, *tile), bytes.clone());
        Ok(bytes)
    }

    /// Gets the lowest tiles of these places, life by life: there are as many as hits lie far apart.
    fn fetch_tiles(&self, places: &BTreeSet<(u64, u64)>) -> io::Result<()> {
        let mut wanted: BTreeMap<u64, BTreeSet<Tile>> = BTreeMap::new();
        for (life, index) in places {
            let Some(Signed { size, .. }) = self.signed(*life)? else { continue };
            let first = index / 256 * 256;
            let width = size.saturating_sub(first).min(256) as u16;
            let tile = Tile { level: Some(0), index: index / 256, width };
            if width > 0 && !self.lock().tiles.contains_key(&(*life, tile)) {
                wanted.entry(*life).or_default().insert(tile);
            }
        }
        for (life, tiles) in wanted {
            let files: Vec<String> = tiles.iter().map(Tile::to_string).collect();
            let read = self.copies.read(life, &files)?;
            let mut state = self.lock();
            for (tile, bytes) in tiles.into_iter().zip(read) {
                bytes.into_iter().for_each(|bytes| drop(state.tiles.insert((life, tile), bytes)));
            }
        }
        Ok(())
    }

    /// Whether a question whose time is over can go on with its next page.
    fn goes_on(&self, error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::TimedOut && self.lock().progressed
    }
}

impl Shelf for CopyShelf<'_> {
    fn lives(&self) -> io::Result<Vec<u64>> {
        Ok(self.known.iter().filter(|(_, known)| known.wanted).map(|(life, _)| *life).collect())
    }

    fn segments(&self, life: u64, chain: &Chain) -> io::Result<Vec<u64>> {
        if !self.known.get(&life).is_some_and(|known| known.wanted) {
            return Ok(Vec::new());
        }
        match self.list(life, chain) {
            Ok(listed) => Ok(listed.numbers),
            Err(error) if self.goes_on(&error) => Err(error),
            Err(error) => {
                self.failed(life, &error);
                Ok(Vec::new())
            }
        }
    }

    fn read(&self, life: u64, segment: u64, chain: &Chain) -> io::Result<Vec<u8>> {
        let listed = self.lock().listed.get(&life).is_some_and(|listed| listed.numbers.contains(&segment));
        if !listed {
            return Err(io::ErrorKind::NotFound.into());
        }
        if self.lock().down {
            self.lack(life, Lack::Unreadable);
            return Err(io::ErrorKind::NotFound.into());
        }
        match self.verified(life, segment, chain) {
            Ok(bytes) => {
                self.lock().progressed = true;
                return Ok(bytes);
            }
            Err(Bad::Failed(error)) if self.goes_on(&error) => return Err(error),
            Err(Bad::Failed(error)) => self.failed(life, &error),
            Err(Bad::Lack(lack)) => self.lack(life, lack),
        }
        Err(io::ErrorKind::NotFound.into())
    }
}

impl std::fmt::Debug for CopyShelf<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopyShelf").finish_non_exhaustive()
    }
}

/// Holds the records of a file against the end of its segment: what stood before the first of them (nothing, if it is the first of its
/// chain); nothing at all if they are not what the log says.
fn before(read: &Segment<'_>, end: &SegmentEnd) -> Option<Option<(u64, Hash)>> {
    let head = read.opening.as_ref().filter(|head| head.end == end.at)?;
    head.verify(&read.chain, end.heads, &end.heads_root).ok()?;
    let chain = read.chain.to_string();
    // Backwards: each record has to be the one that the next names.
    let (mut seq, mut entry, mut below) = (head.seq, head.entry, end.at);
    for (index, bytes) in read.records.iter().rev() {
        let envelope = envelope(bytes).ok()?;
        let here =
            *index < below && envelope.seq == seq && Hash::of(bytes) == entry && envelope.chain == chain;
        if !here {
            return None;
        }
        below = *index;
        match envelope.prev {
            Some(prev) if seq > 1 => (seq, entry) = (seq - 1, prev),
            // The first of its chain: nothing can stand above it in this file.
            None if seq == 1 => return (*index == read.records.first()?.0).then_some(None),
            Some(_) | None => return None,
        }
    }
    Some(Some((seq, entry)))
}

/// The folder of a chain, below the folder of a log.
fn folder(chain: &Chain) -> String {
    let folder = segment::folder(chain);
    let parts: Vec<_> = folder.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}
