//! Names and identifiers, each a type of its own, each bounded and of a known alphabet.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::caps;

/// Why a text is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {kind} has 1 to {max} characters of {alphabet}")]
pub struct BadName {
    kind: &'static str,
    max: usize,
    alphabet: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:expr, $alphabet:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                let valid: fn(u8) -> bool = $valid;
                if text.is_empty() || text.len() > $max || !text.bytes().all(valid) {
                    return Err(BadName { kind: $kind, max: $max, alphabet: $alphabet });
                }
                Ok(Self(text.into()))
            }
        }
        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

/// Whether `byte` may stand in a tool, action or agent name.
pub fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'/' | b'-')
}

name!(
    /// A tool's name.
    ToolName, "tool name", caps::NAME_BYTES_MAX, "`A-Z a-z 0-9 _ . : / -`", is_name_byte
);
name!(
    /// An action's name.
    ActionName, "action name", caps::NAME_BYTES_MAX, "`A-Z a-z 0-9 _ . : / -`", is_name_byte
);
name!(
    /// An agent's name, unique within its tenant.
    AgentId, "agent name", caps::NAME_BYTES_MAX, "`A-Z a-z 0-9 _ . : / -`", is_name_byte
);
name!(
    /// A tenant's name, unique in the cluster.
    TenantId, "tenant name", caps::NAME_BYTES_MAX, "`A-Z a-z 0-9 _ . : / -`", is_name_byte
);
name!(
    /// An organization's name.
    OrgId, "organization name", caps::NAME_BYTES_MAX, "`A-Z a-z 0-9 _ . : / -`", is_name_byte
);
name!(
    /// A cluster's name: chosen when it is made, in every manifest and person token of it.
    ClusterId, "cluster id", caps::CLUSTER_ID_BYTES_MAX, "`A-Z a-z 0-9 _ . : / -`", is_name_byte
);
name!(
    /// A person who administers the cluster, e.g. an e-mail address.
    PersonId, "person", caps::NAME_BYTES_MAX, "`A-Z a-z 0-9 _ . : / - @ +`", |byte| is_name_byte(byte) || matches!(byte, b'@' | b'+')
);
name!(
    /// A client's own id of a request.
    RequestId, "request id", caps::REQUEST_ID_BYTES_MAX, "printable ASCII", |byte| byte.is_ascii_graphic()
);

impl ActionName {
    /// The action of a call that names none.
    pub fn default_call() -> Self {
        Self("call".into())
    }
}
