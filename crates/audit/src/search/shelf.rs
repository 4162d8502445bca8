//! Where the sealed segments of a node's logs lie.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::journal::Disk;
use crate::record::Chain;
use crate::segment;

/// A place of sealed segments: the folder of a node's logs, or one that keeps them for longer.
///
/// Contract:
/// - What is listed can be read, unless it is removed in between: then reading says [`io::ErrorKind::NotFound`].
/// - A segment never changes.
/// - [`io::ErrorKind::TimedOut`] is said only after something was read: the question ends there, and goes on with its next page.
pub trait Shelf: Send + Sync {
    /// The lives that have a log here.
    ///
    /// # Errors
    /// What the place says.
    fn lives(&self) -> io::Result<Vec<u64>>;

    /// The segments in which `chain` has a file, in the log of `life`; none if there is no such log.
    ///
    /// # Errors
    /// What the place says.
    fn segments(&self, life: u64, chain: &Chain) -> io::Result<Vec<u64>>;

    /// The file of `chain` in a segment.
    ///
    /// # Errors
    /// What the place says; [`io::ErrorKind::NotFound`] if there is none.
    fn read(&self, life: u64, segment: u64, chain: &Chain) -> io::Result<Vec<u8>>;
}

impl std::fmt::Debug for dyn Shelf + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shelf")
    }
}

/// The folder of a node's logs, one folder per life.
#[derive(Debug, Clone)]
pub struct Folder {
    /// The file system that it is on.
    pub disk: Arc<dyn Disk>,
    /// The folder.
    pub root: PathBuf,
}

impl Folder {
    fn of(&self, life: u64, chain: &Chain) -> PathBuf {
        self.root.join(life.to_string()).join(segment::folder(chain))
    }
}

impl Shelf for Folder {
    fn lives(&self) -> io::Result<Vec<u64>> {
        let names = self.disk.list(&self.root)?;
        Ok(names.iter().filter_map(|name| crate::checkpoint::read_size(name)).collect())
    }

    fn segments(&self, life: u64, chain: &Chain) -> io::Result<Vec<u64>> {
        let names = match self.disk.list(&self.of(life, chain)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names?,
        };
        // What is being written has another name yet.
        let number = |name: &String| name.strip_suffix(".seg")?.parse().ok();
        Ok(names.iter().filter_map(number).collect())
    }

    fn read(&self, life: u64, segment: u64, chain: &Chain) -> io::Result<Vec<u8>> {
        self.disk.read(&self.of(life, chain).join(segment::file_name(segment)))
    }
}
