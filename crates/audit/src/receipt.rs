//! A signed receipt: the log's word that an entry stands at an index, given before there is a checkpoint over it.

use aegis_model::clock::UnixNanos;
use aegis_model::utc::Utc;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::hash::Hash;
use crate::keys::{KeyName, SigningKey, VerifyingKey};
use crate::record::moment;

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

/// A signed receipt as it stands in an answer, as texts of which none is believed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said<'a> {
    /// The log's name.
    pub log: &'a str,
    /// Where the entry stands.
    pub index: u64,
    /// The hash of its leaf: 64 hexadecimal digits.
    pub leaf: &'a str,
    /// When it was signed: RFC 3339 in UTC with nine decimals.
    pub time: &'a str,
    /// The signature, in base64.
    pub signature: &'a str,
}

/// Why a receipt proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadReceipt {
    /// It has no signature, so it only says where to look.
    #[error("the receipt is not signed")]
    Unsigned,
    /// A hash, a moment or a signature is not in its one spelling.
    #[error("the receipt is malformed")]
    Malformed,
    /// It is of another log than the key.
    #[error("the receipt is of another log than the key")]
    OtherLog,
    /// The signature is not the log's over this log, index, leaf and time.
    #[error("the receipt is not signed by the log's key")]
    Signature,
}

impl Said<'_> {
    /// Whether the log of `key` signed this.
    ///
    /// # Errors
    /// [`BadReceipt`]
    pub fn verify(&self, key: &VerifyingKey) -> Result<Receipt, BadReceipt> {
        if self.time.is_empty() || self.signature.is_empty() {
            return Err(BadReceipt::Unsigned);
        }
        if self.log != key.name().as_str() {
            return Err(BadReceipt::OtherLog);
        }
        let leaf = self.leaf.parse().map_err(|_uninformative| BadReceipt::Malformed)?;
        let at = moment::parse(self.time).ok_or(BadReceipt::Malformed)?;
        let receipt = Receipt { origin: key.name().clone(), index: self.index, leaf, at };
        let signature = STANDARD.decode(self.signature).map_err(|_uninformative| BadReceipt::Malformed)?;
        let signature = signature.try_into().map_err(|_another_length| BadReceipt::Malformed)?;
        // A day that the calendar lacks reads as another one.
        if receipt.time_text() != self.time {
            return Err(BadReceipt::Malformed);
        }
        if receipt.verifies(&signature, key) { Ok(receipt) } else { Err(BadReceipt::Signature) }
    }
}

/// A signature as answers have it.
pub fn signature_text(signature: &[u8; 64]) -> String {
    STANDARD.encode(signature)
}

impl Receipt {
    /// The moment as answers have it.
    pub fn time_text(&self) -> String {
        Utc(self.at).to_string()
    }

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
