//! Deletes what retention says: whole sealed segments of a chain, the oldest first, and never anything else of a log.
//!
//! In this order, each step on disk before the next: the record of the deletion is in a log and under a checkpoint (the caller's
//! matter); the file [`pruned`] says so in the chain's folder; the files go. A crash anywhere is repaired by doing it again: a
//! record without a stub deleted nothing, and what a stub covers is swept.
//!
//! Knows no clock. A segment is as old as the later of two says: its end, by the clock of the node that wrote it, and the first
//! time of the control plane at which it was seen here, noted in the file `seen`. So a node's clock that ran behind deletes
//! nothing early.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use aegis_model::clock::UnixNanos;

use crate::hash::Hash;
use crate::heads::Opening;
use crate::journal::{Disk, write_whole};
use crate::pruned::{self, Stub};
use crate::record::{Chain, Pruning, Record, What};
use crate::segment;

const SEEN: &str = "seen";
const SEEN_FORM: &str = "aegis-seen/v1";

/// How old the sealed segments of a log are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ages {
    /// When each segment ended, by the node's clock, the oldest first.
    ended: Vec<(u64, UnixNanos)>,
    /// Times of the control plane, and how many segments were sealed at each, the oldest first.
    seen: Vec<(UnixNanos, u64)>,
}

/// Segments of a chain that may be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Whose.
    pub chain: Chain,
    /// The newest of them.
    pub segment: u64,
    /// Where the chain stood at its end.
    pub opening: Opening,
}

/// The proof that the record of a deletion is in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The canonical record.
    pub record: Vec<u8>,
    /// Where it stands.
    pub index: u64,
    /// From there to the root of the checkpoint.
    pub proof: Vec<Hash>,
    /// The signed checkpoint.
    pub note: Vec<u8>,
}

impl Ages {
    /// Reads how old the sealed segments of the log in `folder` are, and notes that what is sealed was seen at `now`, a time of
    /// the control plane.
    ///
    /// # Errors
    /// What the disk says.
    pub fn look(disk: &dyn Disk, folder: &Path, now: UnixNanos) -> io::Result<Self> {
        let mut ages = Self { ended: ends(disk, folder)?, seen: read_seen(disk, folder)? };
        let sealed = ages.ended.last().map_or(0, |(segment, _)| segment + 1);
        let (known, newest) = ages.seen.last().map_or((0, UnixNanos(0)), |(at, count)| (*count, *at));
        if sealed > known {
            // Times of the control plane do not go back; where one does all the same, the later one counts.
            ages.seen.push((now.max(newest), sealed));
            let line = |(at, count): &(UnixNanos, u64)| format!("{count} {}\n", at.0);
            let lines: String = ages.seen.iter().map(line).collect();
            write_whole(disk, &folder.join(SEEN), format!("{SEEN_FORM}\n{lines}").as_bytes())?;
            disk.sync_dir(folder)?;
        }
        Ok(ages)
    }

    /// The newest segment of those, from the first one on, that ended and were seen before `before`, and have a number below
    /// `below`.
    pub fn older(&self, before: UnixNanos, below: u64) -> Option<u64> {
        let seen = self.seen.iter().filter(|(at, _)| *at <= before).map(|(_, count)| *count).max()?;
        let old = self.ended.iter().take_while(|(segment, at)| *segment < seen.min(below) && *at <= before);
        old.last().map(|(segment, _)| *segment)
    }
}

/// Number and end of every sealed segment.
fn ends(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<(u64, UnixNanos)>> {
    // What is under no checkpoint yet is not sealed.
    let Some((size, _)) = crate::upload::sealed(disk, folder)? else { return Ok(Vec::new()) };
    let log = folder.join(segment::folder(&Chain::Log));
    let mut ends = BTreeMap::new();
    for name in disk.list(&log)? {
        let Some(number) = segment::number(&name) else { continue };
        let bytes = disk.read(&log.join(&name))?;
        let read = segment::read(&bytes).and_then(|read| {
            let (index, last) = read.records.last()?;
            Some((*index, Record::read(last).ok()?.at))
        });
        let (index, at) = read.ok_or_else(|| damaged("a file of the chain `log` is damaged"))?;
        if index < size {
            ends.insert(number, at);
        }
    }
    Ok(ends.into_iter().collect())
}

fn read_seen(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<(UnixNanos, u64)>> {
    let bytes = match disk.read(&folder.join(SEEN)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    // One that cannot be understood counts as none: everything was seen now, and is kept for longer.
    let read = std::str::from_utf8(&bytes).ok().and_then(|text| {
        let lines = text.strip_prefix(SEEN_FORM)?.strip_prefix('\n')?.lines();
        let line = |line: &str| {
            let (count, at) = line.split_once(' ')?;
            Some((UnixNanos(at.parse().ok()?), count.parse().ok()?))
        };
        lines.map(line).collect::<Option<Vec<_>>>()
    });
    Ok(read.unwrap_or_default())
}

/// What may be deleted of a chain, if `upto` is the newest segment that is old enough.
///
/// # Errors
/// What the disk says.
pub fn due(disk: &dyn Disk, folder: &Path, chain: &Chain, upto: u64) -> io::Result<Option<Due>> {
    let newest = files(disk, folder, chain)?.into_keys().filter(|number| *number <= upto).max();
    let done = pruned::find(disk, folder, chain)?.map(|stub| stub.segment);
    let Some(segment) = newest.filter(|newest| done.is_none_or(|done| done < *newest)) else {
        return Ok(None);
    };
    let bytes = disk.read(&folder.join(segment::folder(chain)).join(segment::file_name(segment)))?;
    let opening = segment::read(&bytes).and_then(|read| read.opening);
    let opening = opening.ok_or_else(|| damaged("a segment does not say where its chain stood"))?;
    Ok(Some(Due { chain: chain.clone(), segment, opening }))
}

impl Due {
    /// What the record of the deletion says. `now` is a time of the control plane.
    pub fn to_record(&self, log: &str, now: UnixNanos, retention_days: u64) -> What {
        let Opening { seq, entry, .. } = self.opening;
        What::Pruning(Pruning { entry, log: log.to_owned(), now, retention_days, segment: self.segment, seq })
    }
}

/// Deletes what is due, after its record came under a checkpoint. How many files went.
///
/// # Errors
/// What the disk says. What is done stays done, and [`sweep`] goes on.
pub fn prune(disk: &dyn Disk, folder: &Path, log: &str, due: &Due, evidence: Evidence) -> io::Result<u64> {
    let Evidence { record, index, proof, note } = evidence;
    let stub = Stub {
        origin: log.to_owned(),
        segment: due.segment,
        chain: due.chain.clone(),
        opening: due.opening.clone(),
        record,
        index,
        proof,
        note,
    };
    // Outside of the chain's folder first: what a crash leaves there, no verifier takes for a segment.
    let new = folder.join("pruning");
    write_whole(disk, &new, &stub.to_bytes())?;
    disk.sync_dir(folder)?;
    disk.rename(&new, &folder.join(pruned::path(&due.chain)))?;
    disk.sync_dir(&folder.join(segment::folder(&due.chain)))?;
    disk.sync_dir(folder)?;
    sweep(disk, folder, &due.chain)
}

/// Deletes what the stub of a chain covers. How many files went.
///
/// # Errors
/// What the disk says. What is done stays done.
pub fn sweep(disk: &dyn Disk, folder: &Path, chain: &Chain) -> io::Result<u64> {
    let Some(stub) = pruned::find(disk, folder, chain)? else { return Ok(0) };
    let mut gone = 0;
    for (number, path) in files(disk, folder, chain)? {
        if number <= stub.segment {
            disk.remove(&path)?;
            gone += 1;
        }
    }
    if gone > 0 {
        disk.sync_dir(&folder.join(segment::folder(chain)))?;
    }
    Ok(gone)
}

/// The segments of a chain that are there, by their numbers.
fn files(disk: &dyn Disk, folder: &Path, chain: &Chain) -> io::Result<BTreeMap<u64, PathBuf>> {
    let below = folder.join(segment::folder(chain));
    let names = match disk.list(&below) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    Ok(names.iter().filter_map(|name| Some((segment::number(name)?, below.join(name)))).collect())
}

fn damaged(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
