//! Seals an ended segment: its records go to the files of their chains, its entries to tiles, and the file that it grew in
//! goes away. Done again after a crash, it gives the same files.
//!
//! All of it goes by in small parts: sealing runs beside decisions, on the same processors.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aegis_model::clock::{Clock, Monotonic};

use super::disk::{Disk, DiskFile, begin_whole, end_whole, write_whole};
use super::error::JournalError;
use super::frame::{Frame, Frames, Head, Kind, Place, Standing};
use super::writer::{Log, make_dirs};
use crate::heads::Heads;
use crate::record::{Chain, Record, RecordId, SegmentEnd, What, chain_text};
use crate::segment::{Builder, file_name, folder};
use crate::tiles::{Maker, Tile};

/// Bytes of a chain's file that are gathered before they are written.
const PART_BYTES: usize = 256 << 10;

/// How long the sealer works at least before it rests, how many times as long as it worked it does so, and how long at most.
const WORKS: Duration = Duration::from_millis(1);
const RESTS: u32 = 3;
const RESTS_MAX: Duration = Duration::from_millis(20);

/// Makes the tiles as segment after segment is sealed.
pub(super) struct Sealer {
    log: Log,
    maker: Maker,
}

/// A segment on its way into its files.
struct Sealing<'s> {
    log: &'s Log,
    number: u64,
    maker: Maker,
    /// The chains by their names.
    chains: BTreeMap<String, Part>,
    /// Whole tiles and bundles.
    tiles: Vec<(PathBuf, Vec<u8>)>,
    /// The newest record of the chain `log`, and its index.
    end: Option<(u64, Vec<u8>)>,
}

/// What is sealed of one chain.
struct Part {
    chain: Chain,
    standing: Option<Standing>,
    /// Nothing while it has no record in this segment.
    text: Option<Builder>,
    /// Where the beginning of a long text is already.
    file: Option<Box<dyn DiskFile>>,
}

impl Sealer {
    /// Goes on after the first `size` entries, which are sealed.
    pub(super) fn resume(log: Log, size: u64) -> Result<Self, JournalError> {
        let read = |tile: &Tile| log.disk.read(&log.folder.join(tile.to_string()));
        let maker = Maker::resume(size, read).map_err(|missing| JournalError::Damaged {
            path: log.folder.join(missing.tile.to_string()),
            what: "a tile of what was sealed is missing",
        })?;
        Ok(Self { log, maker })
    }

    /// The tree over what is sealed.
    pub(super) fn maker(&self) -> &Maker {
        &self.maker
    }

    /// Seals segment `number`, whose end is on disk. As long as it `may_rest`, it leaves most of the time to others.
    pub(super) fn seal(&mut self, number: u64, may_rest: &dyn Fn() -> bool) -> Result<(), JournalError> {
        let (path, folder) = (self.log.wal_file(number), self.log.folder.clone());
        let mut rest = Rest { may: may_rest, since: Clock::System.monotonic() };
        let sealing = Sealing::read(&self.log, self.maker.clone(), number, &mut rest);
        let maker =
            sealing.and_then(|sealing| sealing.finish(&mut rest)).map_err(|stopped| match stopped {
                Stopped::Damage(what) => JournalError::Damaged { path: path.clone(), what },
                Stopped::Reading(error) => file(&path, "cannot be read")(error),
                Stopped::Writing(error) => file(&folder, "cannot be written")(error),
            })?;
        let old = std::mem::replace(&mut self.maker, maker);
        self.log.disk.remove(&path).map_err(file(&path, "cannot be removed"))?;
        self.log.disk.sync_dir(&self.log.wal()).map_err(file(&folder, "cannot be synced"))?;
        let forget = || self.forget(&old);
        self.log.live.sealed(self.maker.size(), forget).map_err(file(&folder, "cannot be cleaned"))
    }

    /// Removes what only the tree of `old` needed.
    fn forget(&self, old: &Maker) -> io::Result<()> {
        let wanted: BTreeSet<Tile> = self.maker.parts().into_iter().map(|(tile, _)| tile).collect();
        for (tile, _) in old.parts().into_iter().filter(|(tile, _)| !wanted.contains(tile)) {
            remove_if_there(&*self.log.disk, &self.log.folder.join(tile.to_string()))?;
        }
        Ok(())
    }
}

/// Why a segment is not sealed.
enum Stopped {
    Reading(io::Error),
    Writing(io::Error),
    Damage(&'static str),
}

impl<'s> Sealing<'s> {
    /// Goes through the file of an ended segment.
    fn read(log: &'s Log, maker: Maker, number: u64, rest: &mut Rest<'_>) -> Result<Self, Stopped> {
        let path = log.wal_file(number);
        let mut frames = Frames::new(&*log.disk, &path, Place::new(log.origin(), number));
        let first = frames.next().map_err(Stopped::Reading)?;
        let head = first.and_then(|frame| frame.head()).ok_or(Stopped::Damage("it has no head"))?;
        if head.start != maker.size() {
            return Err(Stopped::Damage("it does not follow what was sealed before"));
        }
        let known = |(chain, standing): (Chain, Standing)| {
            (chain.to_string(), Part { chain, standing: Some(standing), text: None, file: None })
        };
        let chains = head.chains.into_iter().map(known).collect();
        let mut sealing = Self { log, number, maker, chains, tiles: Vec::new(), end: None };
        while let Some(frame) = frames.next().map_err(Stopped::Reading)? {
            if frame.kind == Kind::Record {
                sealing.record(&frame)?;
            }
            rest.rest();
        }
        if frames.ends().map_err(Stopped::Reading)? {
            Ok(sealing)
        } else {
            Err(Stopped::Damage("it is cut off"))
        }
    }

    /// One more record.
    fn record(&mut self, frame: &Frame<'_>) -> Result<(), Stopped> {
        let index = self.maker.size();
        let name = chain_text(frame.body).ok_or(Stopped::Damage("a record has no chain"))?;
        if !self.chains.contains_key(name) {
            let chain = name.parse().map_err(|_withheld| Stopped::Damage("a record has no chain"))?;
            self.chains.insert(name.to_owned(), Part { chain, standing: None, text: None, file: None });
        }
        let Some(part) = self.chains.get_mut(name) else { return Ok(()) };
        part.standing = Some(Standing::after(part.standing, frame.hash, frame.relaxed));
        let new = || Builder::new(self.log.origin(), self.number, name);
        let text = part.text.get_or_insert_with(new);
        text.record(index, frame.body);
        if text.text.len() >= PART_BYTES {
            part.write_ahead(self.log, self.number).map_err(Stopped::Writing)?;
        }
        if part.chain == Chain::Log {
            self.end = Some((index, frame.body.to_vec()));
        }
        let tiles = &mut self.tiles;
        self.maker.push(frame.hash, |tile, bytes| tiles.push((PathBuf::from(tile.to_string()), bytes)));
        Ok(())
    }

    /// The record that ends the segment.
    fn end(&self) -> Option<(RecordId, SegmentEnd)> {
        let (index, bytes) = self.end.as_ref()?;
        match Record::read(bytes).ok()? {
            Record { what: What::SegmentEnd(end), id, .. } if index + 1 == self.maker.size() => {
                Some((id, end))
            }
            _ => None,
        }
    }

    /// Writes all files and brings them to the disk; the checkpoint last, so that it never speaks of what is not there.
    fn finish(mut self, rest: &mut Rest<'_>) -> Result<Maker, Stopped> {
        let (id, end) = self.end().ok_or(Stopped::Damage("it has no end"))?;
        let keys = self.log.head_keys();
        let standing = |part: &Part| part.standing.map(|it| (it.seq, it.entry));
        let others = self.chains.values().filter(|part| part.chain != Chain::Log);
        let others = others.filter_map(|part| standing(part).map(|(seq, entry)| (&part.chain, seq, entry)));
        let heads = Heads::new(&keys, id, others);
        if (heads.root(), heads.len()) != (end.heads_root, end.heads) {
            return Err(Stopped::Damage("its end does not commit to its chains"));
        }
        let mut parts = Vec::new();
        for (name, mut part) in std::mem::take(&mut self.chains) {
            // Where the log ends, every chain is told where it stands; before, those that have records here.
            if end.last {
                part.text.get_or_insert_with(|| Builder::new(self.log.origin(), self.number, &name));
            }
            let stands = standing(&part);
            if let (Some(text), Some((seq, entry))) = (&mut part.text, stands) {
                let opening = heads.open(&keys, (end.at, id), &part.chain, seq, entry);
                text.finish(opening.as_ref().filter(|_| part.chain != Chain::Log));
                parts.push(part);
            }
        }
        self.write(parts, rest).map_err(Stopped::Writing)?;
        Ok(self.maker)
    }

    fn write(&mut self, parts: Vec<Part>, rest: &mut Rest<'_>) -> io::Result<()> {
        let (disk, below) = (&*self.log.disk, |path: &Path| self.log.folder.join(path));
        let maker = self.maker.parts().into_iter();
        self.tiles.extend(maker.map(|(tile, bytes)| (PathBuf::from(tile.to_string()), bytes)));
        let mut parents: BTreeSet<PathBuf> = parts.iter().map(|part| folder(&part.chain)).collect();
        parents.extend(self.tiles.iter().filter_map(|(path, _)| path.parent()).map(Path::to_owned));
        for parent in &parents {
            make_dirs(disk, &self.log.folder, parent)?;
        }
        for part in parts {
            part.finish(self.log, self.number)?;
            rest.rest();
        }
        for (path, bytes) in &self.tiles {
            write_whole(disk, &below(path), bytes)?;
            rest.rest();
        }
        for parent in &parents {
            disk.sync_dir(&below(parent))?;
        }
        let signed = self.log.sign(&self.maker.compact());
        write_whole(disk, &below(Path::new("checkpoint")), &signed.note)?;
        disk.sync_dir(&self.log.folder)
    }
}

impl Part {
    fn path(&self, log: &Log, segment: u64) -> PathBuf {
        log.folder.join(folder(&self.chain)).join(file_name(segment))
    }

    /// Writes what is gathered, under the name of what is not whole.
    fn write_ahead(&mut self, log: &Log, segment: u64) -> io::Result<()> {
        let path = self.path(log, segment);
        let Some(text) = &mut self.text else { return Ok(()) };
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                make_dirs(&*log.disk, &log.folder, &folder(&self.chain))?;
                self.file.insert(begin_whole(&*log.disk, &path)?)
            }
        };
        file.append(&text.text)?;
        text.text.clear();
        Ok(())
    }

    /// Gives the whole file its name.
    fn finish(mut self, log: &Log, segment: u64) -> io::Result<()> {
        let path = self.path(log, segment);
        let text = self.text.take().map(|builder| builder.text).unwrap_or_default();
        match self.file {
            Some(file) => end_whole(&*log.disk, file, &path, &text),
            None => write_whole(&*log.disk, &path, &text),
        }
    }
}

/// Leaves the processor and the disk to others, who wait for answers.
struct Rest<'m> {
    may: &'m dyn Fn() -> bool,
    since: Monotonic,
}

impl Rest<'_> {
    /// Rests, if it is time.
    fn rest(&mut self) {
        let worked = Clock::System.monotonic().since(self.since);
        if worked < WORKS {
            return;
        }
        if (self.may)() {
            std::thread::sleep((worked * RESTS).min(RESTS_MAX));
        }
        self.since = Clock::System.monotonic();
    }
}

/// What the frames of a file say: its head, its records, and how every chain stands after them.
pub(super) fn replay<'b>(frames: &[Frame<'b>]) -> Option<(Head, Vec<Frame<'b>>, HashMap<Chain, Standing>)> {
    let (first, rest) = frames.split_first()?;
    let head = first.head()?;
    let mut chains: HashMap<Chain, Standing> = head.chains.iter().cloned().collect();
    let records: Vec<Frame<'b>> = rest.iter().filter(|frame| frame.kind == Kind::Record).copied().collect();
    for frame in &records {
        let chain: Chain = chain_text(frame.body)?.parse().ok()?;
        let standing = Standing::after(chains.get(&chain).copied(), frame.hash, frame.relaxed);
        chains.insert(chain, standing);
    }
    Some((head, records, chains))
}

pub(super) fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Names the file that an error is about.
pub(super) fn file(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |error| JournalError::File { path, what, error }
}
