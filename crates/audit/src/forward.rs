//! Reads the records of one log in their order, from any place on: those that are sealed and those that it grows, while its node
//! writes it and after it ended. On the machine's own disk; nothing is verified. Holds at most one segment in memory.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use crate::journal::{Follower, grown_file};
use crate::segment;

/// How often it looks again where a segment is sealed just while it is read.
const TRIES: usize = 4;

/// A place in a log, from which it is read on.
#[derive(Debug)]
pub struct Forward {
    folder: PathBuf,
    origin: String,
    /// The index of the next record.
    next: u64,
    /// What was read and not given yet, in the order of the log.
    ready: VecDeque<(u64, Vec<u8>)>,
    growing: Option<Follower>,
}

/// Most of what is given at once.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// Records.
    pub records: usize,
    /// Bytes of records; one that is longer is given alone.
    pub bytes: usize,
}

impl Forward {
    /// The log of `origin` in `folder`, from the record with the index `next` on.
    pub fn new(folder: &Path, origin: &str, next: u64) -> Self {
        let (folder, origin) = (folder.to_owned(), origin.to_owned());
        Self { folder, origin, next, ready: VecDeque::new(), growing: None }
    }

    /// The index of the next record.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Index and bytes of the next records below the index `limit`; empty if there are none yet. Records that are not on the disk
    /// any more are passed over. May read a whole segment.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::InvalidData`] for a file that is damaged.
    pub fn take(&mut self, limit: u64, most: Most) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        for _try in 0..TRIES {
            while let Some((index, record)) = self.ready.front()
                && *index < limit
                && taken.len() < most.records
                && (taken.is_empty() || bytes + record.len() <= most.bytes)
            {
                bytes += record.len();
                self.next = index + 1;
                taken.extend(self.ready.pop_front());
            }
            if !taken.is_empty() || !self.ready.is_empty() || self.next >= limit {
                break;
            }
            self.read()?;
        }
        Ok(taken)
    }

    /// Reads what follows, if there is anything.
    fn read(&mut self) -> io::Result<()> {
        if self.growing.is_none() {
            self.ready = self.sealed()?;
            if !self.ready.is_empty() {
                return Ok(());
            }
            self.growing = Some(Follower::new(&self.folder, &self.origin)?);
        }
        let Some(growing) = &mut self.growing else { return Ok(()) };
        match growing.some() {
            Ok(records) => {
                // What lies between was sealed meanwhile.
                let missed = records.first().is_some_and(|(index, _)| *index > self.next);
                if missed {
                    self.growing = None;
                    self.ready = self.sealed()?;
                    // Or it is gone for good: then it goes on with what there is.
                    if !self.ready.is_empty() {
                        return Ok(());
                    }
                    self.growing = Some(Follower::new(&self.folder, &self.origin)?);
                }
                let next = self.next;
                self.ready = records.into_iter().filter(|(index, _)| *index >= next).collect();
                if growing_ended(self.growing.as_ref()) {
                    // Whatever follows is sealed.
                    self.growing = None;
                }
                Ok(())
            }
            // Sealed before it was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.growing = None;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The records, from the next one on, of the sealed segment that holds it, or of the first one after it; empty if there is none.
    fn sealed(&self) -> io::Result<VecDeque<(u64, Vec<u8>)>> {
        let root = self.folder.join("segments");
        let mut numbers: Vec<u64> =
            names(&root.join("log"))?.iter().filter_map(|name| segment::number(name)).collect();
        numbers.sort_unstable();
        // Every segment ends with a record of the chain `log`, and they end one after the other.
        let (mut low, mut high) = (0, numbers.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.end(numbers[middle])? {
                end if end >= self.next => high = middle,
                _ => low = middle + 1,
            }
        }
        let Some(number) = numbers.get(low) else { return Ok(VecDeque::new()) };
        // The file that it grew in goes away once every chain has its file: until then some may be missing here.
        if if_there(std::fs::metadata(grown_file(&self.folder, *number)))?.is_some() {
            return Ok(VecDeque::new());
        }
        let mut records = Vec::new();
        for chain in names(&root)? {
            let path = root.join(chain).join(segment::file_name(*number));
            let Some(bytes) = if_there(std::fs::read(&path))? else { continue };
            let segment = segment::read(&bytes).ok_or_else(|| damaged(&path))?;
            let new = segment.records.into_iter().filter(|(index, _)| *index >= self.next);
            records.extend(new.map(|(index, record)| (index, record.to_vec())));
        }
        records.sort_unstable_by_key(|(index, _)| *index);
        Ok(records.into())
    }

    /// The index of the last record of a sealed segment.
    fn end(&self, number: u64) -> io::Result<u64> {
        let path = self.folder.join("segments").join("log").join(segment::file_name(number));
        let bytes = std::fs::read(&path)?;
        let segment = segment::read(&bytes).ok_or_else(|| damaged(&path))?;
        segment.records.last().map(|(index, _)| *index).ok_or_else(|| damaged(&path))
    }
}

fn growing_ended(growing: Option<&Follower>) -> bool {
    growing.is_some_and(Follower::has_ended)
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let Some(entries) = if_there(std::fs::read_dir(folder))? else { return Ok(Vec::new()) };
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn damaged(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("`{}` is damaged", path.display()))
}
