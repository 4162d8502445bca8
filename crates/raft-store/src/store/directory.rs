//! The directory and the files in it: made so that a crash at any point leaves it openable.

use std::fs::{DirBuilder, File, TryLockError};
use std::path::{Path, PathBuf};

use redb::{Builder, Database, DatabaseError};

use super::OpenError;
use crate::identity::Role;
use crate::snapshot::sync_directory;
use crate::tables::StoreError;

/// A directory that no other process has open.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
    /// The lock ends when this is dropped.
    pub(crate) lock: File,
}

impl Directory {
    /// Makes the directory if need be, and locks it.
    pub(crate) fn lock(path: &Path) -> Result<Self, OpenError> {
        let file_error = |error| OpenError::File { path: path.to_owned(), error };
        make(path).map_err(file_error)?;
        let lock_path = path.join("lock");
        let lock = File::options().read(true).write(true).create(true).truncate(false).open(&lock_path);
        let lock = lock.map_err(|error| OpenError::File { path: lock_path.clone(), error })?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(OpenError::File { path: lock_path, error }),
        }
    }

    /// Opens the file of `role`, and checks it. A new one is made under another name and renamed when it is whole, since a
    /// crash while redb makes a file leaves one that cannot be opened.
    pub(crate) fn database(&self, role: Role, cache_bytes: usize) -> Result<Database, OpenError> {
        let path = self.path.join(role.file_name());
        let exists = path.try_exists().map_err(|error| OpenError::File { path: path.clone(), error })?;
        if !exists {
            let new = path.with_extension("new");
            make_database(&new, &path, cache_bytes).map_err(|error| failed(&path, error))?;
            sync_directory(&self.path).map_err(|error| OpenError::Damaged { path: path.clone(), error })?;
        }
        builder(cache_bytes).open(&path).map_err(|error| failed(&path, error))
    }
}

/// How databases are opened: with a check of every page, since redb would serve what a flipped bit made of one.
pub(crate) fn builder(cache_bytes: usize) -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(cache_bytes).set_check_integrity_on_open(true);
    builder
}

/// Only the node's user may look: the state holds keys, if wrapped ones.
fn make(path: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn make_database(new: &Path, path: &Path, cache_bytes: usize) -> Result<(), DatabaseError> {
    match std::fs::remove_file(new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    builder(cache_bytes).create(new)?.close()?;
    File::open(new)?.sync_all()?;
    Ok(std::fs::rename(new, path)?)
}

fn failed(path: &Path, error: DatabaseError) -> OpenError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            OpenError::Locked { path }
        }
        DatabaseError::Storage(redb::StorageError::Io(error)) => OpenError::File { path, error },
        error => OpenError::Damaged { path, error: StoreError::from(error) },
    }
}
