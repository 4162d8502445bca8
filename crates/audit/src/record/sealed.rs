//! Values that stood where tokens stand now, sealed: whoever reads the record sees which tokens can be taken back, and no value.

use aegis_model::ids::TenantId;
use serde::{Deserialize, Serialize};

/// The label of what a sealing belongs to.
const LABEL: &[u8] = b"aegis/sealed-record/v1";

/// Values that tokens stand for, sealed to the tenant's sealing key of one version.
///
/// What is sealed is a JSON object of the values by their tokens. What it belongs to, and so is bound to, says [`Sealed::about`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// The version of the tenant's key.
    pub key: u64,
    /// The tokens, in the order of their bytes.
    pub tokens: Vec<String>,
    /// The sealing, in base64 (RFC 4648, section 4).
    pub values: String,
}

impl Sealed {
    /// What a sealing of these tokens belongs to: the label, and the tenant, the version of its key and the tokens, each with its
    /// length before it (8 bytes, big-endian).
    pub fn about(tenant: &TenantId, key: u64, tokens: &[String]) -> Vec<u8> {
        let mut about = LABEL.to_vec();
        let mut push = |part: &[u8]| {
            about.extend_from_slice(&(part.len() as u64).to_be_bytes());
            about.extend_from_slice(part);
        };
        push(tenant.as_str().as_bytes());
        push(&key.to_be_bytes());
        tokens.iter().for_each(|token| push(token.as_bytes()));
        about
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_belongs_to_cannot_be_told_in_two_ways() {
        let about = |tenant: &str, key, tokens: &[&str]| {
            let tokens: Vec<String> = tokens.iter().map(|token| (*token).to_owned()).collect();
            Sealed::about(&tenant.parse().unwrap(), key, &tokens)
        };
        let one = about("acme", 1, &["<a>", "<b>"]);
        for other in [
            about("acme", 1, &["<a><b>"]),
            about("acme", 1, &["<b>", "<a>"]),
            about("acme", 2, &["<a>", "<b>"]),
            about("acm", 1, &["<a>", "<b>"]),
        ] {
            assert_ne!(one, other);
        }
    }
}
