//! Tokens and hashes: HMAC-SHA-256 under a key of the tenant, derived per kind.
//!
//! Source: RFC 2104, FIPS 198-1. The key of a use is the HMAC of its label under the tenant's key, so that the same value as
//! another kind gives another token.

use aegis_model::secret::Secret;
use aws_lc_rs::hmac;

use crate::finding::Via;
use crate::kind::{Group, Kind};

/// A tenant's key for tokens and hashes, and which version of it. Versions rotate: tokens of different versions differ, and
/// say which they are of.
#[derive(Debug, Clone)]
pub struct Key {
    version: u32,
    key: Secret<[u8; 32]>,
}

impl Key {
    /// The key of this version.
    pub fn new(version: u32, key: [u8; 32]) -> Self {
        Self { version, key: Secret::new(key) }
    }

    /// `<kind:v1:…>`, with 128 bits of the code.
    pub(super) fn token(&self, kind: &str, value: &[u8]) -> String {
        format!("<{kind}:v{}:{}>", self.version, self.code(&["aegis-dlp-token\0", kind], value))
    }

    /// `hmac-sha256:v1:…`, with 128 bits of the code.
    pub(super) fn hash(&self, value: &[u8]) -> String {
        format!("hmac-sha256:v{}:{}", self.version, self.code(&["aegis-dlp-hash"], value))
    }

    fn code(&self, label: &[&str], value: &[u8]) -> String {
        use std::fmt::Write;
        let under = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
        let derived = under(self.key.expose(), label.concat().as_bytes());
        let code = under(derived.as_ref(), value);
        let mut text = String::with_capacity(32);
        for byte in &code.as_ref()[..16] {
            write!(text, "{byte:02x}").expect("writing to a string does not fail");
        }
        text
    }
}

/// A value as it is compared: numbers of people and accounts without what joins their groups, in capitals. What was hidden is
/// compared as it was written.
pub(super) fn normal(kind: Kind, via: Via, value: &[u8]) -> Vec<u8> {
    if via == Via::Plain && number_like(kind, value) {
        return value
            .iter()
            .filter(|byte| byte.is_ascii_alphanumeric())
            .map(u8::to_ascii_uppercase)
            .collect();
    }
    value.to_vec()
}

/// Whether it is a number of a person or an account, by its kind and by its characters.
pub(super) fn number_like(kind: Kind, value: &[u8]) -> bool {
    let group = kind.about().map(|about| about.group);
    matches!(group, Some(Group::Personal | Group::Financial | Group::Health))
        && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b" -./()_+#".contains(byte))
}
