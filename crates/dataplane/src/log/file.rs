//! The log's file: append only, and a torn line never swallows the next one.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// An open log file.
#[derive(Debug)]
pub(super) struct LogFile {
    file: File,
    /// The file ends within a line: a write failed half way, or the process before us was cut off.
    torn: bool,
    /// The last write failed.
    failed: bool,
    closed: bool,
}

impl LogFile {
    /// Opens or makes the file. On Unix a new file is for its owner only: records name agents and tools.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        let torn = file.metadata()?.is_file() && !ends_with_line_feed(path)?;
        Ok(Self { torn, ..Self::from(file) })
    }

    /// Appends `lines`, each with its line feed, in one write where the system takes it in one.
    ///
    /// # Errors
    /// What the system says; also after [`LogFile::close`].
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.closed {
            return Err(io::Error::other("the log is closed"));
        }
        self.failed = true;
        if self.torn {
            self.file.write_all(b"\n")?;
        }
        self.torn = true;
        self.file.write_all(lines)?;
        (self.torn, self.failed) = (false, false);
        Ok(())
    }

    /// Brings what was written to the disk. Nothing can be appended any more.
    ///
    /// # Errors
    /// The sync, or the last write, failed.
    pub(super) fn close(&mut self) -> io::Result<()> {
        self.closed = true;
        if self.failed {
            return Err(io::Error::other("the last record could not be written"));
        }
        match self.file.sync_data() {
            // Character devices and pipes have no disk to go to.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            result => result,
        }
    }
}

impl From<File> for LogFile {
    fn from(file: File) -> Self {
        Self { file, torn: false, failed: false, closed: false }
    }
}

/// Whether the file is empty or ends with a line feed.
fn ends_with_line_feed(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}
