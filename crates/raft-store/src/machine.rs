//! What a replicated state is to this crate: a set of tables, and a pure function that applies commands to them.

use crate::tables::{StateWrite, StoreError, Table};
use crate::types::Response;

/// Where in the log, and at which time, a command is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The index of the entry in the Raft log.
    pub index: u64,
    /// The command's number within its entry, from 0.
    pub position: u32,
    /// The log time in force, in milliseconds since 1970: monotone, the same on every node.
    pub log_time_ms: u64,
}

/// The replicated state machine.
///
/// # Contract
/// - [`Machine::apply`] depends on the tables and its arguments only: no clock, no randomness, no order of a hash map
///   (RAFT-2). The same command at the same place gives the same writes and the same response on every node.
/// - A command that is refused writes nothing and says so in its response; an `Err` means that the storage failed, and
///   stops the node.
/// - All writes of an entry, and the note that it was applied, become durable together or not at all.
pub trait Machine: Send + Sync + 'static {
    /// Every table that makes up the state, in a fixed order. Snapshots and digests cover exactly these.
    fn tables(&self) -> &'static [Table];

    /// Applies one command.
    ///
    /// # Errors
    /// The storage failed.
    fn apply(&self, state: &mut StateWrite<'_>, place: Place, command: &[u8])
    -> Result<Response, StoreError>;
}
