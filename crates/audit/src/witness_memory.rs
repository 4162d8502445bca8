//! What a witness remembers, durably: the newest checkpoint of each log that it has cosigned. It is on disk before anything is
//! cosigned, so that no crash makes the witness cosign a rollback or a fork.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::checkpoint::Checkpoint;
use crate::hash::Hash;
use crate::journal::{Disk, make_root, write_whole};
use crate::keys::{KeyName, SigningKey};
use crate::note::Signature;
use crate::witness::Accepted;

/// The memory of one witness, in a folder that only one process may use.
pub struct Memory {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    known: BTreeMap<KeyName, Checkpoint>,
    failed: bool,
    _lock: Box<dyn Send + Sync>,
}

/// Why a memory cannot be used. Then nothing may be cosigned.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// Another process uses the folder.
    #[error("another process uses the folder `{}`", .0.display())]
    Locked(PathBuf),
    /// A file is not what was written. It is not taken for a log that was never seen: somebody has to look.
    #[error("`{}` is damaged", .0.display())]
    Damaged(PathBuf),
    /// The disk failed; it is not tried again.
    #[error("`{}` cannot be used: {source}", path.display())]
    Disk {
        /// Which file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The disk failed before: nobody knows what it has.
    #[error("the disk failed before; start anew once it is sound")]
    Failed,
    /// What is to be kept does not follow from what is known: the two were not compared.
    #[error("the checkpoint does not follow from the one that is known")]
    Overtaken,
}

impl Memory {
    /// Opens the folder at `root`, and makes it if it is not there.
    ///
    /// # Errors
    /// [`MemoryError`]
    pub fn open(disk: Arc<dyn Disk>, root: &Path) -> Result<Self, MemoryError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| MemoryError::Disk { path, source }
        };
        make_root(&*disk, root).map_err(failed(root))?;
        let lock = disk.lock(&root.join("lock")).map_err(failed(root))?;
        let lock = lock.ok_or_else(|| MemoryError::Locked(root.to_owned()))?;
        let mut known = BTreeMap::new();
        for name in disk.list(root).map_err(failed(root))? {
            // One that was not renamed is of a write that nobody has been told of.
            let Some(stem) = name.strip_suffix(".checkpoint") else { continue };
            let path = root.join(&name);
            let bytes = disk.read(&path).map_err(failed(&path))?;
            let checkpoint = read(&bytes).filter(|it| file_stem(&it.origin) == stem);
            let checkpoint = checkpoint.ok_or(MemoryError::Damaged(path))?;
            known.insert(checkpoint.origin.clone(), checkpoint);
        }
        Ok(Self { disk, root: root.to_owned(), known, failed: false, _lock: lock })
    }

    /// The newest checkpoint of this log that was kept.
    pub fn known(&self, origin: &KeyName) -> Option<&Checkpoint> {
        self.known.get(origin)
    }

    /// Keeps an accepted checkpoint, and cosigns it once it is on disk (AUD-1). `judged` is what was known when it was judged.
    ///
    /// # Errors
    /// [`MemoryError`]: nothing was cosigned. After an error of the disk nothing ever is.
    pub fn cosign(
        &mut self,
        judged: Option<&Checkpoint>,
        accepted: &Accepted,
        key: &SigningKey,
        seconds: u64,
    ) -> Result<Signature, MemoryError> {
        let new = accepted.checkpoint();
        if self.failed {
            return Err(MemoryError::Failed);
        }
        if self.known.get(&new.origin) != judged {
            return Err(MemoryError::Overtaken);
        }
        if judged != Some(new) {
            let path = self.root.join(format!("{}.checkpoint", file_stem(&new.origin)));
            let text = new.to_text();
            let kept = format!("{text}{}\n", Hash::of(text.as_bytes()));
            let written = write_whole(&*self.disk, &path, kept.as_bytes());
            if let Err(source) = written.and_then(|()| self.disk.sync_dir(&self.root)) {
                self.failed = true;
                return Err(MemoryError::Disk { path, source });
            }
            self.known.insert(new.origin.clone(), new.clone());
        }
        Ok(accepted.cosign(key, seconds))
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("root", &self.root).field("known", &self.known).finish_non_exhaustive()
    }
}

/// A name of a file for any name of a log.
fn file_stem(origin: &KeyName) -> String {
    let mut text = Hash::of(origin.as_str().as_bytes()).to_string();
    text.truncate(32);
    text
}

fn read(bytes: &[u8]) -> Option<Checkpoint> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (text, sum) = text.strip_suffix('\n')?.rsplit_once('\n')?;
    let text = format!("{text}\n");
    let sum: Hash = sum.parse().ok()?;
    if Hash::of(text.as_bytes()) == sum { Checkpoint::read_text(&text).ok() } else { None }
}
