//! What a log has grown since its last sealed segment: its records follow what is sealed, and its checkpoints are those of the
//! tree at their place.

use std::collections::BTreeMap;

use super::chains::Found;
use super::problem::{Problem, ProblemKind};
use crate::checkpoint::Checkpoint;
use crate::hash::Hash;
use crate::journal::{Grown, Signed, Step};
use crate::keys::VerifyingKey;
use crate::record::{self, Chain};
use crate::tree::{self, Compact};

/// Adds what has grown to what is sealed. `trusted` is a checkpoint that is not among the sealed ones.
pub(super) fn verify(
    grown: &[Grown],
    key: &VerifyingKey,
    trusted: Option<&Checkpoint>,
    signed: &mut Signed,
    entries: &mut Vec<Hash>,
    found: &mut Found,
) -> Result<(), Problem> {
    if grown.is_empty() {
        return Ok(());
    }
    let mut growth = Growth { key, trusted, signed, tree: Compact::default(), entries, found };
    growth.entries.iter().for_each(|entry| growth.tree.push(tree::leaf(&entry.0)));
    grown.iter().try_for_each(|segment| {
        let file = format!("wal/{:08}.wal", segment.number);
        growth.segment(segment).map_err(|problem| problem.in_file(file))
    })
}

struct Growth<'g> {
    key: &'g VerifyingKey,
    trusted: Option<&'g Checkpoint>,
    signed: &'g mut Signed,
    tree: Compact,
    entries: &'g mut Vec<Hash>,
    found: &'g mut Found,
}

impl Growth<'_> {
    fn segment(&mut self, segment: &Grown) -> Result<(), Problem> {
        let index = self.tree.size();
        let stood: BTreeMap<&Chain, (u64, Hash)> =
            segment.chains.iter().map(|(chain, seq, entry)| (chain, (*seq, *entry))).collect();
        let known = &self.found.newest;
        let known: BTreeMap<&Chain, (u64, Hash)> =
            known.iter().map(|(chain, entry)| (chain, (self.found.chains[chain], *entry))).collect();
        if segment.start != index || stood != known {
            return Err(Problem::at(ProblemKind::Broken, index));
        }
        for step in &segment.steps {
            match step {
                Step::Record(bytes) => self.record(segment.number, bytes)?,
                Step::Checkpoint(note) => self.checkpoint(note)?,
            }
        }
        Ok(())
    }

    fn record(&mut self, segment: u64, bytes: &[u8]) -> Result<(), Problem> {
        let index = self.tree.size();
        let problem = |kind| Err(Problem::at(kind, index));
        let Ok(envelope) = record::envelope(bytes) else { return problem(ProblemKind::NotARecord) };
        let Ok(chain) = envelope.chain.parse::<Chain>() else { return problem(ProblemKind::Chain) };
        let before = self.found.newest.get(&chain).copied();
        let seq = self.found.chains.get(&chain).copied().unwrap_or(0);
        let after_the_end = self.found.last_end.is_some_and(|(_, last)| last);
        if envelope.seq != seq + 1 || envelope.prev != before || after_the_end {
            return problem(ProblemKind::Broken);
        }
        if matches!(envelope.kind, "gap" | "segment_end") {
            self.found.special(segment, index, bytes)?;
        }
        let entry = Hash::of(bytes);
        self.entries.push(entry);
        self.tree.push(tree::leaf(&entry.0));
        self.found.chains.insert(chain.clone(), envelope.seq);
        self.found.newest.insert(chain, entry);
        self.found.records += 1;
        match self.trusted {
            Some(trusted) if trusted.size == index + 1 && trusted.root != self.tree.root() => {
                Err(Problem { kind: ProblemKind::Forked, index: None, file: None })
            }
            _ => Ok(()),
        }
    }

    fn checkpoint(&mut self, note: &[u8]) -> Result<(), Problem> {
        let index = self.tree.size();
        let checkpoint = Checkpoint::open(note, self.key);
        let sound = checkpoint.ok().filter(|it| (it.size, it.root) == (index, self.tree.root()));
        let checkpoint = sound.ok_or_else(|| Problem::at(ProblemKind::Checkpoint, index))?;
        *self.signed = Signed { checkpoint, note: note.to_vec() };
        Ok(())
    }
}
