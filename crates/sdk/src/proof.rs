//! What a receipt is good for: the log's signature, and the proof that a record is in the audit log of the node that decided.

use std::str::FromStr;

use aegis_audit::checkpoint::Checkpoint;
use aegis_audit::hash::Hash;
use aegis_audit::receipt::Said;
use aegis_audit::tree::verify_inclusion;
use aegis_proto::v1::Receipt;
use serde::Deserialize;

/// The public key of an audit log, as text `NAME+ID+KEY`. Take it from somewhere else than from the node that is to be checked.
pub use aegis_audit::keys::VerifyingKey as LogKey;

/// Why a signed receipt proves nothing.
pub use aegis_audit::receipt::BadReceipt;

/// Whether the log of `key` signed `receipt`: then the node said at that moment ([`Receipt::time`]) that its log holds a record with
/// this leaf at this index. It can be held against the log ever after, also where no proof is to be had any more.
///
/// # Errors
/// [`BadReceipt`]
///
/// # Example
///
/// ```
/// use aegis_sdk::{BadReceipt, LogKeys, Receipt, verify_receipt};
///
/// let keys: LogKeys = "prod.example/data-1/7+b3a0d1b4+AYPvTOHcmEIAZVSV5EByNYQRI8vZBmQ4aqvFLvbI2Fet".parse().unwrap_or_default();
/// let receipt = Receipt { log: "prod.example/data-1/7".to_owned(), index: 41, ..Default::default() };
/// if let Some(key) = keys.of(&receipt.log) {
///     assert_eq!(verify_receipt(&receipt, key), Err(BadReceipt::Unsigned));
/// }
/// ```
pub fn verify_receipt(receipt: &Receipt, key: &LogKey) -> Result<(), BadReceipt> {
    let Receipt { log, index, leaf, time, signature } = receipt;
    Said { log, index: *index, leaf, time, signature }.verify(key).map(drop)
}

/// Keys of logs, one a line, as `aegis audit control verify --write-keys` writes them. Empty lines and lines that begin with `#` say
/// nothing.
#[derive(Debug, Clone, Default)]
pub struct LogKeys(Vec<LogKey>);

/// A line that is no key of a log, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {0} is not the key of a log")]
pub struct BadKeys(pub usize);

impl LogKeys {
    /// The key of the log of this name ([`Receipt::log`]).
    pub fn of(&self, log: &str) -> Option<&LogKey> {
        self.0.iter().find(|key| key.name().as_str() == log)
    }
}

impl FromStr for LogKeys {
    type Err = BadKeys;
    fn from_str(text: &str) -> Result<Self, BadKeys> {
        let lines = text.lines().map(str::trim).enumerate();
        let said = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let keys = said.map(|(at, line)| line.parse().map_err(|_uninformative| BadKeys(at + 1)));
        keys.collect::<Result<_, _>>().map(Self)
    }
}

/// The proof that a record is in an audit log: the answer of `POST /v1/proof` of a data node, or what `aegis audit prove
/// --output json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InclusionProof {
    log: String,
    index: u64,
    leaf: Hash,
    proof: Vec<Hash>,
    checkpoint: String,
}

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Not the JSON of a proof.
    #[error("it is not a proof")]
    Malformed,
    /// It is about another record than the receipt.
    #[error("the proof is about another record")]
    OtherRecord,
    /// Its checkpoint is not signed by this key.
    #[error("the checkpoint of the proof is not signed by the log's key")]
    Checkpoint,
    /// Its hashes do not lead from the record to the checkpoint.
    #[error("the record is not in the log that the checkpoint was signed over")]
    NotIncluded,
}

impl InclusionProof {
    /// Reads the JSON of a proof. Nothing of it is trusted yet.
    ///
    /// # Errors
    /// [`ProofError::Malformed`]
    pub fn from_json(json: &[u8]) -> Result<Self, ProofError> {
        serde_json::from_slice(json).map_err(|_withheld| ProofError::Malformed)
    }

    /// Whether it proves that the record of `receipt` is in the log of `key`. Gives the number of entries of the log at that
    /// moment.
    ///
    /// # Errors
    /// [`ProofError`]
    pub fn verify(&self, receipt: &Receipt, key: &LogKey) -> Result<u64, ProofError> {
        let same = (&self.log, self.index) == (&receipt.log, receipt.index);
        if !same || receipt.leaf.parse() != Ok(self.leaf) || receipt.log != key.name().as_str() {
            return Err(ProofError::OtherRecord);
        }
        let checkpoint = Checkpoint::open(self.checkpoint.as_bytes(), key);
        let Checkpoint { size, root, .. } = checkpoint.map_err(|_reported| ProofError::Checkpoint)?;
        verify_inclusion(self.index, size, &self.leaf, &self.proof, &root)
            .map_err(|_reported| ProofError::NotIncluded)?;
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use aegis_audit::keys::{KeyKind, SigningKey};
    use aegis_audit::tree;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use serde_json::{Value, json};

    use super::*;

    fn log(name: &str, seed: u64) -> SigningKey {
        SigningKey::generate(name.parse().unwrap(), KeyKind::Note, &mut StdRng::seed_from_u64(seed))
    }

    fn proof(key: &SigningKey, index: u64) -> (Receipt, Value) {
        let leaves: Vec<Hash> = (0..5_u8).map(|number| tree::leaf(&Hash::of(&[number]).0)).collect();
        let root = tree::root_of(leaves.iter().copied());
        let note =
            Checkpoint { origin: key.verifying_key().name().clone(), size: 5, root }.sign(key).to_bytes();
        let Ok(hashes) = tree::inclusion(&leaves[..], index, 5);
        let log = key.verifying_key().name().to_string();
        let leaf = leaves[index as usize];
        let json = json!({
            "log": log, "index": index, "leaf": leaf, "proof": hashes, "size": 5, "root": root,
            "checkpoint": String::from_utf8(note).unwrap(),
        });
        (Receipt { log, index, leaf: leaf.to_string(), ..Default::default() }, json)
    }

    fn verify(json: &Value, receipt: &Receipt, key: &SigningKey) -> Result<u64, ProofError> {
        InclusionProof::from_json(json.to_string().as_bytes())?.verify(receipt, key.verifying_key())
    }

    #[test]
    fn a_signed_receipt_holds_for_its_log_place_and_moment_alone() {
        let (key, other) = (log("c/n1/7", 1), log("c/n1/8", 2));
        let name = key.verifying_key().name().clone();
        let signed = aegis_audit::receipt::Receipt {
            origin: name,
            index: 4,
            leaf: Hash::of(b"leaf"),
            at: aegis_model::clock::UnixNanos(1_795_000_000_000_000_001),
        };
        let receipt = Receipt {
            log: "c/n1/7".to_owned(),
            index: 4,
            leaf: signed.leaf.to_string(),
            time: signed.time_text(),
            signature: aegis_audit::receipt::signature_text(&signed.sign(&key)),
        };
        let text = format!("# keys\n\n{}\n {}\n", other.verifying_key(), key.verifying_key());
        let keys: LogKeys = text.parse().unwrap();
        assert_eq!(verify_receipt(&receipt, keys.of("c/n1/7").unwrap()), Ok(()));
        assert!(keys.of("c/n1/9").is_none());
        assert_eq!("\nx".parse::<LogKeys>().unwrap_err(), BadKeys(2));
        assert_eq!(verify_receipt(&receipt, keys.of("c/n1/8").unwrap()), Err(BadReceipt::OtherLog));
        assert_eq!(verify_receipt(&receipt, log("c/n1/7", 3).verifying_key()), Err(BadReceipt::Signature));
        let (later, text) = (receipt.time.replace("01Z", "02Z"), String::new());
        for (changed, why) in [
            (Receipt { index: 5, ..receipt.clone() }, BadReceipt::Signature),
            (Receipt { leaf: "00".repeat(32), ..receipt.clone() }, BadReceipt::Signature),
            (Receipt { time: later, ..receipt.clone() }, BadReceipt::Signature),
            (
                Receipt { time: "2026-02-31T05:16:00.000000001Z".into(), ..receipt.clone() },
                BadReceipt::Malformed,
            ),
            (Receipt { time: "yesterday".into(), ..receipt.clone() }, BadReceipt::Malformed),
            (Receipt { signature: "c2ln".into(), ..receipt.clone() }, BadReceipt::Malformed),
            (Receipt { leaf: "FF".repeat(32), ..receipt.clone() }, BadReceipt::Malformed),
            (Receipt { signature: text, ..receipt.clone() }, BadReceipt::Unsigned),
        ] {
            assert_eq!(verify_receipt(&changed, key.verifying_key()), Err(why), "{changed:?}");
        }
    }

    #[test]
    fn a_proof_holds_for_its_receipt_and_its_log_alone() {
        let key = log("c/n1/7", 1);
        let (receipt, json) = proof(&key, 3);
        assert_eq!(verify(&json, &receipt, &key), Ok(5));
        let (other, _) = proof(&key, 2);
        assert_eq!(verify(&json, &other, &key), Err(ProofError::OtherRecord));
        assert_eq!(verify(&json, &receipt, &log("c/n1/7", 2)), Err(ProofError::Checkpoint));
        assert_eq!(verify(&json, &receipt, &log("c/n1/8", 1)), Err(ProofError::OtherRecord));
        let mut changed = json.clone();
        changed["proof"][0] = json!("00".repeat(32));
        assert_eq!(verify(&changed, &receipt, &key), Err(ProofError::NotIncluded));
        assert_eq!(verify(&json!({}), &receipt, &key), Err(ProofError::Malformed));
    }
}
