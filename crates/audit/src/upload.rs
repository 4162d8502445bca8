//! Copies of a log elsewhere: which of its files a copy lacks, in which order they may go there, and a durable note of how
//! far it is. Knows no network; whoever has one carries it out.
//!
//! Only what is sealed is copied. Every file but the checkpoint never changes, so that doing it twice does no harm, and the
//! checkpoint comes last, so that it never speaks of what is not there. A crash at any point is repaired by planning again
//! from the note.

use std::io;
use std::path::{Path, PathBuf};

use crate::checkpoint::Checkpoint;
use crate::hash::Hash;
use crate::journal::{Disk, write_whole};
use crate::note::Note;
use crate::pruned;
use crate::record::{Chain, Record, What};
use crate::segment;
use crate::tiles::Tile;

/// How much of a log is at the place of its copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Entries under the checkpoint that is there.
    pub size: u64,
    /// Segments that are there: those with lower numbers.
    pub segments: u64,
}

/// What a copy lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Files that never change, below the log's folder. The first is the verifier key: if another one is at the place, the
    /// copy is of another log.
    pub files: Vec<PathBuf>,
    /// The content of the file `checkpoint`, which replaces an older one once everything else is there.
    pub checkpoint: Vec<u8>,
    /// How far the copy is then.
    pub then: Progress,
}

/// The name of the file with a signed checkpoint.
pub const CHECKPOINT: &str = "checkpoint";
/// The name of the file with the log's public key.
pub const VERIFIER: &str = "verifier";
/// The name of the note in the log's folder.
const NOTE: &str = "uploaded";
const FORM: &str = "aegis-uploaded/v1";

/// How far the copy at `place` is, by the note in the log's folder. Nothing is, if the note speaks of another place, or cannot
/// be understood: then everything is copied again.
///
/// # Errors
/// What the disk says.
pub fn progress(disk: &dyn Disk, folder: &Path, place: &Hash) -> io::Result<Progress> {
    match disk.read(&folder.join(NOTE)) {
        Ok(note) => Ok(read_note(&note, place).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Progress::default()),
        Err(error) => Err(error),
    }
}

/// Notes, durably, how far the copy at `place` is. Only then may it be said.
///
/// # Errors
/// What the disk says. The old note stays, or the new one is there.
pub fn note(disk: &dyn Disk, folder: &Path, place: &Hash, progress: Progress) -> io::Result<()> {
    let Progress { size, segments } = progress;
    let text = format!("{FORM}\n{place}\n{size} {segments}\n");
    write_whole(disk, &folder.join(NOTE), text.as_bytes())?;
    disk.sync_dir(folder)
}

fn read_note(bytes: &[u8], place: &Hash) -> Option<Progress> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let lines: Vec<&str> = text.split('\n').collect();
    let [FORM, of, numbers] = lines[..] else { return None };
    let (size, segments) = numbers.split_once(' ')?;
    let number = crate::checkpoint::read_size;
    (of == place.to_string()).then_some(Progress { size: number(size)?, segments: number(segments)? })
}

/// The size of what is sealed, by the log's own checkpoint, which is not verified; nothing before the first one.
///
/// # Errors
/// What the disk says; [`io::ErrorKind::InvalidData`] if it is no checkpoint.
pub fn sealed(disk: &dyn Disk, folder: &Path) -> io::Result<Option<(u64, Vec<u8>)>> {
    let note = match disk.read(&folder.join(CHECKPOINT)) {
        Ok(note) => note,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let size = size_of(&note).ok_or_else(|| damaged("`checkpoint` is no checkpoint"))?;
    Ok(Some((size, note)))
}

/// The size that a checkpoint says, unverified.
pub fn size_of(note: &[u8]) -> Option<u64> {
    let read = Note::read(note).ok()?;
    Some(Checkpoint::read_text(read.text()).ok()?.size)
}

/// What a copy that is so far lacks; nothing if it has all that is sealed.
///
/// # Errors
/// What the disk says. Files may go away while a log is sealed: then it is to be planned again.
pub fn plan(disk: &dyn Disk, folder: &Path, copied: Progress) -> io::Result<Option<Plan>> {
    let Some((size, checkpoint)) = sealed(disk, folder)? else { return Ok(None) };
    if size == copied.size {
        return Ok(None);
    }
    if size < copied.size {
        return Err(damaged("there is less of it than was copied"));
    }
    let to = sealed_segments(disk, folder, copied.segments, size)?;
    let mut files = vec![PathBuf::from(VERIFIER)];
    for chain in disk.list(&folder.join("segments"))? {
        let below = Path::new("segments").join(chain);
        let names = disk.list(&folder.join(&below))?;
        let wanted = |name: &String| {
            segment::number(name).is_some_and(|number| (copied.segments..to).contains(&number))
        };
        files.extend(names.iter().filter(|name| wanted(name)).map(|name| below.join(name)));
    }
    files.extend(Tile::between(copied.size, size).iter().map(|tile| PathBuf::from(tile.to_string())));
    Ok(Some(Plan { files, checkpoint, then: Progress { size, segments: to } }))
}

/// The first segment from `first` on that is not under a checkpoint of `size` entries.
fn sealed_segments(disk: &dyn Disk, folder: &Path, first: u64, size: u64) -> io::Result<u64> {
    let log = folder.join(segment::folder(&Chain::Log));
    let mut numbers: Vec<u64> = disk.list(&log)?.iter().filter_map(|name| segment::number(name)).collect();
    numbers.retain(|number| *number >= first);
    numbers.sort_unstable();
    for number in numbers {
        let bytes = disk.read(&log.join(segment::file_name(number)))?;
        let end =
            end_of(&bytes).ok_or_else(|| damaged("a file of the chain `log` has no end of a segment"))?;
        if end >= size {
            return Ok(number);
        }
        if end + 1 == size {
            return Ok(number + 1);
        }
    }
    Err(damaged("the chain `log` ends before the checkpoint"))
}

/// The index of the end of a segment, from the file of the chain `log`.
pub fn end_of(bytes: &[u8]) -> Option<u64> {
    let segment = segment::read(bytes)?;
    let (index, last) = segment.records.last()?;
    match Record::read(last).ok()?.what {
        What::SegmentEnd(end) if end.at == *index => Some(*index),
        _ => None,
    }
}

fn damaged(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Whether a file of a copy belongs to what is under its checkpoint: what was put there for the next one does not yet, and parts
/// of tiles of earlier ones do not any more. `path` is below the log's folder, its parts joined by `/`.
pub fn belongs(path: &str, under: Progress) -> bool {
    if path == VERIFIER {
        return true;
    }
    if let Some((_, name)) = path.strip_prefix("segments/").and_then(|rest| rest.split_once('/')) {
        let number = segment::number(name);
        return name == pruned::NAME || number.is_some_and(|number| number < under.segments);
    }
    path.parse::<Tile>().is_ok_and(|tile| tile.is_of(under.size))
}
