//! Which log it is: cluster, node and incarnation.

use std::fmt;
use std::str::FromStr;

use aegis_model::caps;
use aegis_model::ids::ClusterId;

use crate::keys::KeyName;

/// The origin of a data node's log: `CLUSTER/NODE/INCARNATION`. One life of a node is one log, and no later life appends
/// to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    cluster: ClusterId,
    node: String,
    incarnation: u64,
}

/// A text or a name that is no part of an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an origin is `CLUSTER/NODE/INCARNATION`, the node up to {} of `A-Z a-z 0-9 _ . -`",
    caps::NODE_NAME_BYTES_MAX
)]
pub struct BadOrigin;

impl Origin {
    /// The log of this life of this node.
    ///
    /// # Errors
    /// [`BadOrigin`]: the node has no name that could stand there.
    pub fn new(cluster: ClusterId, node: &str, incarnation: u64) -> Result<Self, BadOrigin> {
        let fits = (1..=caps::NODE_NAME_BYTES_MAX).contains(&node.len());
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if fits && node.bytes().all(valid) {
            Ok(Self { cluster, node: node.to_owned(), incarnation })
        } else {
            Err(BadOrigin)
        }
    }

    /// The cluster.
    pub fn cluster(&self) -> &ClusterId {
        &self.cluster
    }

    /// The node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Which life of the node.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The name of the log's key: the origin itself.
    pub fn key_name(&self) -> KeyName {
        self.to_string().parse().expect("an origin has only characters that a key's name may have")
    }
}

impl FromStr for Origin {
    type Err = BadOrigin;
    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let mut parts = text.split('/');
        let (Some(cluster), Some(node), Some(number), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BadOrigin);
        };
        let incarnation = number.parse().map_err(|_withheld| BadOrigin)?;
        let origin = Self::new(cluster.parse().map_err(|_withheld| BadOrigin)?, node, incarnation)?;
        if origin.to_string() == text { Ok(origin) } else { Err(BadOrigin) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.cluster, self.node, self.incarnation)
    }
}
