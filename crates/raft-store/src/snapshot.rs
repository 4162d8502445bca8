//! Snapshots: the whole state at one entry, as a file.
//!
//! ```text
//! "AEGISNAP"                                   8 bytes
//! length of the head                           4 bytes, little-endian, as all numbers
//! head                                         JSON: [`Head`]
//! per table:  1  length of the name (2)  name
//!   per record: 2  length of the key (4)  length of the value (4)  key  value
//! end:        3  number of records (8)
//! SHA-256 of everything before                 32 bytes
//! ```
//!
//! The file names no node and no cluster: any cluster can be restored from it, and nodes exchange it. It is written
//! from a view and read record by record, so its size does not matter to memory.

mod files;
mod format;

use std::io::Read;

use openraft::{LogId, SnapshotMeta, StoredMembership};
use serde::{Deserialize, Serialize};

use crate::codec::Standing;
use crate::state::blocking;
use crate::tables::{StateDigest, StoreError};
use crate::types::{NodeId, Peer, SnapshotFile};
pub(crate) use files::{SnapshotFiles, sync_directory};
pub(crate) use format::write;
pub use format::{Source, VERSION};

/// What stands at the beginning of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The form of the file.
    pub version: u32,
    /// The number of the cluster's history.
    pub history: u64,
    /// The last entry that the state has.
    pub last_log_id: Option<LogId<NodeId>>,
    /// The members as of then.
    pub membership: StoredMembership<NodeId, Peer>,
    /// The log time as of then, in milliseconds since 1970.
    pub log_time_ms: u64,
    /// The digest of all records: 64 digits, hexadecimal.
    pub digest: String,
}

impl Head {
    pub(crate) fn new(standing: &Standing, membership: StoredMembership<NodeId, Peer>) -> Self {
        Self {
            version: VERSION,
            history: standing.history,
            last_log_id: standing.last_applied,
            membership,
            log_time_ms: standing.log_time_ms,
            digest: standing.digest.to_string(),
        }
    }

    /// The digest of all records.
    ///
    /// # Errors
    /// It is no digest.
    pub fn digest(&self) -> Result<StateDigest, StoreError> {
        let bytes = from_hex(&self.digest).ok_or_else(|| damaged("its digest is none"))?;
        Ok(StateDigest::from_bytes(&bytes))
    }

    pub(crate) fn standing(&self) -> Result<Standing, StoreError> {
        let &Self { history, last_log_id: last_applied, log_time_ms, .. } = self;
        Ok(Standing { history, last_applied, log_time_ms, digest: self.digest()? })
    }

    /// What Raft is told of it.
    pub fn meta(&self) -> SnapshotMeta<NodeId, Peer> {
        let index = self.last_log_id.map_or(0, |log_id| log_id.index);
        let digest = self.digest.get(..16).unwrap_or_default();
        SnapshotMeta {
            last_log_id: self.last_log_id,
            last_membership: self.membership.clone(),
            snapshot_id: format!("{}-{index}-{digest}", self.history),
        }
    }

    /// Whether Raft was told the same of it.
    pub(crate) fn check_meta(&self, told: &SnapshotMeta<NodeId, Peer>) -> Result<(), StoreError> {
        let same = self.last_log_id == told.last_log_id && self.membership == told.last_membership;
        if same { Ok(()) } else { Err(damaged("it is not the one that was announced")) }
    }
}

impl SnapshotFile {
    /// Reads the whole file, checks every length and the checksum at its end, and gives its head; the file is at its
    /// beginning then. A receiver does this before it hands the snapshot to Raft.
    ///
    /// # Errors
    /// It is damaged, of a newer version, or cannot be read.
    pub async fn check(&mut self) -> Result<Head, StoreError> {
        let file = self.file.try_clone().await.map_err(|error| StoreError::file("copy a handle", error))?;
        let file = file.into_std().await;
        blocking(move || check(file)).await
    }
}

/// Reads a whole snapshot and checks it. Blocks.
pub(crate) fn check(file: std::fs::File) -> Result<Head, StoreError> {
    let mut again = file.try_clone().map_err(|error| StoreError::file("copy a handle", error))?;
    let head = check_whole(&mut Source::open(file)?)?;
    std::io::Seek::rewind(&mut again).map_err(|error| StoreError::file("rewind a snapshot", error))?;
    Ok(head)
}

fn check_whole(source: &mut Source<impl Read>) -> Result<Head, StoreError> {
    source.skip_records()?;
    source.head().digest()?;
    Ok(source.head().clone())
}

fn damaged(what: &str) -> StoreError {
    StoreError::Broken(format!("the snapshot is damaged: {what}"))
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}
