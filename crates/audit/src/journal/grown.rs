//! The files that a log grows in, read by others: while its node writes them, or after it was cut off. Nothing is changed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::frame::{Head, Kind, Place};
use crate::hash::Hash;
use crate::record::{Chain, Record, What, chain_text};

/// A segment that is not sealed, as far as it is whole.
pub(crate) struct Grown {
    pub(crate) number: u64,
    /// The index of its first record.
    pub(crate) start: u64,
    /// How every chain stood before it: number and entry of the newest record.
    pub(crate) chains: Vec<(Chain, u64, Hash)>,
    /// In their order.
    pub(crate) steps: Vec<Step>,
}

/// What a log does as it grows.
pub(crate) enum Step {
    /// The bytes of a record.
    Record(Vec<u8>),
    /// A signed checkpoint over everything before.
    Checkpoint(Vec<u8>),
}

/// The file of a segment that is not sealed.
pub(crate) fn grown_file(folder: &Path, segment: u64) -> PathBuf {
    folder.join(path(segment))
}

/// The path of a segment's file, below the folder of a log.
fn path(segment: u64) -> PathBuf {
    PathBuf::from("wal").join(format!("{segment:08}.wal"))
}

/// Every segment that is not sealed, in order.
///
/// # Errors
/// The file, below the log's folder, that is damaged or cannot be read.
pub(crate) fn grown(disk: &dyn Disk, folder: &Path, origin: &str) -> Result<Vec<Grown>, PathBuf> {
    // A log that was exported, or is closed and was tidied up, has no such folder.
    let names = disk.list(&folder.join("wal")).unwrap_or_default();
    let numbers = names.iter().filter_map(|name| name.strip_suffix(".wal")?.parse::<u64>().ok());
    let mut segments = Vec::new();
    for number in numbers {
        let path = path(number);
        match disk.read(&folder.join(&path)) {
            Ok(bytes) => segments.push(read(&bytes, number, origin).ok_or(path)?),
            // Sealed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_reported) => return Err(path),
        }
    }
    Ok(segments)
}

fn read(bytes: &[u8], number: u64, origin: &str) -> Option<Grown> {
    let (frames, _) = Place::new(origin, number).read(bytes).ok()?;
    let (first, rest) = frames.split_first()?;
    let head = std::str::from_utf8(first.body).ok().filter(|_| first.kind == Kind::Head)?;
    let head = Head::read(head).filter(|head| head.segment == number)?;
    let chains = head.chains.into_iter().map(|(chain, standing)| (chain, standing.seq, standing.entry));
    let steps = rest.iter().map(|frame| match frame.kind {
        Kind::Head => None,
        Kind::Record => Some(Step::Record(frame.body.to_vec())),
        Kind::Checkpoint => Some(Step::Checkpoint(frame.body.to_vec())),
    });
    Some(Grown { number, start: head.start, chains: chains.collect(), steps: steps.collect::<Option<_>>()? })
}

/// The numbers of the segments that are not sealed.
///
/// # Errors
/// What the disk says.
pub(crate) fn grown_numbers(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<u64>> {
    let names = match disk.list(&folder.join("wal")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names?,
    };
    Ok(names.iter().filter_map(|name| name.strip_suffix(".wal")?.parse::<u64>().ok()).collect())
}

/// What the file of a segment that is not sealed holds; nothing if it is sealed by now.
///
/// # Errors
/// What the disk says.
pub(crate) fn grown_bytes(disk: &dyn Disk, folder: &Path, segment: u64) -> io::Result<Option<Vec<u8>>> {
    match disk.read(&grown_file(folder, segment)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        bytes => bytes.map(Some),
    }
}

/// The records of `chain` in the file of a segment that is not sealed, in their order, as far as it is whole. Nothing if it is
/// damaged: if it ends before the entry at `synced`, and not because the file does.
pub(crate) fn grown_records<'b>(
    bytes: &'b [u8],
    segment: u64,
    origin: &str,
    chain: &str,
    synced: u64,
) -> Option<Vec<(u64, &'b [u8])>> {
    let place = Place::new(origin, segment);
    let head = place.first(bytes, 0).filter(|frame| frame.kind == Kind::Head)?;
    let mut index = Head::read(std::str::from_utf8(head.body).ok()?)?.start;
    let (mut at, mut records) = (head.bytes(), Vec::new());
    while let Some(frame) = place.first(&bytes[at..], at as u64) {
        at += frame.bytes();
        if frame.kind == Kind::Record {
            if chain_text(frame.body)? == chain {
                records.push((index, frame.body));
            }
            index += 1;
        }
    }
    // Zeros lie ahead of what will be written.
    (index >= synced || bytes[at..].iter().all(|byte| *byte == 0)).then_some(records)
}

/// Reads records as a log grows, on the machine's own disk. Judges nothing but that frames are whole.
#[derive(Debug)]
pub struct Follower {
    folder: PathBuf,
    origin: String,
    segment: u64,
    file: Option<File>,
    /// Bytes of the file that were given.
    offset: u64,
    /// The index of the next record.
    index: u64,
    /// Whether the log ended.
    ended: bool,
}

/// Most bytes of a file that are read at once.
const READ_BYTES: usize = 8 << 20;

impl Follower {
    /// Follows the log of `origin` in `folder`, from the first record that is not sealed.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(folder: &Path, origin: &str) -> io::Result<Self> {
        let (folder, origin) = (folder.to_owned(), origin.to_owned());
        let mut follower = Self { folder, origin, segment: 0, file: None, offset: 0, index: 0, ended: false };
        // What is sealed between the two looks is gone: then the next one is the first.
        while let Some(first) = follower.after(0)? {
            follower.segment = first;
            if follower.open()? {
                return Ok(follower);
            }
        }
        follower.ended = true;
        Ok(follower)
    }

    /// The first segment from `least` on that is not sealed.
    fn after(&self, least: u64) -> io::Result<Option<u64>> {
        let mut first: Option<u64> = None;
        let entries = match std::fs::read_dir(self.folder.join("wal")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries?,
        };
        for entry in entries {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".wal")?.parse().ok());
            let number = number.filter(|number| *number >= least);
            first = first.min(number).or(first).or(number);
        }
        Ok(first)
    }

    /// Opens the file of the segment; whether it is there.
    fn open(&mut self) -> io::Result<bool> {
        match File::open(self.folder.join(path(self.segment))) {
            Ok(file) => {
                self.file = Some(file);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the log ended, and everything of it was given.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// What has been written since the last time: index and bytes of each record. Empty if there is nothing new yet.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::NotFound`] if it was asked too seldom, and what follows is sealed already: then
    /// the sealed files have it.
    pub fn more(&mut self) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let mut records = Vec::new();
        while !self.ended && self.read(&mut records)? {}
        Ok(records)
    }

    /// The same, but no more than lies in a bounded part of the file; empty if there is nothing new yet.
    ///
    /// # Errors
    /// As [`Follower::more`].
    pub fn some(&mut self) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let mut records = Vec::new();
        while !self.ended && records.is_empty() && self.read(&mut records)? {}
        Ok(records)
    }

    /// Reads what follows; whether there may be more.
    fn read(&mut self, records: &mut Vec<(u64, Vec<u8>)>) -> io::Result<bool> {
        if self.file.is_none() && !self.open()? {
            return match self.after(self.segment + 1)? {
                Some(_sealed_before_it_was_read) => Err(io::ErrorKind::NotFound.into()),
                None => Ok(false),
            };
        }
        let Some(file) = &mut self.file else { return Ok(false) };
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.take(READ_BYTES as u64).read_to_end(&mut bytes)?;
        let (place, mut at) = (Place::new(&self.origin, self.segment), 0);
        while let Some(frame) = place.first(&bytes[at..], self.offset) {
            at += frame.bytes();
            self.offset += frame.bytes() as u64;
            match frame.kind {
                Kind::Head => {
                    let head = std::str::from_utf8(frame.body).ok().and_then(Head::read);
                    self.index = head.ok_or(io::ErrorKind::InvalidData)?.start;
                }
                Kind::Checkpoint => {}
                Kind::Record => {
                    records.push((self.index, frame.body.to_vec()));
                    self.index += 1;
                    if let Some(last) = end(frame.body) {
                        // The file is kept open, so it is read to its end though it may be gone already.
                        (self.segment, self.offset, self.file, self.ended) =
                            (self.segment + 1, 0, None, last);
                        return Ok(!last);
                    }
                }
            }
        }
        Ok(at > 0)
    }
}

/// Whether a record is the end of a segment, and then, of the log.
fn end(record: &[u8]) -> Option<bool> {
    const KIND: &[u8] = br#""what":{"segment_end":"#;
    record.windows(KIND.len()).any(|part| part == KIND).then_some(())?;
    match Record::read(record).ok()?.what {
        What::SegmentEnd(end) => Some(end.last),
        _ => None,
    }
}
