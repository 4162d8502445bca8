//! A file system in memory that fails when it is told to: one call, all calls from one on, or with the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use aegis_audit::journal::{Disk, DiskFile};
use rand::{Rng, RngExt};

use crate::samples::rng;

/// What happens at the chosen call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails, and later ones succeed. An append has written a part.
    Once(io::ErrorKind),
    /// It fails, and so does every later one: a disk that is full, read-only, or gone.
    From(io::ErrorKind),
    /// The process is killed in the middle of it.
    Kill,
    /// The machine stops in the middle of it.
    PowerLoss,
}

#[derive(Debug, Clone, Default)]
struct Inode {
    data: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Dir,
    File(usize),
}

#[derive(Debug, Clone)]
enum Change {
    Make(PathBuf, Node),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

type Names = BTreeMap<PathBuf, Node>;

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: Names,
    durable: Names,
    pending: Vec<Change>,
    locks: BTreeSet<PathBuf>,
    calls: u64,
    fault: Option<(u64, Fault)>,
    struck: bool,
    seed: u64,
}

/// The disk. Clones are the same disk.
#[derive(Debug, Clone)]
pub(crate) struct MemoryDisk(Arc<Mutex<State>>);

impl Default for MemoryDisk {
    fn default() -> Self {
        let root: Names = [(PathBuf::from("/"), Node::Dir)].into();
        Self(Arc::new(Mutex::new(State { names: root.clone(), durable: root, ..State::default() })))
    }
}

impl MemoryDisk {
    /// A disk that fails at the given call, counted from 1.
    pub(crate) fn failing(call: u64, fault: Fault) -> Self {
        let disk = Self::default();
        disk.fail(call, fault);
        disk
    }

    /// Fails at the given call from now.
    pub(crate) fn fail(&self, call: u64, fault: Fault) {
        let mut state = self.state();
        state.fault = Some((state.calls + call, fault));
        (state.struck, state.seed) = (false, call);
    }

    /// Whether the fault has happened.
    pub(crate) fn struck(&self) -> bool {
        self.state().struck
    }

    /// What the next process finds.
    pub(crate) fn restarted(&self) -> Self {
        let state = self.state();
        let mut next = State { names: state.names.clone(), inodes: state.inodes.clone(), ..State::default() };
        if matches!(state.fault, Some((_, Fault::PowerLoss))) && state.struck {
            let mut random = rng(state.seed);
            next.names = state.durable.clone();
            let kept = random.random_range(0..=state.pending.len());
            state.pending[..kept].iter().for_each(|change| apply(&mut next.names, change));
            // Without its folder, nobody finds a name.
            let whole = next.names.clone();
            next.names.retain(|name, _| name.ancestors().skip(1).all(|above| whole.contains_key(above)));
            for inode in &mut next.inodes {
                inode.data = torn(inode, &mut random);
            }
        }
        next.inodes.iter_mut().for_each(|inode| inode.durable = inode.data.clone());
        next.durable = next.names.clone();
        Self(Arc::new(Mutex::new(next)))
    }

    /// Every file and what is in it.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state();
        let file = |(path, node): (&PathBuf, &Node)| match node {
            Node::File(inode) => Some((path.clone(), state.inodes[*inode].data.clone())),
            Node::Dir => None,
        };
        state.names.iter().filter_map(file).collect()
    }

    /// A disk with these files, and the folders that they need.
    pub(crate) fn of_files(files: &BTreeMap<PathBuf, Vec<u8>>) -> Self {
        let mut state = State::default();
        for (path, bytes) in files {
            state.names.extend(path.ancestors().skip(1).map(|it| (it.to_owned(), Node::Dir)));
            state.names.insert(path.clone(), Node::File(state.inodes.len()));
            state.inodes.push(Inode { data: bytes.clone(), durable: bytes.clone() });
        }
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Counts a call that changes something; how much of its bytes is written before it fails, if it fails.
    fn call(&self, bytes: usize) -> Result<(), (usize, io::Error)> {
        let mut state = self.state();
        state.calls += 1;
        let Some((at, fault)) = state.fault else { return Ok(()) };
        if state.calls < at {
            return Ok(());
        }
        let part = if state.calls == at { rng(state.seed).random_range(0..=bytes) } else { 0 };
        state.struck = true;
        match fault {
            Fault::Once(_) if state.calls > at => Ok(()),
            Fault::Once(kind) | Fault::From(kind) => Err((part, kind.into())),
            Fault::Kill | Fault::PowerLoss => Err((part, io::Error::other("dead"))),
        }
    }

    fn plain(&self) -> io::Result<()> {
        self.call(0).map_err(|(_, error)| error)
    }

    fn change(&self, change: Change) {
        let mut state = self.state();
        apply(&mut state.names, &change);
        state.pending.push(change);
    }

    fn node(&self, path: &Path) -> io::Result<Node> {
        self.state().names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn inode(&self, path: &Path) -> io::Result<usize> {
        match self.node(path)? {
            Node::File(inode) => Ok(inode),
            Node::Dir => Err(io::ErrorKind::IsADirectory.into()),
        }
    }
}

/// What a power cut leaves of a file: what was synced, and of what was not, some beginning, zeros, or a hole.
fn torn(inode: &Inode, random: &mut impl Rng) -> Vec<u8> {
    let synced = inode.durable.len();
    if inode.data.len() <= synced || !inode.data.starts_with(&inode.durable) {
        // Cut without a sync: both may be found.
        return if random.random() { inode.data.clone() } else { inode.durable.clone() };
    }
    let mut left = inode.data.clone();
    let from = random.random_range(synced..=left.len());
    match random.random_range(0..3) {
        0 => left.truncate(from),
        1 => left[from..].fill(0),
        _ => {
            let to = random.random_range(from..=left.len());
            left[from..to].fill(0);
        }
    }
    left
}

fn apply(names: &mut Names, change: &Change) {
    match change {
        Change::Make(path, node) => {
            names.insert(path.clone(), *node);
        }
        Change::Remove(path) => names.retain(|name, _| !name.starts_with(path)),
        Change::Rename(from, to) => {
            if !names.contains_key(from) {
                return;
            }
            let moved: Names = names
                .iter()
                .filter(|(name, _)| name.starts_with(from))
                .map(|(name, node)| {
                    let below = name.strip_prefix(from).unwrap();
                    (if below.as_os_str().is_empty() { to.clone() } else { to.join(below) }, *node)
                })
                .collect();
            names.retain(|name, _| !name.starts_with(from) && !name.starts_with(to));
            names.extend(moved);
        }
    }
}

fn parent(change: &Change) -> Option<&Path> {
    match change {
        Change::Make(path, _) | Change::Remove(path) | Change::Rename(_, path) => path.parent(),
    }
}

impl Disk for MemoryDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.plain()?;
        for part in path.ancestors().collect::<Vec<_>>().into_iter().rev() {
            if self.node(part).is_err() {
                self.change(Change::Make(part.to_owned(), Node::Dir));
            }
        }
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.plain()?;
        if self.node(path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if self.node(path.parent().unwrap())? != Node::Dir {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let inode = {
            let mut state = self.state();
            state.inodes.push(Inode::default());
            state.inodes.len() - 1
        };
        self.change(Change::Make(path.to_owned(), Node::File(inode)));
        Ok(Box::new(MemoryFile { disk: self.clone(), inode }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.plain()?;
        Ok(Box::new(MemoryFile { disk: self.clone(), inode: self.inode(path)? }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.plain()?;
        let inode = self.inode(path)?;
        Ok(self.state().inodes[inode].data.clone())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.plain()?;
        if self.node(path)? != Node::Dir {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let state = self.state();
        let below = state.names.keys().filter(|name| name.parent() == Some(path));
        Ok(below.map(|name| name.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.plain()?;
        self.node(from)?;
        self.change(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.plain()?;
        self.inode(path)?;
        self.change(Change::Remove(path.to_owned()));
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.plain()?;
        self.node(path)?;
        self.change(Change::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.plain()?;
        let mut state = self.state();
        let pending = std::mem::take(&mut state.pending);
        let (now, later): (Vec<_>, Vec<_>) = pending.into_iter().partition(|it| parent(it) == Some(path));
        now.iter().for_each(|change| apply(&mut state.durable, change));
        state.pending = later;
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        self.plain()?;
        if !self.state().locks.insert(path.to_owned()) {
            return Ok(None);
        }
        Ok(Some(Box::new(Lock { disk: self.clone(), path: path.to_owned() })))
    }
}

struct Lock {
    disk: MemoryDisk,
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.disk.state().locks.remove(&self.path);
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    inode: usize,
}

impl DiskFile for MemoryFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let done = self.disk.call(bytes.len());
        let written = done.as_ref().map_or_else(|(part, _)| *part, |()| bytes.len());
        self.disk.state().inodes[self.inode].data.extend_from_slice(&bytes[..written]);
        done.map_err(|(_, error)| error)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.disk.plain()?;
        self.disk.state().inodes[self.inode].data.truncate(length as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.plain()?;
        let mut state = self.disk.state();
        let inode = &mut state.inodes[self.inode];
        inode.durable = inode.data.clone();
        Ok(())
    }
}
