//! The machine's file system with faults: full from now on, or hanging for a while. Also used by the tests of whole nodes.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use aegis_audit::journal::{Disk, DiskFile, SystemDisk};

/// What is wrong with a disk. Shared with the test that says so.
#[derive(Debug, Default)]
pub(crate) struct Fault {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    full: bool,
    hangs: bool,
    refuses: Option<&'static str>,
}

impl Fault {
    /// From now on no file grows.
    pub(crate) fn fill(&self) {
        self.state.lock().unwrap().full = true;
    }

    /// From now on each call fails whose path has this part, if one is given: as a bad sector, which meets some files only.
    pub(crate) fn refuse(&self, part: Option<&'static str>) {
        self.state.lock().unwrap().refuses = part;
    }

    /// Whether syncs of files wait from now on.
    pub(crate) fn hang(&self, hangs: bool) {
        self.state.lock().unwrap().hangs = hangs;
        self.changed.notify_all();
    }
}

/// The disk.
pub(crate) struct FaultyDisk(pub(crate) Arc<Fault>);

struct FaultyFile(Box<dyn DiskFile>, Arc<Fault>);

impl DiskFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.1.state.lock().unwrap().full {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            self.0.append(bytes)
        }
    }
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }
    fn sync(&mut self) -> io::Result<()> {
        drop(self.1.changed.wait_while(self.1.state.lock().unwrap(), |state| state.hangs).unwrap());
        self.0.sync()
    }
}

impl FaultyDisk {
    fn check(&self, path: &Path) -> io::Result<()> {
        let refused = self.0.state.lock().unwrap().refuses;
        match refused.is_some_and(|part| path.to_string_lossy().contains(part)) {
            true => Err(io::Error::other("a bad sector")),
            false => Ok(()),
        }
    }

    fn file(&self, file: io::Result<Box<dyn DiskFile>>) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(FaultyFile(file?, Arc::clone(&self.0))))
    }
}

impl Disk for FaultyDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.check(path)?;
        SystemDisk.create_dir(path)
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.check(path)?;
        self.file(SystemDisk.create(path))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.check(path)?;
        self.file(SystemDisk.open(path))
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.check(path)?;
        SystemDisk.read(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.check(path)?;
        SystemDisk.list(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(from)?;
        SystemDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.check(path)?;
        SystemDisk.remove(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.check(path)?;
        SystemDisk.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.check(path)?;
        SystemDisk.sync_dir(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        SystemDisk.lock(path)
    }
}
