//! Names and identifiers, each a type of its own, each bounded and of a known alphabet.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

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
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:expr, $alphabet:literal, $valid:expr $(, $form:expr)?) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
        #[serde(try_from = "String")]
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
                let in_form: fn(&str) -> bool = |_text| true $(&& $form(_text))?;
                if text.is_empty() || text.len() > $max || !text.bytes().all(valid) || !in_form(text) {
                    return Err(BadName { kind: $kind, max: $max, alphabet: $alphabet });
                }
                Ok(Self(text.into()))
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
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

/// Whether a text of letters, digits, `-` and `.` can stand in a certificate as a DNS name, and is taken for no number.
fn is_dns_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=caps::DNS_LABEL_BYTES_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.split('.').all(label) && last.starts_with(|first: char| first.is_ascii_alphabetic())
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
    /// A cluster's name: chosen when it is made, in every manifest, person token and certificate of it. A DNS name in lower
    /// case whose last label begins with a letter.
    ClusterId, "cluster id", caps::CLUSTER_ID_BYTES_MAX, "`a-z 0-9 . -`, a DNS name whose last part begins with a letter",
    |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-'), is_dns_name
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_called_by_a_name_that_can_stand_in_a_certificate() {
        let label = "c".repeat(caps::DNS_LABEL_BYTES_MAX);
        for good in
            ["c", "prod-eu", "prod.eu-1.example", "1.c", "a--b", &label, &format!("{}.c", &label[..62])]
        {
            assert!(good.parse::<ClusterId>().is_ok(), "{good}");
        }
        let too_long = "c.".repeat(caps::CLUSTER_ID_BYTES_MAX / 2) + "c";
        let bad = [
            "",
            "Prod",
            "prod_eu",
            "prod:eu",
            "prod/eu",
            "-a",
            "a-",
            "a..b",
            ".a",
            "a.",
            "a.-b",
            "1",
            "c.1",
            "0xab",
            "prod eu",
            "pr\u{f6}d",
            &format!("{label}c"),
            &too_long,
        ];
        for bad in bad {
            assert!(bad.parse::<ClusterId>().is_err(), "{bad}");
        }
    }
}
