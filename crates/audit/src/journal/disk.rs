//! What the journal asks of a file system, and the machine's own. Tests have one that fails each call, and one that
//! forgets what was not synced.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A file system. Every call is one thing that can fail.
///
/// Contract:
/// - What [`DiskFile::sync`] returned `Ok` for survives a power cut; nothing else does for sure.
/// - A name that was made, renamed or removed survives once [`Disk::sync_dir`] of its folder returned.
/// - [`Disk::rename`] replaces an existing file, and a crash leaves the old one or the new one.
/// - Nothing is done twice after an error: the caller gives up.
pub trait Disk: Send + Sync {
    /// Makes a folder, for its owner only, if it is not there.
    ///
    /// # Errors
    /// What the system says.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes a new, empty file, for its owner only.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::AlreadyExists`] if there is one.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file to append to it.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file that will be appended to and synced thousands of times a second. What it is read as may end in zeros that
    /// nobody wrote.
    ///
    /// # Errors
    /// What the system says.
    fn grow(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open(path)
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// What the system says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Reads at most so many bytes from `offset` on and puts them behind those of `into`. Fewer only where the file ends.
    ///
    /// # Errors
    /// What the system says.
    fn read_part(&self, path: &Path, offset: u64, bytes: usize, into: &mut Vec<u8>) -> io::Result<()> {
        let whole = self.read(path)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(whole.len());
        into.extend_from_slice(&whole[from..whole.len().min(from.saturating_add(bytes))]);
        Ok(())
    }

    /// The names in a folder, sorted.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Renames a file or a folder.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder and what is in it.
    ///
    /// # Errors
    /// What the system says.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Brings the names of a folder to the disk.
    ///
    /// # Errors
    /// What the system says.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Takes the lock at `path`; nothing if another holds it. It ends when the value is dropped, and with the process.
    ///
    /// # Errors
    /// What the system says.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>>;
}

impl std::fmt::Debug for dyn Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

/// An open file that grows at its end.
pub trait DiskFile: Send {
    /// Appends all of `bytes`.
    ///
    /// # Errors
    /// What the system says. Any part of the bytes may have been written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file off after `length` bytes.
    ///
    /// # Errors
    /// What the system says.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// Brings everything to the disk.
    ///
    /// # Errors
    /// What the system says. Nobody knows then what the disk has.
    fn sync(&mut self) -> io::Result<()>;
}

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.append(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Box::new(options.open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().append(true).open(path)?))
    }

    fn grow(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Growing::open(path).map(|file| Box::new(file) as Box<dyn DiskFile>)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn read_part(&self, path: &Path, offset: u64, bytes: usize, into: &mut Vec<u8>) -> io::Result<()> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        into.reserve(bytes);
        file.take(bytes as u64).read_to_end(into).map(drop)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let name = entry?.file_name().into_string();
            names.push(name.map_err(|_withheld| io::Error::other("a file's name is not UTF-8"))?);
        }
        names.sort_unstable();
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl DiskFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        // The length counts as data here: fdatasync brings it along.
        self.sync_data()
    }
}

/// Zeros that are written ahead at once.
static AHEAD: [u8; 256 << 10] = [0; 256 << 10];

/// A file that is written over zeros which lie on the disk already: a sync then has nothing to say of the file's length and its
/// blocks, and costs half of what it costs for a file that gets longer.
struct Growing {
    file: File,
    /// The end of what was appended, where the next bytes go.
    end: u64,
    /// The end of the zeros behind it.
    length: u64,
}

impl Growing {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        let end = file.seek(SeekFrom::End(0))?;
        Ok(Self { file, end, length: end })
    }
}

impl DiskFile for Growing {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.end += bytes.len() as u64;
        if self.end > self.length {
            self.file.write_all(&AHEAD)?;
            self.length = self.end + AHEAD.len() as u64;
            self.file.seek(SeekFrom::Start(self.end))?;
        }
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        (self.end, self.length) = (length, length);
        self.file.seek(SeekFrom::Start(length)).map(drop)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Writes a file that is there whole or not at all: under another name first, then renamed. Its folder is not synced.
pub(crate) fn write_whole(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    end_whole(disk, begin_whole(disk, path)?, path, bytes)
}

/// Begins a file that will be there whole or not at all, under its other name.
pub(crate) fn begin_whole(disk: &dyn Disk, path: &Path) -> io::Result<Box<dyn DiskFile>> {
    let new = name_until_whole(path);
    match disk.remove(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    disk.create(&new)
}

/// Ends it with `bytes`, and gives it its name.
pub(crate) fn end_whole(
    disk: &dyn Disk,
    mut file: Box<dyn DiskFile>,
    path: &Path,
    bytes: &[u8],
) -> io::Result<()> {
    file.append(bytes)?;
    file.sync()?;
    disk.rename(&name_until_whole(path), path)
}

fn name_until_whole(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}
