//! Why a journal does not open, does not take a record, or stopped.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Why a journal's folder cannot be used, or stopped being used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The system refused.
    #[error("`{path}` {what}: {error}")]
    File {
        /// Which file or folder.
        path: PathBuf,
        /// What was tried: cannot be read, written, ….
        what: &'static str,
        /// What the system says.
        error: std::io::Error,
    },
    /// Another process has the folder open.
    #[error("`{path}` is in use by another process")]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The folder belongs to another node or another cluster.
    #[error("`{path}` is the journal of `{found}`, not of `{wanted}`")]
    OtherNode {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Who asked.
        wanted: String,
    },
    /// What was synced has changed or is gone.
    #[error("`{path}` is damaged: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// There is a log of this incarnation, or of a later one: no life appends to another's, and incarnations rise.
    #[error("the incarnation {0}, or a later one, has a log already")]
    Used(u64),
    /// An earlier life's log is not closed yet.
    #[error("the log of the incarnation {0} is not closed")]
    Unclosed(u64),
    /// The key is not named after the log.
    #[error("the key is of another log")]
    Key,
}

impl JournalError {
    /// A stable word for metrics and reports.
    pub fn code(&self) -> &'static str {
        match self {
            Self::File { .. } => "journal_file",
            Self::Locked { .. } => "journal_locked",
            Self::OtherNode { .. } => "journal_other_node",
            Self::Damaged { .. } => "journal_damaged",
            Self::Used(_) => "journal_used",
            Self::Unclosed(_) => "journal_unclosed",
            Self::Key => "journal_key",
        }
    }

    /// Whether it may work later, once an operator made room or stopped the other process.
    pub fn retryable(&self) -> bool {
        match self {
            Self::File { .. } | Self::Locked { .. } => true,
            Self::OtherNode { .. } | Self::Damaged { .. } | Self::Used(_) | Self::Unclosed(_) | Self::Key => {
                false
            }
        }
    }
}

/// A record was not taken, or not kept. In any case nothing may be answered on the strength of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// Too much waits already.
    #[error("too many records wait for the journal")]
    Busy,
    /// The log is closed.
    #[error("the journal is closed")]
    Closed,
    /// More chains than [`aegis_model::caps::AUDIT_CHAINS_MAX`].
    #[error("the log has too many chains")]
    Chains,
    /// Ends of segments, gaps and the chain `log` are the journal's own.
    #[error("only the journal itself writes such records")]
    Own,
    /// The disk failed or is full. Whether the record is in the log is not known.
    #[error("the journal failed: {0}")]
    Failed(Arc<str>),
}

impl NotKept {
    /// A stable word for metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Busy => "journal_busy",
            Self::Closed => "journal_closed",
            Self::Chains => "journal_chains",
            Self::Own => "journal_own",
            Self::Failed(_) => "journal_failed",
        }
    }

    /// Whether the same call may work at this node a little later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Busy => true,
            Self::Closed | Self::Chains | Self::Own | Self::Failed(_) => false,
        }
    }
}

/// The journal's failure: said once, seen by everybody, never taken back. After a failed sync nobody knows what the disk
/// has, and a second try that succeeds would hide it.
#[derive(Debug, Clone, Default)]
pub(super) struct Failure(Arc<OnceLock<Arc<str>>>);

impl Failure {
    pub(super) fn declare(&self, what: &str) -> Arc<str> {
        let mut first = false;
        let kept = self.0.get_or_init(|| {
            first = true;
            what.into()
        });
        if first {
            tracing::error!(what, "the journal failed; nothing can be decided at this node any more");
        }
        Arc::clone(kept)
    }

    pub(super) fn get(&self) -> Option<Arc<str>> {
        self.0.get().cloned()
    }
}
