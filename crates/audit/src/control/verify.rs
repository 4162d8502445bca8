//! Verification of a control log that was downloaded: offline, with the cluster's public key, and better with a witness.

use std::collections::BTreeMap;

use aegis_model::caps;

use super::{Entry, Kind, LedgerAccount, What, entry_hash};
use crate::checkpoint::Checkpoint;
use crate::hash::Hash;
use crate::keys::{KeyName, VerifyingKey};
use crate::note::Note;
use crate::tree::{self, Compact};
use crate::witness::cosigned_at;

/// What somebody brings along to be verified. Nothing of it is trusted.
#[derive(Debug, Clone, Copy)]
pub struct Download<'a> {
    /// The signed checkpoint, with cosignatures if there are any.
    pub checkpoint: &'a [u8],
    /// The entries, one a line from the first on: a canonical text, or `- KIND DIGEST` for one whose text was forgotten.
    pub entries: &'a str,
}

/// What the control log says of a data node's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalStanding {
    /// The key that signs it.
    pub key: VerifyingKey,
    /// The newest checkpoint that was accepted; nothing before the first.
    pub newest: Option<Checkpoint>,
    /// Whether it ended there.
    pub closed: bool,
    /// Why a checkpoint that its key signed was refused, if one was: the node showed two logs, or lost entries.
    pub refused: Option<String>,
    /// The only tenant whose records it holds.
    pub tenant: Option<String>,
}

/// A control log that holds together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedControl {
    /// How far it is.
    pub checkpoint: Checkpoint,
    /// Which witnesses cosigned it, and when, in seconds since 1970.
    pub cosigned: Vec<(KeyName, u64)>,
    /// Every log of a data node that ever began, by its name.
    pub journals: BTreeMap<String, JournalStanding>,
    /// How far the log before a restore was, if this one goes on after one.
    pub continues: Option<Checkpoint>,
    /// Administrative acts.
    pub acts: u64,
    /// What became of ledgers of budgets, by their numbers.
    pub ledgers: BTreeMap<u64, LedgerAccount>,
    /// Ledgers that ended and of which nothing was written down.
    pub ledgers_left_out: u64,
    /// Entries whose text was forgotten: acts, superseded checkpoints, and ledgers of long ago.
    pub forgotten: u64,
}

/// Why a control log does not hold together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlProblem {
    /// The checkpoint is not one that the cluster signed.
    #[error("the checkpoint of the control log is not signed by this key")]
    Checkpoint,
    /// A witness that was asked for has not cosigned, or wrongly.
    #[error("the witness `{0}` has not cosigned the checkpoint")]
    NotCosigned(KeyName),
    /// There are fewer or more entries than the checkpoint says.
    #[error("there are {found} entries, and the checkpoint is over {wanted}")]
    Count {
        /// How many there are.
        found: u64,
        /// How many there should be.
        wanted: u64,
    },
    /// Together the entries do not have the signed root.
    #[error("the entries do not have the root that was signed")]
    Root,
    /// The checkpoint that was seen earlier is not a beginning of this log.
    #[error("this log does not go on from the checkpoint that was seen before")]
    Forked,
    /// A line is no entry.
    #[error("entry {0} is not one in its one form")]
    Entry(u64),
    /// A text is missing that may not be forgotten.
    #[error("the text of entry {index}, of the kind `{kind}`, is missing")]
    Missing {
        /// Which entry.
        index: u64,
        /// Its kind.
        kind: Kind,
    },
    /// An entry contradicts an earlier one.
    #[error("entry {index} contradicts earlier ones: {what}")]
    Contradiction {
        /// Which entry.
        index: u64,
        /// In which way.
        what: &'static str,
    },
}

impl ControlProblem {
    /// A stable word for metrics and reports.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Checkpoint => "control_checkpoint",
            Self::NotCosigned(_) => "control_not_cosigned",
            Self::Count { .. } => "control_count",
            Self::Root => "control_root",
            Self::Forked => "control_forked",
            Self::Entry(_) => "control_entry",
            Self::Missing { .. } => "control_missing",
            Self::Contradiction { .. } => "control_contradiction",
        }
    }

    /// Never: the same log is refused again.
    pub fn retryable(&self) -> bool {
        false
    }
}

/// Verifies a downloaded control log: `key` is the cluster's, `witnesses` are all that have to have cosigned, and `seen` is a
/// checkpoint that the reader trusts from before.
///
/// # Errors
/// [`ControlProblem`]
pub fn verify(
    download: Download<'_>,
    key: &VerifyingKey,
    witnesses: &[VerifyingKey],
    seen: Option<&Checkpoint>,
) -> Result<VerifiedControl, ControlProblem> {
    let checkpoint =
        Checkpoint::open(download.checkpoint, key).map_err(|_reported| ControlProblem::Checkpoint)?;
    let note = Note::read(download.checkpoint).map_err(|_reported| ControlProblem::Checkpoint)?;
    let mut cosigned = Vec::with_capacity(witnesses.len());
    for witness in witnesses {
        let not = |_reported| ControlProblem::NotCosigned(witness.name().clone());
        cosigned.push((witness.name().clone(), cosigned_at(&note, witness).map_err(not)?));
    }
    let mut reader = Reader::new(checkpoint.clone(), seen);
    for line in download.entries.lines() {
        reader.take(line)?;
    }
    let mut verified = reader.finish()?;
    verified.cosigned = cosigned;
    Ok(verified)
}

struct Reader<'a> {
    tree: Compact,
    seen: Option<&'a Checkpoint>,
    seen_is_met: bool,
    verified: VerifiedControl,
}

impl<'a> Reader<'a> {
    fn new(checkpoint: Checkpoint, seen: Option<&'a Checkpoint>) -> Self {
        let verified = VerifiedControl {
            checkpoint,
            cosigned: Vec::new(),
            journals: BTreeMap::new(),
            continues: None,
            acts: 0,
            ledgers: BTreeMap::new(),
            ledgers_left_out: 0,
            forgotten: 0,
        };
        let mut reader = Self { tree: Compact::default(), seen, seen_is_met: seen.is_none(), verified };
        reader.meet();
        reader
    }

    /// Looks whether the tree is the one that was seen before.
    fn meet(&mut self) {
        let seen = self.seen.filter(|seen| seen.size == self.tree.size());
        self.seen_is_met |= seen.is_some_and(|seen| {
            seen.root == self.tree.root() && seen.origin == self.verified.checkpoint.origin
        });
    }

    fn take(&mut self, line: &str) -> Result<(), ControlProblem> {
        let index = self.tree.size();
        let wanted = self.verified.checkpoint.size;
        if index >= wanted {
            return Err(ControlProblem::Count { found: index + 1, wanted });
        }
        let entry = match line.strip_prefix("- ") {
            Some(forgotten) => self.forgotten(index, forgotten)?,
            None => {
                let entry = Entry::read(line).map_err(|_withheld| ControlProblem::Entry(index))?;
                if entry.index != index {
                    return Err(ControlProblem::Entry(index));
                }
                let hash = entry.hash();
                self.says(index, entry.what)?;
                hash
            }
        };
        self.tree.push(tree::leaf(&entry.0));
        self.meet();
        Ok(())
    }

    fn forgotten(&mut self, index: u64, rest: &str) -> Result<Hash, ControlProblem> {
        let bad = || ControlProblem::Entry(index);
        let (kind, digest) = rest.split_once(' ').ok_or_else(bad)?;
        let (kind, digest): (Kind, Hash) = kind.parse().ok().zip(digest.parse().ok()).ok_or_else(bad)?;
        if !kind.may_be_forgotten() {
            return Err(ControlProblem::Missing { index, kind });
        }
        self.verified.forgotten += 1;
        self.verified.acts += u64::from(kind == Kind::Act);
        Ok(entry_hash(kind, &digest))
    }

    /// What an entry says of the logs of data nodes.
    fn says(&mut self, index: u64, what: What) -> Result<(), ControlProblem> {
        let contradiction = |what| ControlProblem::Contradiction { index, what };
        match what {
            What::Act(_) => self.verified.acts += 1,
            What::Birth(birth) => {
                let key: VerifyingKey =
                    birth.key.parse().map_err(|_withheld| contradiction("the key is none"))?;
                if key.name().as_str() != birth.origin {
                    return Err(contradiction("the key is of another log"));
                }
                let standing =
                    JournalStanding { key, newest: None, closed: false, refused: None, tenant: birth.tenant };
                if self.verified.journals.insert(birth.origin, standing).is_some() {
                    return Err(contradiction("a log began twice"));
                }
            }
            What::Checkpoints(it) => {
                for head in &it.logs {
                    self.advance(index, head)?;
                }
            }
            What::Closing(head) => {
                self.advance(index, &head)?.closed = true;
            }
            What::Ledgers(it) => {
                self.verified.ledgers_left_out = self.verified.ledgers_left_out.saturating_add(it.left_out);
                for account in it.accounts {
                    if self.verified.ledgers.insert(account.ledger, account).is_some() {
                        return Err(contradiction("a ledger ended twice"));
                    }
                }
            }
            What::Refusal(refusal) => {
                let journal = self.verified.journals.get_mut(&refusal.origin);
                journal.ok_or_else(|| contradiction("a log was refused that never began"))?.refused =
                    Some(refusal.code);
            }
            What::Continues(head) => {
                if index != 0 {
                    return Err(contradiction("only the first entry says what came before"));
                }
                let before = head.checkpoint().ok_or_else(|| contradiction("the log before has no name"))?;
                self.verified.continues = Some(before);
            }
        }
        Ok(())
    }

    fn advance(&mut self, index: u64, head: &super::Head) -> Result<&mut JournalStanding, ControlProblem> {
        let contradiction = |what| ControlProblem::Contradiction { index, what };
        let journal = self.verified.journals.get_mut(&head.origin);
        let journal = journal.ok_or_else(|| contradiction("a log grew that never began"))?;
        if journal.closed {
            return Err(contradiction("a log grew that had ended"));
        }
        let new = head.checkpoint().ok_or_else(|| contradiction("the log has no name"))?;
        match &journal.newest {
            Some(known) if known.size > new.size => return Err(contradiction("a log became smaller")),
            Some(known) if known.size == new.size && known.root != new.root => {
                return Err(contradiction("a log has two roots"));
            }
            Some(_) | None => journal.newest = Some(new),
        }
        Ok(journal)
    }

    fn finish(self) -> Result<VerifiedControl, ControlProblem> {
        let wanted = self.verified.checkpoint.size;
        if self.tree.size() != wanted {
            return Err(ControlProblem::Count { found: self.tree.size(), wanted });
        }
        if self.tree.root() != self.verified.checkpoint.root {
            return Err(ControlProblem::Root);
        }
        if self.seen_is_met { Ok(self.verified) } else { Err(ControlProblem::Forked) }
    }
}

const _: () = assert!(
    caps::CONTROL_ENTRY_BYTES_MAX
        > caps::AUDIT_CHECKPOINTS_ENTRY_LOGS_MAX * (caps::AUDIT_ORIGIN_BYTES_MAX + 128),
    "an entry holds a checkpoint of every log that may advance at once"
);
