//! Backups: a snapshot outside of a node's directory, and a new node made from one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openraft::{Membership, StoredMembership};
use redb::Database;

use crate::identity::{self, FORMAT, Identity, Role, fresh_node_id};
use crate::log;
use crate::machine::Machine;
use crate::snapshot::{self, Head, Source, sync_directory};
use crate::state::{self, Placed, blocking};
use crate::store::{Directory, OpenError, StoreHandle, StoreOptions};
use crate::tables::{StateView, StoreError};
use crate::types::{NodeId, Peer};

/// Why a node cannot be made from a backup.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is something in the directory already.
    #[error("`{path}` is not empty: a backup is restored into a new directory")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// The backup is of a cluster in which nothing happened yet.
    #[error("the backup is empty")]
    Nothing,
    /// The backup cannot be read or is damaged.
    #[error("`{path}`: {error}")]
    Backup {
        /// The backup.
        path: PathBuf,
        /// What is wrong with it.
        error: StoreError,
    },
    /// The directory cannot be made.
    #[error(transparent)]
    Directory(#[from] OpenError),
    /// Writing failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The new node, the only member of the cluster.
    pub node_id: NodeId,
    /// The number of the cluster's history from now on.
    pub history: u64,
    /// The backup's head.
    pub backup: Head,
}

impl StoreHandle {
    /// Writes the state as it is now on this node to a new file at `path`, synced. The node goes on meanwhile.
    ///
    /// # Errors
    /// There is a file already, it cannot be written, or the store failed.
    pub async fn write_backup(&self, path: &Path) -> Result<Head, StoreError> {
        let frozen = self.state().freeze().await?;
        let (machine, path) = (Arc::clone(self.machine()), path.to_owned());
        blocking(move || {
            let head = frozen.head();
            let file = File::options().read(true).write(true).create_new(true).open(&path);
            let mut file = file.map_err(|error| StoreError::file("make the backup", error))?;
            snapshot::write(&mut file, &head, &StateView::new(frozen.transaction), machine.tables())?;
            file.sync_all().map_err(|error| StoreError::file("sync the backup", error))?;
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                sync_directory(folder)?;
            }
            Ok(head)
        })
        .await
    }
}

/// Reads a whole backup, checks it, and gives its head. Blocks.
///
/// # Errors
/// It is damaged, of a newer version, or cannot be read.
pub fn check(path: &Path) -> Result<Head, StoreError> {
    snapshot::check(File::open(path).map_err(|error| StoreError::file("open the backup", error))?)
}

/// Makes a node with the state of `backup` in `directory`, which is empty or does not exist: under a new id, the only
/// member of its cluster, in a new history. Other nodes join it with empty directories. Blocks.
///
/// A crash in between leaves a directory that is not empty and cannot be opened as a node: remove it, and try again.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore(
    directory: &Path,
    backup: &Path,
    peer: Peer,
    options: &StoreOptions,
    machine: &dyn Machine,
) -> Result<Restored, RestoreError> {
    let unreadable = |error| RestoreError::Backup { path: backup.to_owned(), error };
    let head = check(backup).map_err(unreadable)?;
    let last = head.last_log_id.ok_or(RestoreError::Nothing)?;
    let directory = empty(directory)?;
    let node_id = options.node_id.unwrap_or_else(fresh_node_id);
    let identity =
        Identity { format: FORMAT, role: Role::State, node_id, cluster_id: options.cluster_id.clone() };

    // The state first: a log without its state, or a state with an unborn log, is refused by `Store::open`.
    let database = directory.database(Role::State, options.state_file_cache_bytes)?;
    let file = File::open(backup).map_err(|error| unreadable(StoreError::file("open the backup", error)))?;
    let mut source = Source::open(file).map_err(unreadable)?;
    let history = head.history + 1;
    let membership = alone(last, node_id, peer);
    fill(&database, &identity, |transaction| {
        let read = state::replace(transaction, &Placed::default(), machine, &mut source)?;
        let mut placed = Placed { standing: read.standing.clone(), membership };
        placed.standing.history = history;
        state::write(transaction, &read, &placed)
    })?;
    database.close().map_err(StoreError::from)?;

    let database = directory.database(Role::Log, options.log_file_cache_bytes)?;
    let identity = Identity { role: Role::Log, ..identity };
    fill(&database, &identity, |transaction| log::plant(transaction, last, node_id))?;
    database.close().map_err(StoreError::from)?;
    Ok(Restored { node_id, history, backup: head })
}

/// Locks `directory`, if nothing is in it.
fn empty(directory: &Path) -> Result<Directory, RestoreError> {
    let listed = match std::fs::read_dir(directory) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(OpenError::File { path: directory.to_owned(), error }.into()),
    };
    if listed {
        return Err(RestoreError::NotEmpty { path: directory.to_owned() });
    }
    Ok(Directory::lock(directory)?)
}

/// The members after a restore: the new node, since the entry that the backup ends with.
fn alone(last: openraft::LogId<NodeId>, node_id: NodeId, peer: Peer) -> StoredMembership<NodeId, Peer> {
    let members = Membership::new(vec![BTreeSet::from([node_id])], BTreeMap::from([(node_id, peer)]));
    StoredMembership::new(Some(last), members)
}

fn fill(
    database: &Database,
    identity: &Identity,
    work: impl FnOnce(&redb::WriteTransaction) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut transaction = database.begin_write()?;
    work(&transaction)?;
    identity::write(&transaction, identity)?;
    transaction.set_two_phase_commit(true);
    Ok(transaction.commit()?)
}
