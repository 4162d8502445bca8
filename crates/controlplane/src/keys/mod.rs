//! The cluster's private keys: in the replicated state only wrapped, in memory only as [`SigningKey`].
//!
//! A *cluster key* ([`ClusterKey`]) is 32 bytes in a file that each control node reads; it is never in Raft, in a
//! snapshot or in a backup. Under it the state's private keys are wrapped ([`wrap`]), each bound to the cluster, to its
//! own id and to what it signs, so that a row cannot be moved to where it would mean something else. What the state
//! holds becomes keys to sign and to verify with in [`keyring`].
//!
//! There may be several cluster keys while one replaces another: the first wraps, all unwrap.

pub mod cluster_key;
pub mod keyring;
pub mod tenants;
pub mod wrap;

use std::fmt;

pub use aegis_identity::keys::SigningKey;
use aegis_proto::control as proto;
pub use cluster_key::{ClusterKey, ClusterKeyError, ClusterKeyId, ClusterKeys};
pub use keyring::{
    KeysError, add_key, cluster_id, control_log_key, first_keys, manifest_trust, minter, rewrapping,
    rotation, signing_key, token_trust,
};
pub use tenants::{
    first_tenant_key, sealing_key, tenant_key_rotation, tenant_keys_rewrapping, unwrapped_tenant_keys,
};
pub use wrap::{Owner, UnwrapError};

/// What a key of the cluster signs. A key signs one kind of thing only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// Manifests of policy versions.
    Manifest,
    /// Tokens of agents.
    AgentToken,
    /// Tokens of people.
    PersonToken,
    /// Checkpoints of the control log.
    ControlLog,
}

impl KeyKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Manifest, Self::AgentToken, Self::PersonToken, Self::ControlLog];

    /// A stable word, part of what a wrapped key is bound to.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::AgentToken => "agent-token",
            Self::PersonToken => "person-token",
            Self::ControlLog => "control-log",
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<KeyKind> for proto::KeyKind {
    fn from(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Manifest => Self::Manifest,
            KeyKind::AgentToken => Self::AgentToken,
            KeyKind::PersonToken => Self::PersonToken,
            KeyKind::ControlLog => Self::ControlLog,
        }
    }
}

impl TryFrom<proto::KeyKind> for KeyKind {
    type Error = ();

    /// Nothing for a kind that was not said.
    fn try_from(kind: proto::KeyKind) -> Result<Self, ()> {
        match kind {
            proto::KeyKind::Manifest => Ok(Self::Manifest),
            proto::KeyKind::AgentToken => Ok(Self::AgentToken),
            proto::KeyKind::PersonToken => Ok(Self::PersonToken),
            proto::KeyKind::ControlLog => Ok(Self::ControlLog),
            proto::KeyKind::Unspecified => Err(()),
        }
    }
}
