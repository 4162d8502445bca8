//! What a node does with sealed segments, all of it, under a fault at every call to its disk: copies them into a store, deletes what
//! retention says once the store has it, and has the store follow. Nothing goes that the store lacks, and whatever is found, here and
//! there, verifies (AUD-1). It takes seconds, so that every call is tried in every run.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use aegis_audit::journal::Disk;
use aegis_audit::keys::VerifyingKey;
use aegis_audit::prune::{Ages, Evidence, due, prune, sweep};
use aegis_audit::pruned;
use aegis_audit::segment;
use aegis_audit::upload::progress;
use aegis_audit::verify::{Scope, Verified, verify_pruned};

use crate::faulty::{Fault, MemoryDisk};
use crate::node::{key_of, origin};
use crate::prunings::{DAYS, acme, closed_log, evidence, folder, judge, keys, later, most};
use crate::uploads::{Store, fetched, place, round};

/// The node, as far as it matters here: what it deletes, and what its later life recorded of that.
struct Keeper {
    log: String,
    evidence: Evidence,
    /// Every segment of the tenant, by its path below the log.
    segments: BTreeMap<PathBuf, Vec<u8>>,
    newest: u64,
}

impl Keeper {
    fn new(files: &BTreeMap<PathBuf, Vec<u8>>) -> Self {
        let due = most(&MemoryDisk::of_files(files));
        let own = folder(1).join(segment::folder(&acme()));
        let segments = files.iter().filter(|(path, _)| path.starts_with(&own));
        let below = |path: &Path| path.strip_prefix(folder(1)).unwrap().to_owned();
        Self {
            log: origin(1).to_string(),
            evidence: evidence(&due, later(DAYS + 1), DAYS),
            segments: segments.map(|(path, bytes)| (below(path), bytes.clone())).collect(),
            newest: due.segment,
        }
    }

    /// Everything that is to be done, in the order of the product's own keepers. Stops where the disk does.
    fn keep(&self, disk: &dyn Disk, store: &mut Store) -> io::Result<()> {
        let log = folder(1);
        sweep(disk, &log, &acme())?;
        let ages = Ages::look(disk, &log, later(0))?;
        while round(disk, 1, store)? {}
        let copied = progress(disk, &log, &place())?.segments;
        let old = ages.older(later(1), copied).map(|old| old.min(self.newest));
        if let Some(upto) = old
            && let Some(due) = due(disk, &log, &acme(), upto)?
        {
            prune(disk, &log, &self.log, &due, self.evidence.clone())?;
        }
        self.follow(disk, store)
    }

    /// The store deletes what is deleted here, the evidence first.
    fn follow(&self, disk: &dyn Disk, store: &mut Store) -> io::Result<()> {
        let Some(stub) = pruned::find(disk, &folder(1), &acme())? else { return Ok(()) };
        let own = Path::new("/log").join(segment::folder(&acme()));
        store.insert(own.join(pruned::NAME), stub.to_bytes());
        let number = |path: &Path| segment::number(path.file_name().unwrap().to_str().unwrap());
        store.retain(|path, _| {
            path.parent() != Some(&own) || number(path).is_none_or(|number| number > stub.segment)
        });
        Ok(())
    }

    /// What is here and what is there verify, and every record of the tenant is in one of them or was deleted on purpose.
    fn check(&self, disk: &MemoryDisk, store: &Store, context: &str) -> Verified {
        let here = judge(disk, 1, &keys(), &Scope::Whole)
            .unwrap_or_else(|problem| panic!("{context}, here: {problem}"));
        if let Some(copy) = fetched(store) {
            let there = MemoryDisk::of_files(&copy);
            let (own, others): (VerifyingKey, Vec<VerifyingKey>) =
                (key_of(1).verifying_key().clone(), keys());
            verify_pruned(&there, Path::new("/log"), &own, &others, None, &Scope::Whole)
                .unwrap_or_else(|problem| panic!("{context}, there: {problem}"));
        }
        let said = pruned::find(disk, &folder(1), &acme()).unwrap().map(|stub| stub.segment);
        let files = disk.files();
        for (path, bytes) in &self.segments {
            let number = segment::number(path.file_name().unwrap().to_str().unwrap());
            let deleted = number.zip(said).is_some_and(|(number, said)| number <= said);
            assert!(
                deleted || files.get(&folder(1).join(path)) == Some(bytes),
                "{context}: {} is lost",
                path.display()
            );
        }
        // The deletion is on disk before anything goes, and the copy before the deletion.
        if said.is_some() {
            let copied = progress(disk, &folder(1), &place()).unwrap().segments;
            assert!(fetched(store).is_some(), "{context}: deleted, and there is no copy");
            assert!(copied == 0 || copied > self.newest, "{context}: deleted before it was copied");
        }
        here
    }
}

#[expect(clippy::print_stdout, reason = "the bar reads the figures")]
fn every_call(name: &str, fault: Fault) {
    let files = closed_log().files();
    let keeper = Keeper::new(&files);
    let whole = MemoryDisk::of_files(&files);
    let calls = calls(&keeper, &whole);
    assert!(calls > 60, "{calls} calls are too few to mean something");
    for call in 1..=calls {
        let context = format!("{fault:?} at call {call} of {calls}");
        let (disk, mut store) = (MemoryDisk::of_files(&files).restarted(), Store::new());
        disk.fail(call, fault);
        let first = keeper.keep(&disk, &mut store);
        assert!(disk.struck(), "{context}");
        // What only tidies up may fail unseen; nothing else may.
        drop(first);
        let found = disk.restarted();
        keeper.check(&found, &store, &context);
        // Another one on the way, and then none.
        found.fail(1 + call * 7 % calls, fault);
        drop(keeper.keep(&found, &mut store));
        let found = found.restarted();
        keeper.check(&found, &store, &context);
        keeper.keep(&found, &mut store).unwrap_or_else(|error| panic!("{context}: {error}"));
        let done = keeper.check(&found, &store, &context);
        assert_eq!(done.pruned[&acme()].segment, keeper.newest, "{context}");
        let left =
            store.keys().filter(|path| keeper.segments.contains_key(path.strip_prefix("/log").unwrap()));
        let beyond = keeper.segments.keys().filter(|path| {
            let number = segment::number(path.file_name().unwrap().to_str().unwrap());
            number.is_some_and(|number| number > keeper.newest)
        });
        assert_eq!(left.count(), beyond.count(), "{context}: the store follows");
    }
    println!("{{\"name\": \"audit-faults/housekeeping_{name}\", \"value\": {calls}, \"unit\": \"calls\"}}");
}

/// How many calls to the disk all of it takes.
fn calls(keeper: &Keeper, whole: &MemoryDisk) -> u64 {
    (1..)
        .find(|call| {
            let disk = whole.restarted();
            disk.fail(*call, Fault::Kill);
            drop(keeper.keep(&disk, &mut Store::new()));
            !disk.struck()
        })
        .unwrap()
        - 1
}

#[test]
fn a_kill_at_every_call_of_housekeeping() {
    every_call("kill", Fault::Kill);
}

#[test]
fn a_power_cut_at_every_call_of_housekeeping() {
    every_call("power_loss", Fault::PowerLoss);
}

#[test]
fn an_error_at_every_call_of_housekeeping() {
    every_call("error", Fault::Once(ErrorKind::Other));
}

#[test]
fn a_full_disk_from_every_call_of_housekeeping_on() {
    every_call("full", Fault::From(ErrorKind::StorageFull));
}

#[test]
fn a_read_only_disk_from_every_call_of_housekeeping_on() {
    every_call("read_only", Fault::From(ErrorKind::ReadOnlyFilesystem));
}
