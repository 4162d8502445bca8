//! A signed receipt: the log's word that an entry stands at an index, given before there is a checkpoint over it.

use aegis_model::clock::UnixNanos;

use crate::hash::Hash;
use crate::keys::{KeyName, SigningKey, VerifyingKey};

/// What an answer says of its record. Without a signature it only says where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The log.
    pub origin: KeyName,
    /// Where the entry stands.
    pub index: u64,
    /// The hash of its leaf.
    pub leaf: Hash,
    /// When.
    pub at: UnixNanos,
}

impl Receipt {
    /// The log's signature of it.
    pub fn sign(&self, key: &SigningKey) -> [u8; 64] {
        key.sign(&self.message())
    }

    /// Whether the log whose key this is signed it.
    pub fn verifies(&self, signature: &[u8; 64], key: &VerifyingKey) -> bool {
        self.origin == *key.name() && key.verifies(&self.message(), signature)
    }

    /// A domain of its own: a receipt never passes for a checkpoint, since no checkpoint has four lines.
    fn message(&self) -> Vec<u8> {
        let Self { origin, index, leaf, at } = self;
        format!("aegis/receipt/v1\n{origin}\n{index} {}\n{}\n", leaf.to_base64(), at.0).into_bytes()
    }
}
