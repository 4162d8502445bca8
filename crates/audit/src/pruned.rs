//! What stands in a chain's folder where its first segments were deleted by retention: the file `pruned`.
//!
//! ```text
//! aegis-pruned/v1 ORIGIN SEGMENT CHAIN
//! head END SEQ ENTRY PLACE KEY PROOF      the last line of the newest segment that was deleted
//! record INDEX RECORD                     the record of the deletion, as it was hashed, and where it stands in its log
//! proof HASH,HASH                         from there to the root of the checkpoint
//! note BASE64                             a checkpoint of that log
//! ```
//!
//! The line `head` is the log's own word, under its own key, on where the chain stood: what follows links to it, and nothing
//! else can have been there. The record is the word of a log of the same node, this one or a later one, that retention
//! deleted it, after how many days, by which time: who deletes without that key cannot say so, and who has it leaves a record
//! that stays (AUD-1). Records, entries and tiles of the log itself are never touched, so every proof stays valid.

use std::io;
use std::path::{Path, PathBuf};

use aegis_model::clock::UnixNanos;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::Checkpoint;
use crate::hash::Hash;
use crate::heads::Opening;
use crate::keys::VerifyingKey;
use crate::origin::Origin;
use crate::record::{Chain, Pruning, Record, SegmentEnd, What};
use crate::segment;
use crate::tree;

/// The name of the file.
pub const NAME: &str = "pruned";
const FORM: &str = "aegis-pruned/v1";

/// The file, its lines taken apart but not judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stub {
    /// The log that it claims to be of.
    pub origin: String,
    /// The newest segment that was deleted.
    pub segment: u64,
    /// Its chain.
    pub chain: Chain,
    /// Where the chain stood at the end of that segment.
    pub opening: Opening,
    /// The canonical record of the deletion.
    pub record: Vec<u8>,
    /// Where it stands in its log.
    pub index: u64,
    /// From there to the root of the checkpoint.
    pub proof: Vec<Hash>,
    /// A signed checkpoint of that log.
    pub note: Vec<u8>,
}

/// What the evidence of a deletion says, once it was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrunedTo {
    /// The newest segment that was deleted.
    pub segment: u64,
    /// The number of the newest record that was deleted.
    pub seq: u64,
    /// The index of the end of that segment: everything that was deleted stood before it.
    pub end: u64,
    /// The days after which records were to be deleted.
    pub retention_days: u64,
    /// When it was done, by the time of the control plane.
    pub at: UnixNanos,
    /// The log that says so, and where.
    pub by: (String, u64),
}

/// Why the evidence of a deletion does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsound {
    /// It is signed by a log whose key was not given.
    UnknownKey,
    /// It does not say what was deleted here.
    Wrong,
}

/// The path of the file of a chain, below the folder of a log.
pub fn path(chain: &Chain) -> PathBuf {
    segment::folder(chain).join(NAME)
}

/// The moment before which records may go after so many days.
pub fn before(now: UnixNanos, retention_days: u64) -> UnixNanos {
    let days = retention_days.saturating_mul(86_400).saturating_mul(1_000_000_000);
    UnixNanos(now.0.saturating_sub(days))
}

impl Stub {
    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { origin, segment, chain, opening, index, .. } = self;
        let proof: Vec<String> = self.proof.iter().map(Hash::to_string).collect();
        let mut bytes =
            format!("{FORM} {origin} {segment} {chain}\n{}record {index} ", opening.to_line()).into_bytes();
        bytes.extend_from_slice(&self.record);
        let note = STANDARD.encode(&self.note);
        bytes.extend_from_slice(format!("\nproof {}\nnote {note}\n", proof.join(",")).as_bytes());
        bytes
    }

    /// Takes a file apart. Only one spelling is read.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let lines: Vec<&str> = text.strip_suffix('\n')?.split('\n').collect();
        let [first, head, record, proof, note] = lines[..] else { return None };
        let parts: Vec<&str> = first.split(' ').collect();
        let [FORM, origin, segment, chain] = parts[..] else { return None };
        let (index, record) = record.strip_prefix("record ")?.split_once(' ')?;
        let proof = proof.strip_prefix("proof ")?;
        let hashes = proof.split(',').filter(|_| !proof.is_empty()).map(str::parse);
        let stub = Self {
            origin: origin.to_owned(),
            segment: segment.parse().ok()?,
            chain: chain.parse().ok()?,
            opening: Opening::read_line(head)?,
            record: record.as_bytes().to_vec(),
            index: index.parse().ok()?,
            proof: hashes.collect::<Result<_, _>>().ok()?,
            note: STANDARD.decode(note.strip_prefix("note ")?).ok()?,
        };
        (stub.to_bytes() == bytes).then_some(stub)
    }

    /// What it proves of the log `origin`. `end` is the end of the segment that it names, and when that was written; `keys` are
    /// those that the caller trusts.
    pub(crate) fn verify(
        &self,
        origin: &str,
        end: &(SegmentEnd, UnixNanos),
        keys: &[&VerifyingKey],
    ) -> Result<PrunedTo, Unsound> {
        let (end, ended) = end;
        let stood = self.opening.end == end.at && self.segment == end.segment;
        let stood = stood && self.opening.verify(&self.chain, end.heads, &end.heads_root).is_ok();
        let said = self.said().filter(|_| stood && self.origin == origin).ok_or(Unsound::Wrong)?;
        let here = (said.log.as_str(), said.segment, said.seq, said.entry)
            == (origin, self.segment, self.opening.seq, self.opening.entry);
        // Before the retention was over, nothing may go: the end of the segment is its newest record.
        if !here || *ended > before(said.now, said.retention_days) {
            return Err(Unsound::Wrong);
        }
        let by = self.vouched_for(origin, keys)?;
        let Pruning { segment, seq, retention_days, now, .. } = said;
        Ok(PrunedTo { segment, seq, end: end.at, retention_days, at: now, by: (by, self.index) })
    }

    /// What the record says, if it is of this chain.
    fn said(&self) -> Option<Pruning> {
        let record = Record::read(&self.record).ok()?;
        match record.what {
            What::Pruning(pruning) if record.chain == self.chain => Some(pruning),
            _ => None,
        }
    }

    /// The log that has the record: one of the same node, not an earlier one, whose key is known.
    fn vouched_for(&self, origin: &str, keys: &[&VerifyingKey]) -> Result<String, Unsound> {
        let name = std::str::from_utf8(&self.note).ok().and_then(|note| note.split('\n').next());
        let name = name.filter(|by| is_of_node(by, origin)).ok_or(Unsound::Wrong)?;
        let mut known = keys.iter().filter(|key| key.name().as_str() == name).peekable();
        known.peek().ok_or(Unsound::UnknownKey)?;
        let leaf = tree::leaf(&Hash::of(&self.record).0);
        let mut opened = known.filter_map(|key| Checkpoint::open(&self.note, key).ok());
        let holds = opened
            .any(|it| tree::verify_inclusion(self.index, it.size, &leaf, &self.proof, &it.root).is_ok());
        if holds { Ok(name.to_owned()) } else { Err(Unsound::Wrong) }
    }
}

/// Whether the log `by` is of the node of `origin`, in the same life or a later one.
fn is_of_node(by: &str, origin: &str) -> bool {
    let (Ok(by), Ok(of)) = (by.parse::<Origin>(), origin.parse::<Origin>()) else { return by == origin };
    (by.cluster(), by.node()) == (of.cluster(), of.node()) && by.incarnation() >= of.incarnation()
}

/// The stub of a chain, if there is one.
///
/// # Errors
/// What the disk says; [`io::ErrorKind::InvalidData`] if it is none.
pub fn find(disk: &dyn crate::journal::Disk, folder: &Path, chain: &Chain) -> io::Result<Option<Stub>> {
    match disk.read(&folder.join(path(chain))) {
        Ok(bytes) => {
            let stub = Stub::read(&bytes).filter(|stub| stub.chain == *chain);
            let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a file `pruned` is damaged");
            stub.map(Some).ok_or_else(damaged)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
