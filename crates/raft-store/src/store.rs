//! A control node's directory, and how it is opened.
//!
//! ```text
//! lock         held while a process has the directory open
//! log.redb     Raft's log and vote
//! state.redb   the replicated state
//! snapshots/   the current snapshot, and those under way
//! ```

mod directory;
mod settle;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aegis_model::caps;
use aegis_model::ids::ClusterId;
use redb::Database;
use tokio::sync::{Mutex, watch};

use crate::checkpoint::Checkpoint;
use crate::failure::Failure;
use crate::identity::Role;
use crate::log::{self, LogCounters, LogReader, LogStore};
use crate::machine::Machine;
use crate::snapshot::SnapshotFiles;
use crate::state::{self, Applied, StateCounters, StateHandle, StateStore};
use crate::tables::{StateView, StoreError};
use crate::types::NodeId;
pub(crate) use directory::{Directory, builder};
pub(crate) use settle::{Settled, settle};

/// How a directory is opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The directory has to be this node's.
    pub node_id: Option<NodeId>,
    /// The directory has to belong to this cluster, or to none yet.
    pub cluster_id: Option<ClusterId>,
    /// Bytes that redb keeps of the log's file.
    pub log_file_cache_bytes: usize,
    /// Bytes that redb keeps of the state's file.
    pub state_file_cache_bytes: usize,
    /// Bytes of the newest entries held in memory.
    pub log_cache_bytes: usize,
    /// How long a purge of the log waits for the snapshot that replaces its entries.
    pub install_patience: Duration,
    /// Refuse what Raft never asks for: a log that does not begin at 0, an entry applied out of turn, a purge of what the
    /// state lacks. Off only for openraft's suite, which asks for all of these.
    pub strict: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            node_id: None,
            cluster_id: None,
            log_file_cache_bytes: caps::RAFT_LOG_FILE_CACHE_BYTES,
            state_file_cache_bytes: caps::RAFT_STATE_FILE_CACHE_BYTES,
            log_cache_bytes: caps::RAFT_LOG_CACHE_BYTES,
            install_patience: Duration::from_secs(caps::RAFT_INSTALL_SECONDS),
            strict: true,
        }
    }
}

/// Why a directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("`{path}` is in use by another process")]
    Locked {
        /// The directory or file.
        path: PathBuf,
    },
    /// A file cannot be made, opened or read.
    #[error("`{path}`: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file is damaged. The node cannot come back under its id: it is removed from the cluster, and a new one joins.
    #[error("`{path}` is damaged: {error}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: StoreError,
    },
    /// One of the two files is gone while the other shows that the node took part. What it promised is lost with it.
    #[error(
        "`{path}` is missing or empty, but node {node_id} has been at work; it must not return without it"
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// The node.
        node_id: NodeId,
    },
    /// A newer version of this program wrote the file.
    #[error("`{path}` has format {found}; this program knows formats up to {known}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest known.
        known: u32,
    },
    /// The file is another one than its name says.
    #[error("`{path}` is not what its name says: was it renamed?")]
    Misnamed {
        /// The file.
        path: PathBuf,
    },
    /// The directory is another node's.
    #[error("`{path}` belongs to node {found}, not to node {expected}")]
    OtherNode {
        /// The file.
        path: PathBuf,
        /// The node it belongs to.
        found: NodeId,
        /// The node it should belong to.
        expected: NodeId,
    },
    /// The directory belongs to another cluster.
    #[error("`{path}` belongs to cluster `{found}`, not to `{expected}`")]
    OtherCluster {
        /// The file.
        path: PathBuf,
        /// The cluster it belongs to.
        found: ClusterId,
        /// The cluster it should belong to.
        expected: ClusterId,
    },
    /// A thread cannot be started.
    #[error("the store's threads cannot be started: {0}")]
    Threads(std::io::Error),
}

/// Opens a node's store.
#[derive(Debug)]
pub enum Store {}

/// What an opened directory gives: the log for Raft, the state for Raft, and the owner's handle.
pub type Opened = (LogStore, StateStore, StoreHandle);

impl Store {
    /// Opens `directory`, which is made if it does not exist: a new node, with an id that was never used, in no cluster.
    ///
    /// Checks everything there is: blocks for as long as it takes to read both files.
    ///
    /// # Errors
    /// See [`OpenError`]. A directory that cannot be opened was not changed.
    pub fn open(
        directory: &Path,
        options: StoreOptions,
        machine: Arc<dyn Machine>,
    ) -> Result<Opened, OpenError> {
        let directory = Directory::lock(directory)?;
        let log = directory.database(Role::Log, options.log_file_cache_bytes)?;
        let state = directory.database(Role::State, options.state_file_cache_bytes)?;
        let Directory { path, lock } = directory;
        Self::over(Files { log, state, directory: path, lock: Some(lock) }, options, machine)
    }

    /// Opens a store over databases that the caller opened; tests put faulty disks under them.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn over(files: Files, options: StoreOptions, machine: Arc<dyn Machine>) -> Result<Opened, OpenError> {
        let Files { log, state, directory, lock } = files;
        let Settled { identity, loaded, placed } = settle(&log, &state, &directory, &options, &*machine)?;
        let lock = lock.map(Arc::new);
        let path = directory.join("snapshots");
        let snapshots = SnapshotFiles::open(path.clone(), placed.standing.last_applied);
        let snapshots = Arc::new(snapshots.map_err(|error| OpenError::Damaged { path, error })?);
        let failure = Failure::default();
        let parts = state::Parts {
            database: state,
            placed,
            machine: Arc::clone(&machine),
            snapshots,
            failure: failure.clone(),
            strict: options.strict,
            lock: lock.clone(),
        };
        let (state_store, state_counters) = state::start(parts).map_err(OpenError::Threads)?;
        let parts = log::Parts {
            database: log,
            loaded,
            state: state_store.handle(),
            failure: failure.clone(),
            cache_bytes: options.log_cache_bytes,
            install_patience: options.install_patience,
            strict: options.strict,
            lock,
        };
        let (log_store, log_counters) = log::start(parts).map_err(OpenError::Threads)?;
        let shared = Arc::new(Shared {
            node_id: identity.node_id,
            cluster: Mutex::new(identity.cluster_id),
            machine,
            failure,
            log_counters,
            state_counters,
        });
        let handle = StoreHandle { shared, log: log_store.reader(), state: state_store.handle() };
        Ok((log_store, state_store, handle))
    }

    /// How this crate opens redb databases: checked in full, with a cache of `cache_bytes`.
    pub fn builder(cache_bytes: usize) -> redb::Builder {
        builder(cache_bytes)
    }
}

/// The files of a store, opened.
#[derive(Debug)]
pub struct Files {
    /// The log's.
    pub log: Database,
    /// The state's.
    pub state: Database,
    /// Where snapshots are kept, in `snapshots/`.
    pub directory: PathBuf,
    /// Held for as long as the store is in use.
    pub lock: Option<File>,
}

/// The owner's handle to a store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StoreHandle {
    shared: Arc<Shared>,
    log: LogReader,
    state: StateHandle,
}

struct Shared {
    node_id: NodeId,
    cluster: Mutex<Option<ClusterId>>,
    machine: Arc<dyn Machine>,
    failure: Failure,
    log_counters: Arc<LogCounters>,
    state_counters: Arc<StateCounters>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("node_id", &self.node_id).finish_non_exhaustive()
    }
}

/// How much was written since the store was opened. A synced transaction of either file costs two syncs of the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Synced transactions of the log's file.
    pub log_synced: u64,
    /// Entries written to the log.
    pub log_entries: u64,
    /// Transactions of the state's file, synced or not.
    pub state_transactions: u64,
    /// Synced transactions of the state's file.
    pub state_synced: u64,
}

/// The node already belongs to another cluster, or that could not be noted.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// It belongs to another one.
    #[error("node {node_id} belongs to cluster `{found}`")]
    OtherCluster {
        /// The node.
        node_id: NodeId,
        /// Its cluster.
        found: ClusterId,
    },
    /// It could not be noted.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StoreHandle {
    /// The node's id.
    pub fn node_id(&self) -> NodeId {
        self.shared.node_id
    }

    /// The cluster that the node belongs to; nothing before it was told one.
    pub async fn cluster_id(&self) -> Option<ClusterId> {
        self.shared.cluster.lock().await.clone()
    }

    /// Binds the node to `cluster`, for good. Binding it again to the same one changes nothing.
    ///
    /// # Errors
    /// It belongs to another cluster, or the store failed.
    pub async fn set_cluster_id(&self, cluster: &ClusterId) -> Result<(), ClusterError> {
        let mut known = self.shared.cluster.lock().await;
        match &*known {
            Some(found) if found == cluster => return Ok(()),
            Some(found) => {
                return Err(ClusterError::OtherCluster { node_id: self.node_id(), found: found.clone() });
            }
            None => {}
        }
        LogStore::set_cluster(&self.log, cluster.clone()).await?;
        self.state.set_cluster(cluster.clone()).await?;
        *known = Some(cluster.clone());
        Ok(())
    }

    /// Whether the storage failed, to be awaited. The owner ends the process then.
    pub fn failure(&self) -> Failure {
        self.shared.failure.clone()
    }

    /// A handle to read the state.
    pub fn state(&self) -> StateHandle {
        self.state.clone()
    }

    /// The state as it is now on this node.
    ///
    /// # Errors
    /// The store failed or is closed.
    pub fn view(&self) -> Result<StateView, StoreError> {
        self.state.view()
    }

    /// How far the state has come.
    pub fn applied(&self) -> watch::Receiver<Applied> {
        self.state.applied()
    }

    /// Digests of the state at the last entries and at agreed ones before them, the oldest first.
    pub fn checkpoints(&self) -> Vec<Checkpoint> {
        self.state.checkpoints()
    }

    /// How much was written since the store was opened.
    pub fn counters(&self) -> Counters {
        let (log, state) = (&self.shared.log_counters, &self.shared.state_counters);
        Counters {
            log_synced: log.synced.load(Ordering::Relaxed),
            log_entries: log.entries.load(Ordering::Relaxed),
            state_transactions: state.transactions.load(Ordering::Relaxed),
            state_synced: state.synced.load(Ordering::Relaxed),
        }
    }

    /// Syncs and closes both files and ends their threads. To be called when Raft has ended; whatever is asked of the
    /// store afterwards fails.
    ///
    /// # Errors
    /// The store failed, now or before.
    pub async fn close(&self) -> Result<(), StoreError> {
        let state = self.state.close().await;
        let log = self.log.close().await;
        state.and(log)
    }

    pub(crate) fn machine(&self) -> &Arc<dyn Machine> {
        &self.shared.machine
    }
}
