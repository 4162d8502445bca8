//! The handle through which everything else of the control plane changes and reads the replicated state.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aegis_model::caps;
use aegis_proto::control::{Done, done};
use aegis_raft_store::tables::{StateDigest, StateView, StoreError};
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::command::actor::Actor;
use crate::command::response::{self, Answer, BadResponse};
use crate::command::{Refused, Request};

/// Proposes commands and reads the state. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    replicate: Arc<dyn Replicate>,
}

/// How commands become part of the state. Raft in a cluster, and [`Direct`](crate::testing::Direct) in tests.
///
/// # Contract
/// - [`Replicate::propose`] returns what the state machine answered, after the entry was applied on the node that
///   answers. It may be called on any node. When its future is dropped, the command may still be applied.
/// - After [`Replicate::linearize`] returned, [`Replicate::view`] shows every command that was answered, by any node,
///   before the call.
/// - [`Replicate::applied`] changes after each applied entry; entries that follow each other closely may change it once.
pub trait Replicate: Send + Sync + 'static {
    /// Replicates one encoded command: the encoded answer.
    fn propose(&self, command: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, ProposeError>>;

    /// Waits until everything that was answered so far is applied here.
    fn linearize(&self) -> BoxFuture<'_, Result<(), ReadError>>;

    /// The state that is applied here.
    ///
    /// # Errors
    /// The storage failed.
    fn view(&self) -> Result<StateView, StoreError>;

    /// Where this node is.
    fn applied(&self) -> watch::Receiver<Applied>;
}

/// The newest entry that a node has applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// The history; zero before the cluster was made.
    pub history: u64,
    /// The index of the entry.
    pub index: u64,
    /// Its log time, in milliseconds since 1970. Quorum-confirmed, as everything that is applied.
    pub log_time_ms: u64,
    /// The digest of the state with it: equal on every node that is at `index` (RAFT-2).
    pub digest: StateDigest,
}

/// A command was not done, or it is unknown whether it was.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// It was refused, and nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It is longer than a command may be; it was not proposed.
    #[error("the command has {bytes} bytes, and at most {} are replicated", caps::COMMAND_BYTES_MAX)]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// Too many commands wait; it was not proposed.
    #[error("too many commands wait to be replicated")]
    Overloaded,
    /// There is no leader to replicate it; it was not proposed.
    #[error("no leader can be reached: {0}")]
    Unavailable(String),
    /// It was proposed, and nobody knows whether it was or will be applied: repeat it under its idempotency key.
    #[error("it is unknown whether the command was applied: {0}")]
    Unknown(String),
    /// This node's storage failed, and it stops.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The answer has no known form.
    #[error(transparent)]
    Response(#[from] BadResponse),
}

impl ProposeError {
    /// Whether the same command may succeed later, without anybody correcting it.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Refused(refused) => refused.code.retryable(),
            Self::TooLarge { .. } => false,
            Self::Overloaded
            | Self::Unavailable(_)
            | Self::Unknown(_)
            | Self::Store(_)
            | Self::Response(_) => true,
        }
    }

    /// Whether it is certain that the command was not applied.
    pub fn certainly_not_applied(&self) -> bool {
        match self {
            Self::Refused(_) | Self::TooLarge { .. } | Self::Overloaded | Self::Unavailable(_) => true,
            Self::Unknown(_) | Self::Store(_) | Self::Response(_) => false,
        }
    }

    /// Why it was refused, if it was.
    pub fn refused(&self) -> Option<&Refused> {
        match self {
            Self::Refused(refused) => Some(refused),
            Self::TooLarge { .. }
            | Self::Overloaded
            | Self::Unavailable(_)
            | Self::Unknown(_)
            | Self::Store(_)
            | Self::Response(_) => None,
        }
    }
}

/// The state cannot be read as of now.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no leader that could say how far the log is.
    #[error("no leader can be reached: {0}")]
    Unavailable(String),
    /// This node did not catch up in time.
    #[error("this node did not catch up within {} seconds", caps::READ_SECONDS)]
    Timeout,
    /// This node's storage failed, and it stops.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Control {
    /// The handle over a way to replicate.
    pub fn new(replicate: impl Replicate) -> Self {
        Self { replicate: Arc::new(replicate) }
    }

    /// Replicates a command and waits until it is applied: what was done. From any node.
    ///
    /// # Errors
    /// See [`ProposeError`]; after [`caps::PROPOSE_SECONDS`], [`ProposeError::Unknown`].
    pub async fn propose(&self, request: impl Into<Request>, actor: &Actor) -> Result<Answer, ProposeError> {
        let bytes = request.into().encode(actor);
        if bytes.len() > caps::COMMAND_BYTES_MAX {
            return Err(ProposeError::TooLarge { bytes: bytes.len() });
        }
        let deadline = Duration::from_secs(caps::PROPOSE_SECONDS);
        let answer = tokio::time::timeout(deadline, self.replicate.propose(bytes)).await;
        let late = |_elapsed| ProposeError::Unknown("no answer in time".to_owned());
        Ok(response::read(&answer.map_err(late)??)??)
    }

    /// The state with every command that was answered before, by any node (linearizable).
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read(&self) -> Result<StateView, ReadError> {
        let deadline = Duration::from_secs(caps::READ_SECONDS);
        let done = tokio::time::timeout(deadline, self.replicate.linearize()).await;
        done.map_err(|_elapsed| ReadError::Timeout)??;
        Ok(self.replicate.view()?)
    }

    /// The state as far as this node has applied it.
    ///
    /// # Errors
    /// The storage failed.
    pub fn view(&self) -> Result<StateView, StoreError> {
        self.replicate.view()
    }

    /// Where this node is. Changes after each applied entry, or after several that follow each other closely.
    pub fn applied(&self) -> watch::Receiver<Applied> {
        self.replicate.applied()
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

impl Answer {
    /// The row that the command made or changed.
    pub fn result(&self) -> Option<&done::Result> {
        let Done { result, .. } = &self.done;
        result.as_ref()
    }
}
