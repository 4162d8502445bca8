//! The journal on the machine's own disk: who may open it, what it promises, what it proves.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use aegis_audit::checkpoint::Checkpoint;
use aegis_audit::export::export;
use aegis_audit::forward::{Forward, Most};
use aegis_audit::hash::Hash;
use aegis_audit::journal::*;
use aegis_audit::read;
use aegis_audit::record::{Chain, Draft, GapCause, Record, RecordId, What};
use aegis_audit::tree::{verify_consistency, verify_inclusion};
use aegis_audit::verify::{ProblemKind, Scope, verify};
use aegis_testkit::eventually;

use crate::node::{Memory, key_of, means, origin};
use crate::samples::*;

const WAIT: Duration = Duration::from_secs(60);

fn home(root: &Path, node: &str) -> Result<Home, JournalError> {
    Home::open(Arc::new(SystemDisk), root, &"prod.example".parse().unwrap(), node)
}

fn begin(home: &Home, life: u64) -> Result<Journal, JournalError> {
    home.begin(&origin(life), key_of(life), "boot-1", means(life))
}

fn draft(chain: &str, number: u64) -> Draft {
    let id = RecordId::random(&mut rng(number));
    Draft::new(moment(number), chain.parse().unwrap(), id, &decision(number)).unwrap()
}

#[test]
fn one_process_one_node_one_life() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("journal");
    let first = home(&root, "n1").unwrap();
    assert!(matches!(home(&root, "n1"), Err(JournalError::Locked { .. })));
    let journal = begin(&first, 1).unwrap();
    assert!(matches!(begin(&first, 1), Err(JournalError::Used(1))));
    assert!(matches!(begin(&first, 2), Err(JournalError::Unclosed(1))));
    drop(first);
    assert!(matches!(home(&root, "n1"), Err(JournalError::Locked { .. })), "the journal still runs");
    drop(journal);
    assert!(matches!(home(&root, "n2"), Err(JournalError::OtherNode { .. })));
    let again = home(&root, "n1").unwrap();
    // A key that is named after another log.
    let foreign = again.begin(&origin(2), key_of(3), "boot-1", means(2));
    assert!(matches!(foreign, Err(JournalError::Key)));
    assert_eq!(again.close_earlier("boot-1", || means(9)).unwrap().len(), 1);
    assert_eq!(again.lives().unwrap(), [(1, true)]);
    assert!(!root.join("1/key").exists(), "a closed log has no key");
    begin(&again, 2).unwrap().close().unwrap();
    assert!(matches!(begin(&again, 1), Err(JournalError::Used(1))));
    begin(&again, 7).unwrap().close().unwrap();
    assert!(matches!(begin(&again, 6), Err(JournalError::Used(6))), "incarnations rise");
}

#[test]
fn nobody_else_writes_the_journals_own_records() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path(), "n1").unwrap();
    let journal = begin(&home, 1).unwrap();
    let refused = |chain: &str, what: &What| {
        let draft = Draft::new(moment(1), chain.parse().unwrap(), RecordId([1; 16]), what).unwrap();
        journal.append(draft, Durability::Synced).map(drop)
    };
    assert_eq!(refused("log", &decision(1)), Err(NotKept::Own));
    for what in every_kind().iter().filter(|it| matches!(it, What::Gap(_) | What::SegmentEnd(_))) {
        assert_eq!(refused("tenant/acme", what), Err(NotKept::Own));
    }
    assert_eq!(refused("tenant/acme", &decision(1)), Ok(()));
}

#[test]
fn a_closed_log_verifies_and_so_does_an_export_of_one_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path(), "n1").unwrap();
    let journal = begin(&home, 1).unwrap();
    let mut memory = Memory::default();
    memory.append(&journal, 1, 40).unwrap();
    let last = journal.close().unwrap();
    assert_eq!(journal.close(), Err(NotKept::Closed));
    assert_eq!(journal.append(draft("node", 1), Durability::Synced).map(drop), Err(NotKept::Closed));

    let key = key_of(1).verifying_key().clone();
    assert_eq!(Checkpoint::open(&last.note, &key), Ok(last.checkpoint.clone()));
    let log = home.folder(1);
    let whole = verify(&SystemDisk, &log, &key, Some(&last.checkpoint), &Scope::Whole).unwrap();
    assert_eq!((whole.size, whole.records), (last.checkpoint.size, last.checkpoint.size));
    assert_eq!((whole.ended, whole.complete_to), (true, Some(whole.size)));
    let without = verify(&SystemDisk, &log, &key, None, &Scope::Whole).unwrap();
    assert_eq!(without.complete_to, None, "integrity alone");

    let acme: Chain = "tenant/acme".parse().unwrap();
    let out = folder.path().join("export");
    export((&SystemDisk, &log), &acme, (&SystemDisk, &out)).unwrap();
    let scope = Scope::Chain(acme.clone());
    let exported = verify(&SystemDisk, &out, &key, Some(&last.checkpoint), &scope).unwrap();
    assert_eq!((exported.chains[&acme], exported.complete_to), (14, Some(whole.size)));
    assert!(verify(&SystemDisk, &out, &key, None, &Scope::Whole).is_err(), "it is not the whole");
    // TEN-1: nothing of another tenant stands in it.
    let mut waiting = vec![out];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(4).any(|it| it == b"beta"), "{} names another tenant", path.display());
        }
    }
}

/// Segments of more than is read, or gathered for one file, at a time; with a record that is longer than either.
#[test]
fn segments_are_sealed_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path(), "n1").unwrap();
    let settings = Settings { segment_bytes: 1 << 20, ..means(1).settings };
    let journal = home.begin(&origin(1), key_of(1), "boot-1", Means { settings, ..means(1) }).unwrap();
    let long = {
        let What::Decision(mut decision) = full_decision() else { unreachable!() };
        decision.params = Some("\n".repeat(300_000));
        let chain = "tenant/acme".parse().unwrap();
        Draft::new(moment(1), chain, RecordId([5; 16]), &What::Decision(decision)).unwrap()
    };
    let append = |number: u64| {
        let draft = match number {
            700 | 1_100 => long.clone(),
            _ => draft(["node", "tenant/acme"][usize::from(!number.is_multiple_of(9))], number),
        };
        journal.append(draft, Durability::Synced).unwrap()
    };
    let tickets: Vec<Ticket> = (0..1_600).map(append).collect();
    tickets.iter().for_each(|ticket| assert!(ticket.wait(WAIT).is_ok()));
    let last = journal.close().unwrap();
    let (log, key) = (home.folder(1), key_of(1).verifying_key().clone());
    let whole = verify(&SystemDisk, &log, &key, Some(&last.checkpoint), &Scope::Whole).unwrap();
    let segments = whole.size - 1_600;
    assert!(segments >= 2, "each segment has its end: {segments}");
    assert_eq!((whole.ended, whole.complete_to), (true, Some(whole.size)));
    let acme = log.join(aegis_audit::segment::folder(&"tenant/acme".parse().unwrap()));
    let names = std::fs::read_dir(acme).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| !name.ends_with(".seg")).count(), 0, "nothing half done is left");
}

#[test]
fn a_running_journal_proves_what_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path(), "n1").unwrap();
    let journal = begin(&home, 1).unwrap();
    assert_eq!(journal.prove(0).unwrap(), None, "nothing is covered yet");
    let (mut memory, mut seen) = (Memory::default(), Vec::<Checkpoint>::new());
    for round in 1..=6 {
        memory.append(&journal, round, 9).unwrap();
        let signed = journal.checkpoint().unwrap();
        assert_eq!(journal.newest(), Some(Arc::clone(&signed)));
        for old in &seen {
            let proof = journal.prove_since(old.size).unwrap().unwrap();
            let (size, root) = (signed.checkpoint.size, &signed.checkpoint.root);
            verify_consistency(old.size, size, &proof.hashes, &old.root, root).unwrap();
        }
        seen.push(signed.checkpoint.clone());
    }
    for (_, _, _, placed) in &memory.acknowledged {
        let proof = journal.prove(placed.index).unwrap().unwrap();
        let Checkpoint { size, root, .. } = &proof.signed.checkpoint;
        verify_inclusion(placed.index, *size, &placed.leaf, &proof.hashes, root).unwrap();
        let (receipt, signature) = journal.receipt(placed, moment(9));
        assert_eq!((receipt.index, receipt.leaf), (placed.index, placed.leaf));
        assert!(receipt.verifies(&signature, journal.key()));
    }
    assert!(home.folder(1).join("segments").exists(), "several segments were sealed meanwhile");
}

#[test]
fn chains_are_numbered_and_linked_each_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path(), "n1").unwrap();
    let journal = begin(&home, 1).unwrap();
    Memory::default().append(&journal, 1, 9).unwrap();
    journal.close().unwrap();
    let path = home.folder(1).join(aegis_audit::segment::folder(&"tenant/acme".parse().unwrap()));
    let mut files: Vec<PathBuf> = std::fs::read_dir(path).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort_unstable();
    let mut prev: Option<Hash> = None;
    let mut number = 0;
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        for line in text.lines().skip(1).filter(|line| !line.starts_with("head ")) {
            let record = Record::read(line.split_once(' ').unwrap().1.as_bytes()).unwrap();
            number += 1;
            assert_eq!((record.seq, record.prev), (number, prev));
            prev = Some(record.encode().unwrap().entry);
        }
    }
    assert_eq!(number, 3);
}

/// Counts the syncs of files, and holds them up while the gate is closed.
struct Counting {
    inner: SystemDisk,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    syncs: AtomicU64,
    closed: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    fn set(&self, closed: bool) {
        *self.closed.lock().unwrap() = closed;
        self.opened.notify_all();
    }
}

struct CountingFile(Box<dyn DiskFile>, Arc<Gate>);

impl DiskFile for CountingFile {
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.append(bytes)
    }
    fn truncate(&mut self, length: u64) -> std::io::Result<()> {
        self.0.truncate(length)
    }
    fn sync(&mut self) -> std::io::Result<()> {
        self.1.syncs.fetch_add(1, Ordering::Relaxed);
        drop(self.1.opened.wait_while(self.1.closed.lock().unwrap(), |closed| *closed).unwrap());
        self.0.sync()
    }
}

impl Disk for Counting {
    fn create_dir(&self, path: &Path) -> std::io::Result<()> {
        self.inner.create_dir(path)
    }
    fn create(&self, path: &Path) -> std::io::Result<Box<dyn DiskFile>> {
        self.inner.create(path)
    }
    fn open(&self, path: &Path) -> std::io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(CountingFile(self.inner.open(path)?, Arc::clone(&self.gate))))
    }
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        self.inner.read(path)
    }
    fn list(&self, path: &Path) -> std::io::Result<Vec<String>> {
        self.inner.list(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.inner.rename(from, to)
    }
    fn remove(&self, path: &Path) -> std::io::Result<()> {
        self.inner.remove(path)
    }
    fn remove_dir(&self, path: &Path) -> std::io::Result<()> {
        self.inner.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> std::io::Result<()> {
        self.inner.sync_dir(path)
    }
    fn lock(&self, path: &Path) -> std::io::Result<Option<Box<dyn Send + Sync>>> {
        self.inner.lock(path)
    }
}

#[test]
fn one_sync_covers_all_that_wait_and_a_relaxed_chain_waits_for_none() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Arc::new(Gate::default());
    let disk = Counting { inner: SystemDisk, gate: Arc::clone(&gate) };
    let home = Home::open(Arc::new(disk), folder.path(), &"prod.example".parse().unwrap(), "n1").unwrap();
    let settings = Settings { checkpoint_after: Duration::from_secs(3_600), ..Settings::default() };
    let journal = home.begin(&origin(1), key_of(1), "boot-1", Means { settings, ..means(1) }).unwrap();
    let first = journal.append(draft("tenant/beta", 0), Durability::Written).unwrap();
    first.wait(WAIT).unwrap();
    assert_eq!(gate.syncs(), 1, "the first record of a relaxed chain is synced all the same");
    for number in 1..20 {
        journal.append(draft("tenant/beta", number), Durability::Written).unwrap().wait(WAIT).unwrap();
    }
    assert_eq!(gate.syncs(), 1);
    gate.set(true);
    let tickets: Vec<Ticket> = (0..3_000)
        .map(|number| journal.append(draft("tenant/acme", number), Durability::Synced).unwrap())
        .collect();
    gate.set(false);
    tickets.iter().for_each(|ticket| assert!(ticket.wait(WAIT).is_ok()));
    // The first batch, held up in its sync, and then as many as the rest needs at 1,024 each.
    assert!((2..=5).contains(&(gate.syncs() - 1)), "{} syncs for 3,000 records", gate.syncs() - 1);
}

#[test]
fn numbers_show_what_waits_and_how_long_the_disk_takes() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Arc::new(Gate::default());
    let disk = Counting { inner: SystemDisk, gate: Arc::clone(&gate) };
    let home = Home::open(Arc::new(disk), folder.path(), &"prod.example".parse().unwrap(), "n1").unwrap();
    let means = means(1);
    let clock = means.clock.clone();
    let journal = home.begin(&origin(1), key_of(1), "boot-1", means).unwrap();
    assert_eq!(journal.figures().oldest, None);
    gate.set(true);
    let first = journal.append(draft("tenant/acme", 1), Durability::Synced).unwrap();
    eventually("a sync", WAIT, || (gate.syncs() == 1).then_some(())).unwrap();
    clock.advance(Duration::from_secs(2));
    let second = journal.append(draft("tenant/acme", 2), Durability::Synced).unwrap();
    clock.advance(Duration::from_secs(1));
    let hanging = journal.figures();
    assert_eq!((hanging.taken, hanging.kept, hanging.oldest), (2, 0, Some(Duration::from_secs(3))));
    gate.set(false);
    for ticket in [first, second] {
        ticket.wait(WAIT).unwrap();
    }
    let after = journal.figures();
    assert_eq!((after.taken, after.kept, after.oldest), (2, 2, None));
    assert_eq!((after.syncs.count(), after.syncs.sum), (2, 3.0), "one of three seconds, one of none");
    assert!(after.bytes > 0);
    journal.close().unwrap();
    let closed = journal.figures();
    assert!(closed.checkpoints >= 1 && closed.segments == 1, "{closed:?}");
}

#[test]
fn a_gap_says_after_which_record_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path(), "n1").unwrap();
    let journal = begin(&home, 1).unwrap();
    Memory::default().append(&journal, 1, 3).unwrap();
    drop(journal);
    let closed = home.close_earlier("another boot", || means(9)).unwrap();
    assert_eq!(closed[0].gaps, ["tenant/beta".parse::<Chain>().unwrap()]);
    let path = home.folder(1).join(aegis_audit::segment::folder(&"tenant/beta".parse().unwrap()));
    let text = std::fs::read_to_string(path.join("00000000.seg")).unwrap();
    let line = text.lines().nth(2).unwrap();
    let record = Record::read(line.split_once(' ').unwrap().1.as_bytes()).unwrap();
    let What::Gap(gap) = record.what else { panic!("{line}") };
    assert_eq!((gap.after, gap.cause, record.seq), (1, GapCause::PowerLoss, 2));
}

/// A log in its first segment or later, as it runs and as a crash leaves it.
#[test]
fn a_log_that_grows_is_verified_with_what_is_not_sealed_yet() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path(), "n1").unwrap();
    let journal = begin(&home, 1).unwrap();
    let (log, key) = (home.folder(1), key_of(1).verifying_key().clone());
    let judge = |trusted: Option<&Checkpoint>| verify(&SystemDisk, &log, &key, trusted, &Scope::Whole);
    let mut follower = Follower::new(&log, key.name().as_str()).unwrap();
    let (mut followed, mut segments) = (Vec::new(), 0);
    for round in 1..=12 {
        Memory::default().append(&journal, round, 3).unwrap();
        let signed = journal.checkpoint().unwrap();
        // Segments are sealed meanwhile: who meets that looks again.
        let verified = eventually("a quiet moment", WAIT, || judge(Some(&signed.checkpoint)).ok()).unwrap();
        assert!(!verified.ended && verified.size >= signed.checkpoint.size);
        assert_eq!(verified.records, verified.size + verified.unsigned);
        assert_eq!(verified.complete_to, Some(verified.size));
        followed.extend(follower.more().unwrap());
        segments = std::fs::read_dir(log.join("segments")).map_or(0, |it| it.count());
    }
    assert!(segments > 0, "some were sealed meanwhile");
    let last = journal.checkpoint().unwrap();
    drop(journal);
    let cut_off = judge(Some(&last.checkpoint)).unwrap();
    let newest = read::newest(&SystemDisk, &log, usize::MAX).unwrap();
    assert_eq!(newest.len() as u64, cut_off.records);
    assert!(newest.iter().zip(0..).all(|((index, _), number)| *index == number));
    let first = followed.first().unwrap().0 as usize;
    assert_eq!(followed[..], newest[first..first + followed.len()], "a follower misses nothing");
    assert!(followed.len() >= 36);
}

/// A reader of everything, from any place, while segments are sealed under it: each record once, in order.
#[test]
fn a_log_is_read_forward_from_any_place_while_it_grows_and_after_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path(), "n1").unwrap();
    let journal = begin(&home, 1).unwrap();
    let (log, key) = (home.folder(1), key_of(1).verifying_key().clone());
    let origin = key.name().as_str();
    let most = Most { records: 7, bytes: 4_000 };
    let (mut forward, mut read) = (Forward::new(&log, origin, 0), Vec::new());
    for round in 1..=12 {
        Memory::default().append(&journal, round, 3).unwrap();
        let size = journal.checkpoint().unwrap().checkpoint.size;
        let all = eventually("what is under the checkpoint", WAIT, || {
            let taken = forward.take(size, most).unwrap();
            assert!(taken.len() <= 7);
            read.extend(taken);
            (read.len() as u64 == size).then_some(())
        });
        assert!(all.is_ok(), "round {round}: {} of {size}", read.len());
        assert_eq!(forward.take(size, most).unwrap(), [], "nothing beyond the limit");
    }
    journal.close().unwrap();
    let whole = read::newest(&SystemDisk, &log, usize::MAX).unwrap();
    assert_eq!(read[..], whole[..read.len()], "each once, in order");
    for from in 0..=whole.len() {
        let mut forward = Forward::new(&log, origin, from as u64);
        let mut rest = Vec::new();
        loop {
            let taken = forward.take(u64::MAX, most).unwrap();
            if taken.is_empty() {
                break;
            }
            rest.extend(taken);
        }
        assert_eq!(rest[..], whole[from..], "from {from}");
        assert_eq!(forward.next(), whole.len() as u64);
    }
}

/// What was written to a file that grows, without the zeros ahead.
fn grown(path: &Path) -> Vec<u8> {
    let mut bytes = std::fs::read(path).unwrap();
    bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
    bytes
}

#[test]
fn what_is_wrong_with_a_log_that_grows_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { segment_bytes: u64::MAX, ..Settings::default() };
    let home = home(folder.path(), "n1").unwrap();
    let journal = home.begin(&origin(1), key_of(1), "boot-1", Means { settings, ..means(1) }).unwrap();
    Memory::default().append(&journal, 1, 20).unwrap();
    let last = journal.checkpoint().unwrap();
    drop(journal);
    let (log, key) = (home.folder(1), key_of(1).verifying_key().clone());
    let judge = |trusted: Option<&Checkpoint>| verify(&SystemDisk, &log, &key, trusted, &Scope::Whole);
    let whole = judge(Some(&last.checkpoint)).unwrap();
    assert_eq!((whole.size, whole.unsigned, whole.ended), (20, 0, false));
    let wal = log.join("wal/00000000.wal");
    let sound = grown(&wal);
    // The end is torn off: nothing is wrong in itself, and the checkpoint from elsewhere tells.
    std::fs::write(&wal, &sound[..sound.len() / 2]).unwrap();
    assert!(judge(None).is_ok());
    assert_eq!(judge(Some(&last.checkpoint)).unwrap_err().kind, ProblemKind::RolledBack);
    for place in [40, sound.len() / 3, sound.len() / 2] {
        let mut changed = sound.clone();
        changed[place] ^= 1;
        std::fs::write(&wal, &changed).unwrap();
        assert_eq!(judge(None).unwrap_err().kind, ProblemKind::Segment, "byte {place}");
    }
    std::fs::write(&wal, &sound).unwrap();
    assert_eq!(judge(Some(&last.checkpoint)).unwrap(), whole);
    std::fs::remove_file(&wal).unwrap();
    assert_eq!(judge(None).unwrap_err().kind, ProblemKind::Missing);
}

/// Who has the key can write another log from its start; a checkpoint from elsewhere tells, also within what is not sealed.
#[test]
fn another_log_under_the_same_key_is_found_while_it_grows() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let begun = |folder: &Path| {
        let settings = Settings { checkpoint_after: Duration::from_secs(3_600), ..Settings::default() };
        home(folder, "n1")
            .unwrap()
            .begin(&origin(1), key_of(1), "boot-1", Means { settings, ..means(1) })
            .unwrap()
    };
    let (true_log, false_log) = (begun(one.path()), begun(other.path()));
    Memory::default().append(&true_log, 1, 9).unwrap();
    Memory::default().append(&false_log, 2, 12).unwrap();
    let (seen, _) = (true_log.checkpoint().unwrap(), false_log.checkpoint().unwrap());
    let key = key_of(1).verifying_key().clone();
    let judge =
        |folder: &Path| verify(&SystemDisk, &folder.join("1"), &key, Some(&seen.checkpoint), &Scope::Whole);
    assert!(judge(one.path()).is_ok());
    assert_eq!(judge(other.path()).unwrap_err().kind, ProblemKind::Forked);
}

#[test]
fn damage_in_what_was_synced_is_refused_and_never_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path(), "n1").unwrap();
    let journal = home
        .begin(&origin(1), key_of(1), "boot-1", Means { settings: Settings::default(), ..means(1) })
        .unwrap();
    Memory::default().append(&journal, 1, 9).unwrap();
    journal.checkpoint().unwrap();
    drop(journal);
    let path = home.folder(1).join("wal/00000000.wal");
    let sound = grown(&path);
    for place in (0..sound.len() - 400).step_by(97) {
        let mut damaged = sound.clone();
        damaged[place] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        let closed = home.close_earlier("boot-1", || means(9));
        assert!(matches!(closed, Err(JournalError::Damaged { .. })), "byte {place}: {closed:?}");
    }
    std::fs::write(&path, &sound).unwrap();
    assert_eq!(home.close_earlier("boot-1", || means(9)).unwrap()[0].last.checkpoint.size, 10);
}

#[test]
fn a_checkpoint_comes_by_number_and_by_time() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path(), "n1").unwrap();
    let settings = Settings {
        checkpoint_after: Duration::from_millis(1),
        checkpoint_entries: u64::MAX,
        ..Settings::default()
    };
    let clock = aegis_model::clock::Clock::System;
    let journal = home.begin(&origin(1), key_of(1), "boot-1", Means { settings, clock, ..means(1) }).unwrap();
    let placed = journal.append(draft("node", 1), Durability::Synced).unwrap().wait(WAIT).unwrap();
    let proof = eventually("a checkpoint", WAIT, || journal.prove(placed.index).unwrap());
    assert_eq!(proof.unwrap().signed.checkpoint.size, 1);
}

#[test]
fn a_ticket_is_a_future_too() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path(), "n1").unwrap();
    let journal = begin(&home, 1).unwrap();
    let mut ticket = std::pin::pin!(journal.append(draft("node", 1), Durability::Synced).unwrap());
    let waker = std::task::Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut ctx = std::task::Context::from_waker(&waker);
    loop {
        match ticket.as_mut().poll(&mut ctx) {
            std::task::Poll::Ready(outcome) => break assert_eq!(outcome.unwrap().index, 0),
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Also where nobody calls any more: what is not sealed is neither copied nor pruned.
#[test]
fn a_segment_ends_when_it_is_old_enough() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { segment_after: Duration::from_millis(200), ..Settings::default() };
    let home = home(folder.path(), "n1").unwrap();
    let means = Means { settings, clock: aegis_model::clock::Clock::System, ..means(1) };
    let journal = home.begin(&origin(1), key_of(1), "boot-1", means).unwrap();
    Memory::default().append(&journal, 1, 4).unwrap();
    let sealed = home.folder(1).join("segments/log/00000000.seg");
    eventually("a sealed segment", WAIT, || sealed.exists().then_some(())).unwrap();
    // And a segment without records does not end. The last records may have come into one of their own, which ends first.
    // expect(sleep): nothing happens, for longer than a segment lives
    let segments = [(); 2].map(|()| {
        std::thread::sleep(Duration::from_millis(600));
        journal.figures().segments
    });
    assert_eq!(segments[0], segments[1]);
    journal.close().unwrap();
}
