//! Seals an ended segment: its records go to the files of their chains, its entries to tiles, and the file that it grew in
//! goes away. Done again after a crash, it gives the same files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, write_whole};
use super::error::JournalError;
use super::frame::{Frame, Head, Kind, Place, Standing};
use super::writer::{Log, make_dirs};
use crate::heads::Heads;
use crate::record::{Chain, Encoded, Record, RecordId, SegmentEnd, What, chain_text};
use crate::segment::{Builder, file_name, folder};
use crate::tiles::{Maker, Tile};

/// Makes the tiles as segment after segment is sealed.
pub(super) struct Sealer {
    log: Log,
    maker: Maker,
}

/// What an ended segment holds.
struct Ended<'b> {
    head: Head,
    records: Vec<Frame<'b>>,
    chains: HashMap<Chain, Standing>,
    end: SegmentEnd,
    end_id: RecordId,
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

    /// Seals segment `number`, whose end is on disk.
    pub(super) fn seal(&mut self, number: u64) -> Result<(), JournalError> {
        let path = self.log.wal_file(number);
        let bytes = self.log.disk.read(&path).map_err(file(&path, "cannot be read"))?;
        let damaged = |what| JournalError::Damaged { path: path.clone(), what };
        let ended = read(self.log.origin(), number, &bytes).map_err(damaged)?;
        if ended.head.start != self.maker.size() {
            return Err(damaged("it does not follow what was sealed before"));
        }
        let files = self.chain_files(&ended).map_err(damaged)?;
        let old = self.maker.clone();
        let folder = self.log.folder.clone();
        self.write(files, &ended).map_err(file(&folder, "cannot be written"))?;
        self.log.disk.remove(&path).map_err(file(&path, "cannot be removed"))?;
        self.log.disk.sync_dir(&self.log.wal()).map_err(file(&folder, "cannot be synced"))?;
        let forget = || self.forget(&old);
        self.log.live.sealed(self.maker.size(), forget).map_err(file(&folder, "cannot be cleaned"))
    }

    /// The file of every chain that has something to say in this segment.
    fn chain_files(&self, ended: &Ended<'_>) -> Result<Vec<(PathBuf, Vec<u8>)>, &'static str> {
        let keys = self.log.head_keys();
        let others = ended.chains.iter().filter(|(chain, _)| **chain != Chain::Log);
        let heads = Heads::new(&keys, ended.end_id, others.map(|(chain, it)| (chain, it.seq, it.entry)));
        if (heads.root(), heads.len()) != (ended.end.heads_root, ended.end.heads) {
            return Err("its end does not commit to its chains");
        }
        let mut builders: BTreeMap<&str, Builder> = BTreeMap::new();
        let new = |chain: &str| Builder::new(self.log.origin(), ended.head.segment, chain);
        for (index, frame) in (ended.head.start..).zip(&ended.records) {
            let chain = chain_text(frame.body).ok_or("a record has no chain")?;
            builders.entry(chain).or_insert_with(|| new(chain)).record(index, frame.body);
        }
        let names: Vec<(String, &Chain)> =
            ended.chains.keys().map(|chain| (chain.to_string(), chain)).collect();
        // Where the log ends, every chain is told where it stands; before, those that have records here.
        if ended.end.last {
            for (name, _) in &names {
                builders.entry(name).or_insert_with(|| new(name));
            }
        }
        let chains: HashMap<&str, &Chain> = names.iter().map(|(name, chain)| (&name[..], *chain)).collect();
        let finish = |(name, builder): (&str, Builder)| {
            let chain = *chains.get(name).ok_or("a record has an unknown chain")?;
            let standing = ended.chains[chain];
            let end = (ended.end.at, ended.end_id);
            let opening = heads.open(&keys, end, chain, standing.seq, standing.entry);
            let path = folder(chain).join(file_name(ended.head.segment));
            Ok((path, builder.finish(opening.as_ref().filter(|_| *chain != Chain::Log))))
        };
        builders.into_iter().map(finish).collect()
    }

    /// Writes all files and brings them to the disk; the checkpoint last, so that it never speaks of what is not there.
    fn write(&mut self, mut files: Vec<(PathBuf, Vec<u8>)>, ended: &Ended<'_>) -> io::Result<()> {
        for frame in &ended.records {
            self.maker.push(frame.hash, |tile, bytes| files.push((PathBuf::from(tile.to_string()), bytes)));
        }
        files.extend(
            self.maker.parts().into_iter().map(|(tile, bytes)| (PathBuf::from(tile.to_string()), bytes)),
        );
        let disk = &*self.log.disk;
        let parents: BTreeSet<&Path> = files.iter().filter_map(|(path, _)| path.parent()).collect();
        for parent in &parents {
            make_dirs(disk, &self.log.folder, parent)?;
        }
        for (path, bytes) in &files {
            write_whole(disk, &self.log.folder.join(path), bytes)?;
        }
        for parent in parents {
            disk.sync_dir(&self.log.folder.join(parent))?;
        }
        let signed = self.log.sign(&self.maker.compact());
        write_whole(disk, &self.log.folder.join("checkpoint"), &signed.note)?;
        disk.sync_dir(&self.log.folder)
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

/// Reads the file of an ended segment.
fn read<'b>(origin: &str, number: u64, bytes: &'b [u8]) -> Result<Ended<'b>, &'static str> {
    let place = Place::new(origin, number);
    let (frames, end) = place.read(bytes).map_err(|_damage| "what was on disk has changed")?;
    if end != bytes.len() {
        return Err("an ended segment is cut off");
    }
    let (head, records, chains) = replay(&frames).ok_or("its frames do not fit together")?;
    let last = records.last().and_then(|frame| Record::read(frame.body).ok());
    match last {
        Some(Record { what: What::SegmentEnd(end), id, .. }) => {
            Ok(Ended { head, records, chains, end, end_id: id })
        }
        _ => Err("it has no end"),
    }
}

/// What the frames of a file say: its head, its records, and how every chain stands after them.
pub(super) fn replay<'b>(frames: &[Frame<'b>]) -> Option<(Head, Vec<Frame<'b>>, HashMap<Chain, Standing>)> {
    let (first, rest) = frames.split_first()?;
    let head =
        (first.kind == Kind::Head).then(|| std::str::from_utf8(first.body).ok().and_then(Head::read))??;
    let mut chains: HashMap<Chain, Standing> = head.chains.iter().cloned().collect();
    let records: Vec<Frame<'b>> = rest.iter().filter(|frame| frame.kind == Kind::Record).copied().collect();
    for frame in &records {
        let chain: Chain = chain_text(frame.body)?.parse().ok()?;
        let record = Encoded { bytes: Vec::new(), entry: frame.hash };
        let standing = Standing::after(chains.get(&chain).copied(), &record, frame.relaxed);
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
