//! What a receipt is good for: the proof that a decision's record is in the audit log of the node that decided.

use aegis_audit::checkpoint::Checkpoint;
use aegis_audit::hash::Hash;
use aegis_audit::tree::verify_inclusion;
use aegis_proto::v1::Receipt;
use serde::Deserialize;

/// The public key of an audit log, as text `NAME+ID+KEY`. Take it from somewhere else than from the node that is to be checked.
pub use aegis_audit::keys::VerifyingKey as LogKey;

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
        (Receipt { log, index, leaf: leaf.to_string() }, json)
    }

    fn verify(json: &Value, receipt: &Receipt, key: &SigningKey) -> Result<u64, ProofError> {
        InclusionProof::from_json(json.to_string().as_bytes())?.verify(receipt, key.verifying_key())
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
