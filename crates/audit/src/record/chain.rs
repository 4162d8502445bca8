//! Whose record it is: a tenant's, the node's own, or the log's.

use std::fmt;
use std::str::FromStr;

use aegis_model::ids::TenantId;
use serde::{Deserialize, Serialize};

/// The chain that a record belongs to. Each has its own numbers and links within a log, its own segments, and its own
/// retention. As text: `tenant/NAME`, `node` or `log`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Chain {
    /// What the log says of itself: ends of segments. Nothing of any tenant stands in it, so that it can go with every
    /// export (TEN-1).
    Log,
    /// What belongs to no tenant: refusals without a proven principal.
    Node,
    /// What belongs to this tenant.
    Tenant(TenantId),
}

/// A text that names no chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a chain is `log`, `node` or `tenant/` and the name of a tenant")]
pub struct BadChain;

impl FromStr for Chain {
    type Err = BadChain;
    fn from_str(text: &str) -> Result<Self, BadChain> {
        match text {
            "log" => Ok(Self::Log),
            "node" => Ok(Self::Node),
            _ => {
                let name = text.strip_prefix("tenant/").ok_or(BadChain)?;
                name.parse().map(Self::Tenant).map_err(|_withheld| BadChain)
            }
        }
    }
}

impl TryFrom<String> for Chain {
    type Error = BadChain;
    fn try_from(text: String) -> Result<Self, BadChain> {
        text.parse()
    }
}

impl From<Chain> for String {
    fn from(chain: Chain) -> Self {
        chain.to_string()
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log => f.write_str("log"),
            Self::Node => f.write_str("node"),
            Self::Tenant(name) => write!(f, "tenant/{name}"),
        }
    }
}
