//! Why a version was not published, read or compared.

use aegis_identity::manifest::ManifestRefusal;
use aegis_raft_store::tables::StoreError;

use super::build::Rejected;
use crate::control::{ProposeError, ReadError};
use crate::keys::KeysError;

/// Why a version was not published, read or compared.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The policy or the bundle is wrong.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// Too many publications are in progress, or this one waited too long for its turn.
    #[error("too many publications are in progress")]
    Busy,
    /// Others took the number again and again.
    #[error("other versions were published at the same time, again and again")]
    Contended,
    /// A command was refused or its outcome is unknown.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// The state cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The tenant has no such version.
    #[error("the tenant has no version {0}")]
    UnknownVersion(u64),
    /// The version's bundle was given up.
    #[error("the bundle of version {0} was given up")]
    VersionRetired(u64),
    /// What is stored is not what was published.
    #[error("the stored bundle of version {0} is not what was published")]
    Damaged(u64),
    /// The manifest cannot be signed.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The manifest cannot be made.
    #[error(transparent)]
    Manifest(#[from] ManifestRefusal),
    /// The compiler failed instead of refusing: a fault of ours.
    #[error("the compiler failed")]
    Compiler,
    /// The storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PublishError {
    /// A stable word; of a refused command, the command's own.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rejected(Rejected::Policy(_)) => "policy_rejected",
            Self::Rejected(Rejected::Sources(_)) => "sources_rejected",
            Self::Rejected(Rejected::Unpack(_)) => "bundle_unreadable",
            Self::Rejected(Rejected::NotReproducible { .. }) => "bundle_not_reproducible",
            Self::Rejected(Rejected::TooLarge(_)) => "bundle_too_large",
            Self::Busy => "publications_busy",
            Self::Contended => "version_contended",
            Self::Propose(error) => error.refused().map_or("unavailable", |refused| refused.code.as_str()),
            Self::Read(_) | Self::Store(_) => "unavailable",
            Self::UnknownVersion(_) => "unknown_version",
            Self::VersionRetired(_) => "version_retired",
            Self::Damaged(_) => "version_damaged",
            Self::Keys(_) => "keys_unusable",
            Self::Manifest(refusal) => refusal.code(),
            Self::Compiler => "compiler_failed",
        }
    }

    /// Whether the same publication may succeed later, without anybody correcting it.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Busy | Self::Contended | Self::Read(_) | Self::Store(_) => true,
            Self::Propose(error) => error.retryable(),
            Self::Rejected(_)
            | Self::UnknownVersion(_)
            | Self::VersionRetired(_)
            | Self::Damaged(_)
            | Self::Keys(_)
            | Self::Manifest(_)
            | Self::Compiler => false,
        }
    }
}
