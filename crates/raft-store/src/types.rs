//! The types that Raft is generic over.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

openraft::declare_raft_types!(
    /// What this project's Raft replicates.
    pub TypeConfig:
        D = Batch,
        R = Vec<Response>,
        NodeId = NodeId,
        Node = Peer,
        SnapshotData = SnapshotFile,
);

/// A control node: a random number that is never used again, also not by the same machine after it was wiped.
pub type NodeId = u64;

/// Raft, over these types.
pub type Raft = openraft::Raft<TypeConfig>;

/// Where a control node is reached by its peers, and for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its name, e.g. `control-1`.
    pub name: String,
    /// Its gRPC address, e.g. `https://control-1:7071`.
    pub address: String,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.address)
    }
}

/// One Raft entry: every command that was gathered while the last one was being synced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The leader's proposed log time, in milliseconds since 1970; it never goes back when it is applied.
    pub log_time_ms: u64,
    /// The commands, in order. What they mean is the machine's matter.
    pub commands: Vec<Vec<u8>>,
}

/// What a machine answers to one command: bytes of its own.
pub type Response = Vec<u8>;

/// A snapshot on its way from one node to another: a file of the form that [`crate::snapshot`] describes.
///
/// The receiver gets an empty one from Raft's `begin_receiving_snapshot`, fills it, and looks at it with
/// [`SnapshotFile::check`] before it hands it on: Raft takes a damaged snapshot for a failed disk, and stops.
#[derive(Debug)]
pub struct SnapshotFile {
    /// The open file, at its beginning.
    pub file: tokio::fs::File,
    /// Where it is; it may have been removed or renamed since, which an open file does not mind.
    pub path: PathBuf,
}
