//! The end of a segment commits to the newest record of every chain, without naming any.
//!
//! A commitment is a hash over a key that only the chain's owner gets, the chain, its newest number and its newest entry. The
//! record at the end of the segment holds the root of the tree over all commitments, sorted. So a tenant can be shown that
//! its chain ends where the log says, and learns nothing of others but how many there are (TEN-1).

use aegis_model::secret::Secret;

use crate::hash::{DigestKey, Hash};
use crate::record::{Chain, RecordId};
use crate::tree;

/// Where a chain stands, and the proof that the end of a segment says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The index of the record that ends the segment.
    pub end: u64,
    /// The number of the chain's newest record.
    pub seq: u64,
    /// The entry of that record.
    pub entry: Hash,
    /// The place of its commitment.
    pub place: u64,
    /// The key of its commitment.
    pub key: Hash,
    /// The proof from its commitment to the root.
    pub proof: Vec<Hash>,
}

impl Opening {
    /// Whether the end of the segment, with so many commitments and this root, says this of `chain`.
    ///
    /// # Errors
    /// [`tree::ProofError`]
    pub fn verify(&self, chain: &Chain, heads: u64, root: &Hash) -> Result<(), tree::ProofError> {
        let leaf = commitment(&self.key, chain, self.seq, &self.entry);
        tree::verify_inclusion(self.place, heads, &leaf, &self.proof, root)
    }

    /// The line that stands at the end of a segment's file.
    pub(crate) fn to_line(&self) -> String {
        let proof: Vec<String> = self.proof.iter().map(Hash::to_string).collect();
        let Self { end, seq, entry, place, key, .. } = self;
        format!("head {end} {seq} {entry} {place} {key} {}\n", proof.join(","))
    }

    /// Reads exactly what [`Opening::to_line`] writes, without its line feed.
    pub(crate) fn read_line(line: &str) -> Option<Self> {
        let parts: Vec<&str> = line.split(' ').collect();
        let ["head", end, seq, entry, place, key, proof] = parts[..] else { return None };
        let hashes = proof.split(',').filter(|_| !proof.is_empty()).map(str::parse);
        let opening = Self {
            end: end.parse().ok()?,
            seq: seq.parse().ok()?,
            entry: entry.parse().ok()?,
            place: place.parse().ok()?,
            key: key.parse().ok()?,
            proof: hashes.collect::<Result<_, _>>().ok()?,
        };
        (opening.to_line().strip_suffix('\n') == Some(line)).then_some(opening)
    }
}

fn commitment(key: &Hash, chain: &Chain, seq: u64, entry: &Hash) -> Hash {
    let chain = chain.to_string();
    Hash::of_parts(&[b"aegis/head/v1", &key.0, chain.as_bytes(), &seq.to_be_bytes(), &entry.0])
}

/// Makes the keys of commitments: one secret of the log, and a key per segment and chain that follows from it.
pub(crate) struct HeadKeys(DigestKey);

impl HeadKeys {
    pub(crate) fn new(seed: &Secret<[u8; 32]>) -> Self {
        let secret = DigestKey::new(seed).digest(b"aegis/heads/v1");
        Self(DigestKey::new(&Secret::new(secret.0)))
    }

    fn key(&self, end: RecordId, chain: &Chain) -> Hash {
        Hash(self.0.digest(&[&end.0[..], chain.to_string().as_bytes()].concat()).0)
    }
}

/// The commitments at the end of a segment.
pub(crate) struct Heads {
    leaves: Vec<Hash>,
}

impl Heads {
    /// Commits to every chain, given as its newest number and entry. `end` is the id of the record that ends the segment.
    pub(crate) fn new<'c>(
        keys: &HeadKeys,
        end: RecordId,
        chains: impl Iterator<Item = (&'c Chain, u64, Hash)>,
    ) -> Self {
        let mut leaves: Vec<Hash> =
            chains.map(|(chain, seq, entry)| commitment(&keys.key(end, chain), chain, seq, &entry)).collect();
        leaves.sort_unstable();
        Self { leaves }
    }

    /// How many.
    pub(crate) fn len(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// The root over them.
    pub(crate) fn root(&self) -> Hash {
        tree::root_of(self.leaves.iter().copied())
    }

    /// Opens the commitment of one chain. `at` is the index of the record that ends the segment, `end` its id.
    pub(crate) fn open(
        &self,
        keys: &HeadKeys,
        end: (u64, RecordId),
        chain: &Chain,
        seq: u64,
        entry: Hash,
    ) -> Option<Opening> {
        let key = keys.key(end.1, chain);
        let place = self.leaves.binary_search(&commitment(&key, chain, seq, &entry)).ok()? as u64;
        let Ok(proof) = tree::inclusion(&self.leaves[..], place, self.len());
        Some(Opening { end: end.0, seq, entry, place, key, proof })
    }
}
