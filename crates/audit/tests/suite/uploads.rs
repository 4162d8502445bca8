//! Copies of logs: whole after a crash at any point, at least once, and never speaking of what is not there (AUD-1).

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aegis_audit::hash::Hash;
use aegis_audit::journal::Disk;
use aegis_audit::tiles::Tile;
use aegis_audit::upload::{self, Progress, belongs, end_of, note, plan, progress};
use aegis_audit::verify::{Scope, Verified, verify};

use crate::faulty::{Fault, MemoryDisk};
use crate::node::{Memory, ROOT, key_of, live};

/// What is at the place of the copy, which outlives every node.
pub(crate) type Store = BTreeMap<PathBuf, Vec<u8>>;

pub(crate) fn place() -> Hash {
    Hash::of(b"s3://bucket")
}

fn folder(life: u64) -> PathBuf {
    Path::new(ROOT).join(life.to_string())
}

/// One round of an uploader: plans, puts, notes. Whether there was anything to do.
pub(crate) fn round(disk: &dyn Disk, life: u64, store: &mut Store) -> io::Result<bool> {
    let (folder, at) = (folder(life), Path::new("/log"));
    let known = progress(disk, &folder, &place())?;
    let Some(plan) = plan(disk, &folder, known)? else { return Ok(false) };
    for file in plan.files {
        let content = disk.read(&folder.join(&file))?;
        let there = store.entry(at.join(&file)).or_insert_with(|| content.clone());
        assert_eq!(*there, content, "`{}` never changes", file.display());
    }
    store.insert(at.join(upload::CHECKPOINT), plan.checkpoint);
    note(disk, &folder, &place(), plan.then)?;
    Ok(true)
}

/// What somebody downloads: what is under the checkpoint that is there.
pub(crate) fn fetched(store: &Store) -> Option<Store> {
    let checkpoint = store.get(Path::new("/log/checkpoint"))?;
    let size = upload::size_of(checkpoint).unwrap();
    let ends = store.iter().filter(|(path, _)| path.starts_with("/log/segments/log"));
    let segments = ends.filter(|(_, bytes)| end_of(bytes).unwrap() < size).count() as u64;
    let under = Progress { size, segments };
    let name = |path: &Path| path.strip_prefix("/log").unwrap().to_str().unwrap().to_owned();
    let mut copy = store.clone();
    copy.retain(|path, _| name(path) == "checkpoint" || belongs(&name(path), under));
    Some(copy)
}

fn verified(store: &Store, life: u64, context: &str) -> Verified {
    let disk = MemoryDisk::of_files(store);
    verify(&disk, Path::new("/log"), key_of(life).verifying_key(), None, &Scope::Whole)
        .unwrap_or_else(|problem| panic!("{context}: {problem}"))
}

#[test]
fn a_tile_is_of_a_size_if_that_size_makes_it() {
    for size in [0, 1, 255, 256, 257, 65_535, 65_536, 65_537, 70_000] {
        let tiles = Tile::between(0, size);
        assert!(tiles.iter().all(|tile| tile.is_of(size)), "{size}");
        for other in Tile::between(0, size + 300) {
            assert_eq!(other.is_of(size), tiles.contains(&other), "{other} of {size}");
        }
    }
}

#[test]
fn a_copy_of_a_closed_log_verifies_and_is_made_once() {
    let memory = MemoryDisk::default();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    live(&disk, 1, "boot-1", &mut Memory::default()).unwrap();
    let mut store = Store::new();
    assert!(round(&*disk, 1, &mut store).unwrap());
    assert!(!round(&*disk, 1, &mut store).unwrap(), "there is nothing left to do");
    let copy = verified(&store, 1, "whole");
    assert!(copy.ended && copy.records == copy.size);
    assert!(
        store.keys().all(|path| !path.ends_with("key") && !path.ends_with("boot")),
        "no private key leaves"
    );
    // Another place knows nothing of it.
    assert_eq!(progress(&*disk, &folder(1), &Hash::of(b"elsewhere")).unwrap(), Progress::default());
    assert_ne!(progress(&*disk, &folder(1), &place()).unwrap(), Progress::default());
}

/// The same for an uploader that works while the log grows, segment by segment, and for a node that fails at each call.
fn every_call(fault: Fault) {
    let step = if std::env::var("AEGIS_AUDIT_FAULTS").is_ok_and(|it| it == "all") { 1 } else { 3 };
    let boot = if fault == Fault::PowerLoss { "boot-2" } else { "boot-1" };
    let whole = MemoryDisk::default();
    let shared: Arc<dyn Disk> = Arc::new(whole.clone());
    live(&shared, 1, "boot-1", &mut Memory::default()).unwrap();
    let files = whole.files();
    for call in (1..).step_by(step) {
        let disk = MemoryDisk::of_files(&files).restarted();
        disk.fail(call, fault);
        let mut store = Store::new();
        // As after a crash in the middle: a part is there already, and no note says so.
        let first = round(&disk, 1, &mut store);
        let struck = disk.struck();
        if let Some(copy) = fetched(&store) {
            verified(&copy, 1, &format!("{fault:?} at call {call}"));
        }
        let mut found = disk.restarted();
        let context = format!("{fault:?} at call {call}, {boot}");
        // Whatever the note says is there, is there.
        let noted = progress(&found, &folder(1), &place()).unwrap();
        if noted.size > 0 {
            assert!(
                fetched(&store).is_some_and(|copy| verified(&copy, 1, &context).size >= noted.size),
                "{context}"
            );
        }
        // Another crash on the way, and then none.
        found.fail(1 + call * 5 % 40, fault);
        drop(round(&found, 1, &mut store));
        found = found.restarted();
        while round(&found, 1, &mut store).unwrap_or_else(|error| panic!("{context}: {error}")) {}
        let copy = verified(&fetched(&store).unwrap(), 1, &context);
        assert!(copy.ended, "{context}");
        if !struck {
            assert!(first.unwrap());
            assert!(call > 30, "{call} calls are too few to mean something");
            return;
        }
    }
}

#[test]
fn a_kill_at_every_call_of_an_upload() {
    every_call(Fault::Kill);
}

#[test]
fn a_power_cut_at_every_call_of_an_upload() {
    every_call(Fault::PowerLoss);
}

#[test]
fn an_error_at_every_call_of_an_upload() {
    every_call(Fault::Once(ErrorKind::Other));
}

/// While a log grows, its copy follows segment by segment, and is a beginning of it at every step.
#[test]
fn the_copy_of_a_log_that_grows_follows_it() {
    use crate::node::{means, open, origin};
    let memory = MemoryDisk::default();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let home = open(&disk).unwrap();
    let journal = home.begin(&origin(1), key_of(1), "boot-1", means(1)).unwrap();
    let (mut store, mut remembered, mut sizes) = (Store::new(), Memory::default(), Vec::new());
    for _ in 0..12 {
        remembered.append(&journal, 1, 9).unwrap();
        // What is being sealed may go away under the uploader's hands: then it looks again.
        let mut done = round(&*disk, 1, &mut store);
        for _ in 0..100 {
            match done {
                Err(error) if error.kind() == ErrorKind::NotFound => done = round(&*disk, 1, &mut store),
                _ => break,
            }
        }
        done.unwrap();
        if let Some(copy) = fetched(&store) {
            sizes.push(verified(&copy, 1, "growing").size);
        }
    }
    assert!(sizes.is_sorted() && sizes.first() < sizes.last(), "{sizes:?}");
    journal.close().unwrap();
    while round(&*disk, 1, &mut store).unwrap() {}
    assert!(verified(&fetched(&store).unwrap(), 1, "ended").ended);
}
