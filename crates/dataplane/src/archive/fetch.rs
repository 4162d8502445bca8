//! Downloads of copies: exactly what is under the checkpoint that is there, so that the download verifies also while its node
//! puts the next segment.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use aegis_audit::journal::Disk;
use aegis_audit::upload::{self, CHECKPOINT, Progress, belongs, end_of};
use aegis_model::caps;
use object_store::path::Path as Place;

use super::{Archive, ArchiveError};

/// What was downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Which log.
    pub log: String,
    /// Entries under its checkpoint.
    pub size: u64,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Why a log could not be downloaded.
#[derive(Debug, thiserror::Error)]
pub enum NotFetched {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ArchiveError),
    /// The folder cannot be written.
    #[error("the download cannot be written: {0}")]
    Disk(#[from] io::Error),
    /// A file went away, or is not what it should be.
    #[error("`{path}` in the store {what}")]
    Object {
        /// Where.
        path: String,
        /// What is wrong.
        what: &'static str,
    },
}

/// Larger than any file of a log: the file of a chain, with room for records that ended its segment.
const FILE_BYTES_MAX: u64 = 4 * caps::AUDIT_SEGMENT_BYTES;

impl Archive {
    /// The logs that have a checkpoint there, by name, in order.
    ///
    /// # Errors
    /// [`ArchiveError`]
    pub async fn logs(&self) -> Result<Vec<String>, ArchiveError> {
        let found = self.list(&self.prefix).await?;
        let name = |(path, _): &(Place, u64)| {
            let parts: Vec<_> =
                path.prefix_match(&self.prefix)?.map(|part| part.as_ref().to_owned()).collect();
            let [cluster, node, life, file] = &parts[..] else { return None };
            let life: u64 = (file == CHECKPOINT).then(|| life.parse().ok())??;
            Some((cluster.clone(), node.clone(), life))
        };
        let logs: BTreeSet<(String, String, u64)> = found.iter().filter_map(name).collect();
        Ok(logs.into_iter().map(|(cluster, node, life)| format!("{cluster}/{node}/{life}")).collect())
    }

    /// Downloads the copy of `log` into `folder`, which is made and must not be there.
    ///
    /// # Errors
    /// [`NotFetched`]. What was downloaded stays; it does not verify.
    pub async fn fetch(&self, log: &str, disk: &dyn Disk, folder: &Path) -> Result<Fetched, NotFetched> {
        if disk.list(folder).is_ok() {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists).into());
        }
        let gone = |path: &Place, what| NotFetched::Object { path: path.to_string(), what };
        let at = self.at(log, CHECKPOINT);
        let checkpoint = self.get(&at, FILE_BYTES_MAX).await?.ok_or_else(|| gone(&at, "is not there"))?;
        let size = upload::size_of(&checkpoint).ok_or_else(|| gone(&at, "is no checkpoint"))?;
        let root = self.root(log);
        let mut names = Vec::new();
        for (path, bytes) in self.list(&root).await? {
            let Some(parts) = path.prefix_match(&root) else { continue };
            let parts: Vec<String> = parts.map(|part| part.as_ref().to_owned()).collect();
            names.push((parts.join("/"), bytes));
        }
        let segments = self.segments(log, size, &names).await?;
        let under = Progress { size, segments };
        let mut fetched = Fetched { log: log.to_owned(), size, files: 0, bytes: 0 };
        disk.create_dir(folder)?;
        for (name, bytes) in names.iter().filter(|(name, _)| belongs(name, under)) {
            let at = self.at(log, name);
            if *bytes > FILE_BYTES_MAX {
                return Err(gone(&at, "is larger than any file of a log"));
            }
            let content = self.get(&at, FILE_BYTES_MAX).await?.ok_or_else(|| gone(&at, "went away"))?;
            write(disk, folder, name, &content)?;
            (fetched.files, fetched.bytes) = (fetched.files + 1, fetched.bytes + content.len() as u64);
        }
        // Last: without it, nothing verifies.
        write(disk, folder, CHECKPOINT, &checkpoint)?;
        Ok(fetched)
    }

    fn root(&self, log: &str) -> Place {
        let parts: Vec<_> = self.prefix.parts().map(|part| part.as_ref().to_owned()).collect();
        Place::from_iter(parts.iter().map(String::as_str).chain(log.split('/')))
    }

    /// How many segments are under a checkpoint of `size` entries.
    async fn segments(&self, log: &str, size: u64, names: &[(String, u64)]) -> Result<u64, NotFetched> {
        let own =
            |(name, _): &(String, u64)| aegis_audit::segment::number(name.strip_prefix("segments/log/")?);
        let mut numbers: Vec<u64> = names.iter().filter_map(own).collect();
        numbers.sort_unstable();
        // The newest first: the ends of older segments lie before it.
        for number in numbers.into_iter().rev() {
            let at = self.at(log, &format!("segments/log/{}", aegis_audit::segment::file_name(number)));
            let content = self.get(&at, FILE_BYTES_MAX).await?;
            let end = content.as_deref().and_then(end_of);
            let bad = NotFetched::Object { path: at.to_string(), what: "is no segment" };
            if end.ok_or(bad)? < size {
                return Ok(number + 1);
            }
        }
        Ok(0)
    }
}

/// Writes a file and the folders that it needs.
fn write(disk: &dyn Disk, folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let path = folder.join(name);
    if let Some(parent) = path.parent() {
        disk.create_dir(parent)?;
    }
    let mut file = disk.create(&path)?;
    file.append(content)?;
    file.sync()
}
