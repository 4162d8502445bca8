//! The control log: what a cluster itself did, as evidence. One log per cluster and history, replicated, signed by the cluster,
//! and the only one that outside witnesses see. It vouches for the logs of data nodes: their keys, how far they were, and where
//! they ended.
//!
//! An entry is the SHA-256 over its kind and the SHA-256 of its canonical text, so that a text that was forgotten still shows
//! of which kind it was: which texts may be forgotten is the reader's to judge, and not the writer's
//! (`docs/adr/0013-control-log-entries.md`).

mod verify;

use std::fmt;
use std::str::FromStr;

use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::ids::ClusterId;
use aegis_model::money::Micros;
use aegis_model::utc::Utc;
use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;
use crate::hash::Hash;
use crate::keys::KeyName;
use crate::record::{RecordId, moment};
pub use verify::{ControlProblem, Download, JournalStanding, VerifiedControl, verify};

/// The version of the form.
const VERSION: u64 = 1;

/// The name of a cluster's control log: `CLUSTER/control`, and `CLUSTER/control:HISTORY` after a restore, since what a backup did
/// not hold is gone and the log that had it cannot be gone on with. No data node's log has such a name: those have three parts.
pub fn origin(cluster: &ClusterId, history: u64) -> KeyName {
    let text =
        if history <= 1 { format!("{cluster}/control") } else { format!("{cluster}/control:{history}") };
    text.parse().expect("a cluster's id has only characters that a key's name may have")
}

/// One entry of the control log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// When, by the log time of the cluster.
    #[serde(deserialize_with = "moment::read")]
    pub at: UnixNanos,
    /// What makes its hash unguessable for those who do not see its text.
    pub id: RecordId,
    /// Its place in the log.
    pub index: u64,
    v: u64,
    /// What it says.
    pub what: What,
}

/// What the control log writes down. The fields stand in the order of their names, as in records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Somebody wanted a change of the cluster's state, and it was done or refused.
    Act(Act),
    /// A life of a data node began its log with this key.
    Birth(Birth),
    /// How far logs of data nodes are: accepted checkpoints, each consistent with the one before.
    Checkpoints(Checkpoints),
    /// A log of a data node has ended.
    Closing(Head),
    /// The log goes on after a restore: this is how far the one before it was in the backup.
    Continues(Head),
    /// What became of ledgers of budgets, once nothing comes back to them any more.
    Ledgers(Ledgers),
    /// A checkpoint of a data node's log was refused although its key signed it.
    Refusal(Refusal),
}

/// Who did what, with which result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// Who: a person, or a control node.
    pub actor: String,
    /// The command.
    pub command: String,
    /// Where in the replicated log.
    pub log_index: u64,
    /// The code of the refusal, if it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Whom it was about: a tenant, or `*`.
    pub scope: String,
    /// What was wanted, in words.
    pub summary: String,
}

/// A log of a data node began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Birth {
    /// The key that signs it, as verifier key.
    pub key: String,
    /// Which log.
    pub origin: String,
    /// The only tenant whose records it holds, if its node serves only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// How far logs are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoints {
    /// The logs, by their names.
    pub logs: Vec<Head>,
}

/// How far a log is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Which log.
    pub origin: String,
    /// The root over its entries.
    pub root: Hash,
    /// How many entries.
    pub size: u64,
}

/// Ledgers whose days are over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledgers {
    /// What was charged in each.
    pub accounts: Vec<LedgerAccount>,
    /// How many more ended, of which nothing is written down, since there were too many that day.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

/// What was charged of one budget in one day, as the control plane's ledger has it. The records of calls have to add up to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerAccount {
    /// The agent, where it is an agent's budget or an entry's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// What calls were charged, what was forgiven of it included.
    pub charged: Micros,
    /// The entry's name, where it is an entry's budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// When its day began, in milliseconds since 1970.
    pub from_ms: i64,
    /// Its number.
    pub ledger: u64,
    /// Whose budget: `organization`, `tenant`, `agent` or `entry`.
    pub level: String,
    /// The organization, or the tenant.
    pub owner: String,
    /// What it counts.
    pub unit: String,
    /// What of `charged` was lent to nodes that could not bring it back, or forgiven before it turned out cheaper: nobody knows how
    /// much of it calls have spent.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub unproven: Micros,
    /// The first millisecond after its day.
    pub until_ms: i64,
    /// The cluster was restored from a backup in that day: nobody knows what was spent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub void: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_nothing(amount: &Micros) -> bool {
    amount.is_zero()
}

/// A checkpoint that does not follow from what was accepted before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Why, as [`crate::witness::Refusal::code`] says it.
    pub code: String,
    /// The checkpoint as its log signed it: who holds the log's key said so.
    pub note: String,
    /// Which log.
    pub origin: String,
}

/// The kinds of entries: what stays visible of a text that was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// [`What::Act`]
    Act,
    /// [`What::Birth`]
    Birth,
    /// [`What::Checkpoints`]
    Checkpoints,
    /// [`What::Closing`]
    Closing,
    /// [`What::Continues`]
    Continues,
    /// [`What::Ledgers`]
    Ledgers,
    /// [`What::Refusal`]
    Refusal,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Act,
        Self::Birth,
        Self::Checkpoints,
        Self::Closing,
        Self::Continues,
        Self::Ledgers,
        Self::Refusal,
    ];

    /// Its word: the key of `what`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Act => "act",
            Self::Birth => "birth",
            Self::Checkpoints => "checkpoints",
            Self::Closing => "closing",
            Self::Continues => "continues",
            Self::Ledgers => "ledgers",
            Self::Refusal => "refusal",
        }
    }

    /// Whether the text of such an entry may be forgotten without hiding a log of a data node, or where one ended.
    pub fn may_be_forgotten(self) -> bool {
        match self {
            Self::Act | Self::Checkpoints | Self::Ledgers => true,
            Self::Birth | Self::Closing | Self::Continues | Self::Refusal => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = BadEntry;
    fn from_str(text: &str) -> Result<Self, BadEntry> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(BadEntry)
    }
}

impl What {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Act(_) => Kind::Act,
            Self::Birth(_) => Kind::Birth,
            Self::Checkpoints(_) => Kind::Checkpoints,
            Self::Closing(_) => Kind::Closing,
            Self::Continues(_) => Kind::Continues,
            Self::Ledgers(_) => Kind::Ledgers,
            Self::Refusal(_) => Kind::Refusal,
        }
    }
}

impl Head {
    /// How far `checkpoint` says that its log is.
    pub fn of(checkpoint: &Checkpoint) -> Self {
        let Checkpoint { origin, size, root } = checkpoint;
        Self { origin: origin.to_string(), root: *root, size: *size }
    }

    /// The same as a checkpoint; nothing if the name is none.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        Some(Checkpoint { origin: self.origin.parse().ok()?, size: self.size, root: self.root })
    }
}

/// The hash that stands in the log for a text of this kind with this digest.
pub fn entry_hash(kind: Kind, text_digest: &Hash) -> Hash {
    Hash::of_parts(&[b"aegis/control/v1", kind.as_str().as_bytes(), &text_digest.0])
}

/// Bytes are no entry of the control log, or not in their one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an entry of the control log in its one form")]
pub struct BadEntry;

impl Entry {
    /// An entry of this version.
    pub fn new(at: UnixNanos, id: RecordId, index: u64, what: What) -> Self {
        Self { at, id, index, v: VERSION, what }
    }

    /// Its canonical text.
    pub fn to_text(&self) -> String {
        let what = serde_json::to_string(&self.what).expect("an entry has text keys only");
        let id = String::from(self.id);
        format!(
            r#"{{"at":"{}","id":"{id}","index":{},"v":{VERSION},"what":{what}}}"#,
            Utc(self.at),
            self.index
        )
    }

    /// Reads an entry in its one spelling.
    ///
    /// # Errors
    /// [`BadEntry`]
    pub fn read(text: &str) -> Result<Self, BadEntry> {
        if text.len() > caps::CONTROL_ENTRY_BYTES_MAX {
            return Err(BadEntry);
        }
        let entry: Self = serde_json::from_str(text).map_err(|_withheld| BadEntry)?;
        if entry.v == VERSION && entry.to_text() == text { Ok(entry) } else { Err(BadEntry) }
    }

    /// The hash that stands for it in the log.
    pub fn hash(&self) -> Hash {
        entry_hash(self.what.kind(), &Hash::of(self.to_text().as_bytes()))
    }
}

#[cfg(test)]
mod tests;
