//! The records of a folder: each is what was logged at its index, and each chain is whole.

use std::collections::BTreeMap;
use std::path::Path;

use aegis_model::clock::UnixNanos;

use super::Scope;
use super::problem::{Problem, ProblemKind};
use crate::hash::Hash;
use crate::heads::Opening;
use crate::journal::Disk;
use crate::keys::{KeyName, VerifyingKey};
use crate::pruned::{self, PrunedTo, Stub, Unsound};
use crate::record::{self, Chain, Record, SegmentEnd, What};
use crate::segment::{self, Segment};

/// What the records say.
#[derive(Default)]
pub(super) struct Found {
    pub(super) records: u64,
    pub(super) chains: BTreeMap<Chain, u64>,
    /// The entry of the newest record of each chain.
    pub(super) newest: BTreeMap<Chain, Hash>,
    pub(super) gaps: Vec<(Chain, u64)>,
    /// The newest end of a segment: its index, and whether it is the log's.
    pub(super) last_end: Option<(u64, bool)>,
    /// Up to which end of a segment each chain is known to be whole.
    pub(super) openings: BTreeMap<Chain, u64>,
    /// What retention deleted of each chain.
    pub(super) pruned: BTreeMap<Chain, PrunedTo>,
    ends: BTreeMap<u64, (SegmentEnd, UnixNanos)>,
    log_is_broken: bool,
    seen: Vec<bool>,
}

/// Reads every sealed record of the scope. The segment `growing` and those after it are not sealed, though some of their files
/// may be there.
pub(super) fn verify(
    disk: &dyn Disk,
    folder: &Path,
    origin: &KeyName,
    entries: &[Hash],
    (scope, growing): (&Scope, Option<u64>),
    keys: &[&VerifyingKey],
) -> Result<Found, Problem> {
    let mut found = Found { seen: vec![false; entries.len()], ..Found::default() };
    let folders = folders(disk, folder, scope)?;
    let mut problems = Vec::new();
    // The ends of segments first: the other chains are held against them.
    let log = segment::folder(&Chain::Log).to_string_lossy().into_owned();
    for name in std::iter::once(&log).chain(folders.iter().filter(|name| **name != log)) {
        if folders.contains(name) {
            let walk = Walk::new(disk, folder, (origin, keys), entries, &mut found);
            problems.extend(walk.chain(name, growing).err());
            found.log_is_broken |= *name == log && !problems.is_empty();
        }
    }
    // Where it is not proved what retention deleted, that is the problem, and not each record that is missing.
    let unproved = |problem: &Problem| matches!(problem.kind, ProblemKind::Pruned | ProblemKind::PrunedBy);
    if *scope == Scope::Whole && !problems.iter().any(unproved) {
        problems.extend(found.missing());
    }
    if problems.is_empty() {
        problems.extend(found.unended(entries.len() as u64));
    }
    if let Scope::Chain(chain) = scope
        && !found.chains.contains_key(chain)
    {
        problems.push(Problem::of_file(ProblemKind::Missing, segment::folder(chain).to_string_lossy()));
    }
    problems.sort_by_key(|problem| problem.index.unwrap_or(u64::MAX));
    match problems.into_iter().next() {
        Some(first) => Err(first),
        None => Ok(found),
    }
}

impl Found {
    /// Every record that is not there was deleted by retention: each of its chain's first ones, and so as many as that chain
    /// had, before the end of the segment that went last.
    fn missing(&self) -> Option<Problem> {
        let mut missing = (0_u64..).zip(&self.seen).filter(|(_, seen)| !**seen).map(|(index, _)| index);
        let deleted: u64 = self.pruned.values().map(|it| it.seq).sum();
        let end = self.pruned.values().map(|it| it.end).max().unwrap_or(0);
        let count = missing.clone().count() as u64;
        if let Some(index) = missing.find(|index| deleted == 0 || *index > end) {
            return Some(Problem::at(ProblemKind::NotThere, index));
        }
        (count != deleted).then_some(Problem { kind: ProblemKind::NotThere, index: None, file: None })
    }

    /// What is sealed ends with the end of a segment; and where the log ends, so does every chain.
    fn unended(&self, size: u64) -> Option<Problem> {
        let Some((at, last)) = self.last_end else {
            return (size > 0).then(|| Problem::at(ProblemKind::NotThere, size - 1));
        };
        if at + 1 != size {
            return Some(Problem::at(ProblemKind::NotThere, size - 1));
        }
        let cut = |chain: &&Chain| **chain != Chain::Log && self.openings.get(*chain) != Some(&at);
        let cut = self.chains.keys().find(cut).filter(|_| last)?;
        let file = segment::folder(cut).to_string_lossy().into_owned();
        Some(Problem {
            kind: ProblemKind::Head,
            index: self.openings.get(cut).map(|end| end + 1),
            file: Some(file),
        })
    }

    /// A record whose content matters here.
    pub(super) fn special(&mut self, segment: u64, index: u64, bytes: &[u8]) -> Result<(), Problem> {
        let problem = |kind| Err(Problem::at(kind, index));
        let Ok(record) = Record::read(bytes) else { return problem(ProblemKind::NotARecord) };
        match record.what {
            What::Gap(gap) if gap.after + 1 != record.seq => problem(ProblemKind::Broken),
            What::Gap(_) => {
                self.gaps.push((record.chain, index));
                Ok(())
            }
            What::SegmentEnd(end) => {
                let fits = record.chain == Chain::Log && end.at == index && end.segment == segment;
                let follows = self.last_end.is_none_or(|(_, last)| !last);
                if !fits || !follows {
                    return problem(ProblemKind::Broken);
                }
                self.last_end = Some((index, end.last));
                self.ends.insert(index, (end, record.at));
                Ok(())
            }
            What::Decision(_)
            | What::Completion(_)
            | What::Shadow(_)
            | What::Refusals(_)
            | What::Pruning(_) => Ok(()),
        }
    }
}

/// The folders of chains that are there, and may be.
fn folders(disk: &dyn Disk, folder: &Path, scope: &Scope) -> Result<Vec<String>, Problem> {
    let names = disk.list(&folder.join("segments")).unwrap_or_default();
    let names: Vec<String> = names.into_iter().map(|name| format!("segments/{name}")).collect();
    let Scope::Chain(chain) = scope else { return Ok(names) };
    let own = segment::folder(chain).to_string_lossy().into_owned();
    let log = segment::folder(&Chain::Log).to_string_lossy().into_owned();
    match names.iter().find(|name| **name != own && **name != log) {
        Some(other) => Err(Problem::of_file(ProblemKind::Unexpected, other)),
        None => Ok(names),
    }
}

/// The way through one chain.
struct Walk<'a> {
    disk: &'a dyn Disk,
    folder: &'a Path,
    origin: &'a KeyName,
    keys: &'a [&'a VerifyingKey],
    entries: &'a [Hash],
    found: &'a mut Found,
    seq: u64,
    prev: Option<Hash>,
    next: u64,
}

impl<'a> Walk<'a> {
    fn new(
        disk: &'a dyn Disk,
        folder: &'a Path,
        (origin, keys): (&'a KeyName, &'a [&'a VerifyingKey]),
        entries: &'a [Hash],
        found: &'a mut Found,
    ) -> Self {
        Self { disk, folder, origin, keys, entries, found, seq: 0, prev: None, next: 0 }
    }

    fn chain(mut self, name: &str, growing: Option<u64>) -> Result<(), Problem> {
        let files = self.disk.list(&self.folder.join(name));
        let files = files.map_err(|_reported| Problem::of_file(ProblemKind::Missing, name))?;
        let unsealed = growing.map(segment::file_name);
        let pruned = if files.iter().any(|file| file == pruned::NAME) { self.pruned(name)? } else { None };
        for file in files.iter().filter(|file| *file != pruned::NAME) {
            if unsealed.as_ref().is_some_and(|first| file >= first) {
                continue;
            }
            // On its way out: its deletion was recorded, and is not over.
            if pruned.is_some_and(|newest| segment::number(file).is_some_and(|number| number <= newest)) {
                continue;
            }
            let path = format!("{name}/{file}");
            let bytes = self.disk.read(&self.folder.join(&path));
            let bytes = bytes.map_err(|_reported| Problem::of_file(ProblemKind::Missing, &path))?;
            let read = segment::read(&bytes).filter(|it| {
                let named = segment::folder(&it.chain).join(segment::file_name(it.number));
                it.origin == self.origin.as_str() && named == Path::new(&path)
            });
            // Where it goes on is the first place that cannot be trusted.
            let bad = |index| Problem { kind: ProblemKind::Segment, index, file: Some(path.clone()) };
            let segment = read.ok_or_else(|| bad((self.next > 0).then_some(self.next)))?;
            self.segment(&segment).map_err(|problem| problem.in_file(&path))?;
        }
        Ok(())
    }

    /// Begins after what retention deleted, if the evidence holds: the newest segment that is gone.
    fn pruned(&mut self, name: &str) -> Result<Option<u64>, Problem> {
        let path = format!("{name}/{}", pruned::NAME);
        let bad = |kind| Problem { kind, index: None, file: Some(path.clone()) };
        let bytes = self.disk.read(&self.folder.join(&path));
        let stub = bytes.ok().as_deref().and_then(Stub::read).filter(|stub| {
            matches!(stub.chain, Chain::Tenant(_)) && segment::folder(&stub.chain) == Path::new(name)
        });
        let stub = stub.ok_or_else(|| bad(ProblemKind::Pruned))?;
        let Some(end) = self.found.ends.get(&stub.opening.end) else {
            // Where the ends of segments are broken, that is the problem, and not this chain.
            return if self.found.log_is_broken { Ok(None) } else { Err(bad(ProblemKind::Pruned)) };
        };
        let to = stub.verify(self.origin.as_str(), end, self.keys).map_err(|unsound| match unsound {
            Unsound::UnknownKey => bad(ProblemKind::PrunedBy),
            Unsound::Wrong => bad(ProblemKind::Pruned),
        })?;
        // Recorded in this very log: then it stands there as well.
        let here = to.by.0 == self.origin.as_str();
        let place = usize::try_from(to.by.1).unwrap_or(usize::MAX);
        if here && self.entries.get(place).is_some_and(|entry| *entry != Hash::of(&stub.record)) {
            return Err(bad(ProblemKind::Pruned));
        }
        (self.seq, self.prev, self.next) = (stub.opening.seq, Some(stub.opening.entry), to.end + 1);
        self.found.chains.insert(stub.chain.clone(), self.seq);
        self.found.newest.insert(stub.chain.clone(), stub.opening.entry);
        self.found.openings.insert(stub.chain.clone(), to.end);
        self.found.pruned.insert(stub.chain, to);
        Ok(Some(stub.segment))
    }

    fn segment(&mut self, segment: &Segment<'_>) -> Result<(), Problem> {
        let name = segment.chain.to_string();
        for (index, bytes) in &segment.records {
            self.record(segment, &name, *index, bytes)?;
        }
        self.found.chains.insert(segment.chain.clone(), self.seq);
        if let Some(entry) = self.prev {
            self.found.newest.insert(segment.chain.clone(), entry);
        }
        match (&segment.chain, &segment.opening) {
            (Chain::Log, None) => Ok(()),
            (Chain::Log, Some(_)) | (_, None) => Err(Problem::at(ProblemKind::Head, self.next)),
            (chain, Some(opening)) => self.opening(segment.number, chain, opening),
        }
    }

    fn record(&mut self, segment: &Segment<'_>, name: &str, index: u64, bytes: &[u8]) -> Result<(), Problem> {
        let problem = |kind| Err(Problem::at(kind, index));
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        let Some(seen) = self.found.seen.get_mut(place) else { return problem(ProblemKind::Order) };
        if Hash::of(bytes) != self.entries[place] {
            return problem(ProblemKind::Record);
        }
        if *seen || index < self.next {
            return problem(ProblemKind::Order);
        }
        *seen = true;
        let Ok(envelope) = record::envelope(bytes) else { return problem(ProblemKind::NotARecord) };
        if envelope.chain != name {
            return problem(ProblemKind::Chain);
        }
        if envelope.seq != self.seq + 1 || envelope.prev != self.prev {
            return problem(ProblemKind::Broken);
        }
        if matches!(envelope.kind, "gap" | "segment_end") {
            self.found.special(segment.number, index, bytes)?;
        }
        (self.seq, self.prev, self.next) = (envelope.seq, Some(self.entries[place]), index + 1);
        self.found.records += 1;
        Ok(())
    }

    /// Whether the log says that the chain ended here, at the end of this segment.
    fn opening(&mut self, number: u64, chain: &Chain, opening: &Opening) -> Result<(), Problem> {
        let cut = Err(Problem::at(ProblemKind::Head, self.next));
        let Some((end, _)) = self.found.ends.get(&opening.end) else {
            // Where the ends of segments are broken, that is the problem, and not this chain.
            return if self.found.log_is_broken { Ok(()) } else { cut };
        };
        let here = (opening.seq, Some(opening.entry)) == (self.seq, self.prev) && end.segment == number;
        if !here || opening.verify(chain, end.heads, &end.heads_root).is_err() {
            return cut;
        }
        self.found.openings.insert(chain.clone(), opening.end);
        Ok(())
    }
}
