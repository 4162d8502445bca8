//! The newest records of a log, for people who look at it: sealed ones and those that it has grown since. Nothing is verified.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::journal::{Disk, Step, grown};
use crate::keys::VerifyingKey;
use crate::segment;

/// The key that the folder of a log says is its own. What it vouches for, only who has it from elsewhere can say.
///
/// # Errors
/// What the disk says; [`io::ErrorKind::InvalidData`] if it is no key.
pub fn own_key(disk: &dyn Disk, folder: &Path) -> io::Result<VerifyingKey> {
    let bytes = disk.read(&folder.join("verifier"))?;
    let key = std::str::from_utf8(&bytes).ok().and_then(|text| text.trim_end().parse().ok());
    key.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "`verifier` holds no verifier key"))
}

/// Calls `take` with index and bytes of every record of the log in `folder`, each once, chain by chain: what is sealed, then what it has
/// grown since. Holds one sealed file, and what has grown, in memory.
///
/// # Errors
/// What the disk or `take` says; [`io::ErrorKind::InvalidData`] for a file that is damaged.
pub fn each(
    disk: &dyn Disk,
    folder: &Path,
    mut take: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let origin = own_key(disk, folder)?;
    // First what grows: what is sealed meanwhile is there twice then, and never missing.
    let grown = grown(disk, folder, origin.name().as_str()).map_err(|path| damaged(&path))?;
    let growing = grown.first().map_or(u64::MAX, |first| first.number);
    let is_sealed = |file: &String| segment::number(file).is_some_and(|number| number < growing);
    for chain in disk.list(&folder.join("segments")).unwrap_or_default() {
        let files = disk.list(&folder.join("segments").join(&chain))?;
        for file in files.into_iter().filter(is_sealed) {
            let path = folder.join("segments").join(&chain).join(&file);
            let bytes = disk.read(&path)?;
            let segment = segment::read(&bytes).ok_or_else(|| damaged(&path))?;
            for (index, record) in &segment.records {
                take(*index, record)?;
            }
        }
    }
    for segment in grown {
        let records = segment.steps.into_iter().filter_map(|step| match step {
            Step::Record(bytes) => Some(bytes),
            Step::Checkpoint(_) => None,
        });
        for (index, record) in (segment.start..).zip(records) {
            take(index, &record)?;
        }
    }
    Ok(())
}

fn damaged(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("`{}` is damaged", path.display()))
}

/// Index and bytes of at least the newest `least` records of the log in `folder`, in their order; of all, if there are not so
/// many.
///
/// # Errors
/// What the disk says; [`io::ErrorKind::InvalidData`] for a file that is damaged.
pub fn newest(disk: &dyn Disk, folder: &Path, least: usize) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let origin = own_key(disk, folder)?;
    let mut records = BTreeMap::new();
    // First what grows: what is sealed meanwhile is there twice then, and never missing.
    for segment in grown(disk, folder, origin.name().as_str()).map_err(|path| damaged(&path))? {
        let bytes = segment.steps.into_iter().filter_map(|step| match step {
            Step::Record(bytes) => Some(bytes),
            Step::Checkpoint(_) => None,
        });
        records.extend((segment.start..).zip(bytes));
    }
    let folders = disk.list(&folder.join("segments")).unwrap_or_default();
    let mut sealed: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for chain in &folders {
        let files = disk.list(&folder.join("segments").join(chain))?;
        // Beside segments, there may be what is left of those that retention deleted, and one that is being written.
        for file in files.into_iter().filter(|file| segment::number(file).is_some()) {
            sealed.entry(file).or_default().push(chain);
        }
    }
    for (file, chains) in sealed.into_iter().rev() {
        if records.len() >= least {
            break;
        }
        for chain in chains {
            let path = folder.join("segments").join(chain).join(&file);
            let bytes = disk.read(&path)?;
            let segment = segment::read(&bytes).ok_or_else(|| damaged(&path))?;
            records.extend(segment.records.iter().map(|(index, bytes)| (*index, bytes.to_vec())));
        }
    }
    Ok(records.into_iter().collect())
}
