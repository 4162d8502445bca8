//! The record: what is written down, in one canonical form.
//!
//! A record is JSON by RFC 8785 without decimals: keys in order, no white space, integers within ±2^53, moments and
//! quantities as texts. The keys of the envelope are `at`, `chain`, `id`, `prev`, `seq`, `v`, `what`; `what` stands last, so
//! that who makes a record can write it before its number and its predecessor are known. The *entry* of the log is the
//! SHA-256 of these bytes. Why JSON: `docs/adr/0012-records-are-canonical-json.md`.

mod chain;
pub(crate) mod moment;
mod scan;
mod sealed;
mod what;

use std::fmt;

use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::utc::Utc;
use serde::{Deserialize, Serialize};

pub use chain::{BadChain, Chain};
pub use scan::{Envelope, envelope};
pub use sealed::Sealed;
pub use what::{
    Approval, CallResult, Charged, Completion, Decision, Finding, Gap, GapCause, LimitUse, Link, Policy,
    Pruning, Reason, Refusals, SegmentEnd, Settled, Shadow, What,
};

use crate::hash::{BadHash, Hash, from_hex, to_hex};

/// The version of the form; another one is another number here, and verifiers that know both.
pub const VERSION: u64 = 1;

/// A random id of 128 bits, as text 32 lower-case hexadecimal digits. It makes the hash of a record unguessable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecordId(pub [u8; 16]);

impl RecordId {
    /// A new one, from 16 bytes of `randomness`.
    pub fn random(randomness: &mut (impl rand::Rng + ?Sized)) -> Self {
        let mut bytes = [0; 16];
        randomness.fill_bytes(&mut bytes);
        Self(bytes)
    }
}

impl TryFrom<String> for RecordId {
    type Error = BadHash;
    fn try_from(text: String) -> Result<Self, BadHash> {
        from_hex(&text).map(Self).ok_or(BadHash)
    }
}

impl From<RecordId> for String {
    fn from(id: RecordId) -> Self {
        to_hex(&id.0)
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

/// One record of a log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// When, by the node's clock.
    #[serde(deserialize_with = "moment::read")]
    pub at: UnixNanos,
    /// Whose.
    pub chain: Chain,
    /// Its random id.
    pub id: RecordId,
    /// The hash of the chain's previous record in this log; nothing for the first.
    #[serde(default)]
    pub prev: Option<Hash>,
    /// Its number within the chain, from 1 without gaps.
    pub seq: u64,
    v: u64,
    /// What it says.
    pub what: What,
}

/// A record whose place in its chain is not known yet: everything that does not depend on it is written already.
#[derive(Debug, Clone)]
pub struct Draft {
    at: UnixNanos,
    chain: Chain,
    id: RecordId,
    what: Vec<u8>,
    of_journal: bool,
}

/// The canonical bytes of a record, and the entry that stands for it in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The canonical bytes.
    pub bytes: Vec<u8>,
    /// Their SHA-256.
    pub entry: Hash,
}

/// Why bytes are no record, or a record cannot be written. Never shows what stood there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Longer than [`caps::AUDIT_RECORD_BYTES_MAX`].
    #[error("the record is longer than {} bytes", caps::AUDIT_RECORD_BYTES_MAX)]
    TooLong,
    /// A list has more items than [`caps::RECORD_REASONS_MAX`].
    #[error("a list of the record has more than {} items", caps::RECORD_REASONS_MAX)]
    TooMany,
    /// A number is beyond 2^53, which JSON cannot carry everywhere.
    #[error("a number of the record is beyond 2^53")]
    TooLarge,
    /// Not a record of this version.
    #[error("not a record of version {VERSION}")]
    Malformed,
    /// A record, but not in its canonical form.
    #[error("the record is not in its canonical form")]
    NotCanonical,
}

impl RecordError {
    /// A stable word for metrics and reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLong => "record_too_long",
            Self::TooMany => "record_too_many",
            Self::TooLarge => "record_too_large",
            Self::Malformed => "record_malformed",
            Self::NotCanonical => "record_not_canonical",
        }
    }

    /// Never: the same record is refused again.
    pub fn retryable(self) -> bool {
        false
    }
}

impl Draft {
    /// Writes `what` down, for a record of `chain`.
    ///
    /// # Errors
    /// [`RecordError::TooLong`], [`RecordError::TooMany`], [`RecordError::TooLarge`]: it breaks a bound.
    pub fn new(at: UnixNanos, chain: Chain, id: RecordId, what: &What) -> Result<Self, RecordError> {
        check(what)?;
        let mut bytes = Vec::with_capacity(1_024);
        serde_json::to_writer(&mut bytes, what)
            .expect("a record has text keys only, and a vector takes any write");
        if bytes.len() > caps::AUDIT_RECORD_BYTES_MAX - ENVELOPE_BYTES_MAX {
            return Err(RecordError::TooLong);
        }
        let of_journal = chain == Chain::Log || matches!(what, What::Gap(_) | What::SegmentEnd(_));
        Ok(Self { at, chain, id, what: bytes, of_journal })
    }

    /// Whose record it will be.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Its id.
    pub fn id(&self) -> RecordId {
        self.id
    }

    /// Whether only the journal itself may write it.
    pub(crate) fn is_of_journal(&self) -> bool {
        self.of_journal
    }

    /// About how many bytes it will have.
    pub(crate) fn bytes(&self) -> usize {
        self.what.len() + ENVELOPE_BYTES_MAX
    }

    /// The record with its number and its predecessor.
    pub fn complete(&self, seq: u64, prev: Option<Hash>) -> Encoded {
        use std::io::Write;
        let mut bytes = Vec::with_capacity(self.what.len() + ENVELOPE_BYTES_MAX);
        let id = to_hex(&self.id.0);
        // The chain's alphabet has nothing that JSON would escape.
        let begun = write!(bytes, r#"{{"at":"{}","chain":"{}","id":"{id}""#, Utc(self.at), self.chain);
        let linked = begun.and_then(|()| match prev {
            Some(prev) => write!(bytes, r#","prev":"{prev}""#),
            None => Ok(()),
        });
        let numbered = linked.and_then(|()| write!(bytes, r#","seq":{seq},"v":{VERSION},"what":"#));
        numbered.expect("a vector takes any write");
        bytes.extend_from_slice(&self.what);
        bytes.push(b'}');
        let entry = Hash::of(&bytes);
        Encoded { bytes, entry }
    }
}

/// The chain that a canonical record names, from its fixed place: for bytes that were written here.
pub(crate) fn chain_text(bytes: &[u8]) -> Option<&str> {
    const BEFORE: usize = r#"{"at":"2026-11-23T05:16:00.000000001Z","chain":""#.len();
    let rest = bytes.get(BEFORE..)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&rest[..end]).ok()
}

/// The longest envelope around `what`: its keys, a moment, an id, a hash, two numbers and the longest chain.
const ENVELOPE_BYTES_MAX: usize = 256 + caps::NAME_BYTES_MAX;

impl Record {
    /// Reads a record, in its one spelling only: what it read is written again, and has to be the same bytes.
    ///
    /// # Errors
    /// [`RecordError`]
    pub fn read(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > caps::AUDIT_RECORD_BYTES_MAX {
            return Err(RecordError::TooLong);
        }
        let record: Self = serde_json::from_slice(bytes).map_err(|_withheld| RecordError::Malformed)?;
        if record.v != VERSION || record.seq == 0 || record.seq > INTEGER_MAX {
            return Err(RecordError::Malformed);
        }
        if record.encode()?.bytes == bytes { Ok(record) } else { Err(RecordError::NotCanonical) }
    }

    /// Its canonical bytes and its entry.
    ///
    /// # Errors
    /// Those of [`Draft::new`].
    pub fn encode(&self) -> Result<Encoded, RecordError> {
        Ok(Draft::new(self.at, self.chain.clone(), self.id, &self.what)?.complete(self.seq, self.prev))
    }
}

const INTEGER_MAX: u64 = caps::JSON_INTEGER_MAX as u64;

/// Holds `what` against the bounds of a record.
fn check(what: &What) -> Result<(), RecordError> {
    match what {
        What::Decision(it) => {
            let approvers = it.approval.as_ref().map_or(0, |approval| approval.approvers.len());
            lists(&[it.callers.len(), it.findings.len(), it.latency_ns.len(), it.limits.len(), approvers])?;
            lists(&[it.charged.len(), it.reasons.len(), it.rules.len(), it.unverified.len()])?;
            numbers([it.left_out, it.snapshot, it.params_key.unwrap_or(0)])?;
            numbers(it.latency_ns.values().copied())?;
            numbers(it.findings.iter().map(|finding| finding.count))?;
            numbers(it.charged.iter().filter_map(|charged| charged.ledger))?;
            numbers(it.policy.iter().flat_map(|policy| [policy.activation, policy.version]))?;
            // Keys that need no escape, and whose order is the same in any encoding: verifiers take no others.
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            let plain = it.latency_ns.keys().all(|stage| stage.bytes().all(is_plain));
            if plain { Ok(()) } else { Err(RecordError::Malformed) }
        }
        What::Completion(it) => {
            lists(&[it.findings.len(), it.settled.len()])?;
            numbers([it.left_out])?;
            numbers(it.settled.iter().filter_map(|settled| settled.ledger))?;
            numbers(it.findings.iter().map(|finding| finding.count))
        }
        What::Shadow(it) => {
            lists(&[it.reasons.len(), it.rules.len()])?;
            numbers([it.policy.activation, it.policy.version])
        }
        What::Refusals(it) => numbers([it.count]),
        What::Gap(it) => numbers([it.after]),
        What::SegmentEnd(it) => numbers([it.at, it.heads, it.segment]),
        What::Pruning(it) => numbers([it.retention_days, it.segment, it.seq]),
    }
}

fn lists(lengths: &[usize]) -> Result<(), RecordError> {
    let fit = lengths.iter().all(|length| *length <= caps::RECORD_REASONS_MAX);
    if fit { Ok(()) } else { Err(RecordError::TooMany) }
}

fn numbers(numbers: impl IntoIterator<Item = u64>) -> Result<(), RecordError> {
    let fit = numbers.into_iter().all(|number| number <= INTEGER_MAX);
    if fit { Ok(()) } else { Err(RecordError::TooLarge) }
}
