//! Retention: what it deletes is gone, every proof stays, and a deletion that no record covers is damage (AUD-1).

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use aegis_audit::export::export;
use aegis_audit::journal::{Disk, Durability, Journal};
use aegis_audit::keys::VerifyingKey;
use aegis_audit::prune::{Ages, Due, Evidence, due, prune, sweep};
use aegis_audit::pruned::{Stub, before};
use aegis_audit::record::{Chain, Draft, Pruning, Record, RecordId, What};
use aegis_audit::verify::{Problem, ProblemKind, Scope, Verified, prove, verify_pruned};
use aegis_audit::{read, segment};
use aegis_model::clock::UnixNanos;
use rand::RngExt;

use crate::faulty::{Fault, MemoryDisk};
use crate::node::{Memory, ROOT, key_of, means, open, origin};
use crate::samples::*;

type Files = BTreeMap<PathBuf, Vec<u8>>;

pub(crate) const DAYS: u64 = 183;

pub(crate) fn acme() -> Chain {
    "tenant/acme".parse().unwrap()
}

pub(crate) fn folder(life: u64) -> PathBuf {
    Path::new(ROOT).join(life.to_string())
}

pub(crate) fn keys() -> Vec<VerifyingKey> {
    [1, 2].map(|life| key_of(life).verifying_key().clone()).to_vec()
}

pub(crate) fn judge(
    disk: &dyn Disk,
    life: u64,
    keys: &[VerifyingKey],
    scope: &Scope,
) -> Result<Verified, Problem> {
    verify_pruned(disk, &folder(life), key_of(life).verifying_key(), keys, None, scope)
}

/// A moment so many days after the records of `means` were written.
pub(crate) fn later(days: u64) -> UnixNanos {
    UnixNanos(means(1).clock.now().0 + days * 86_400 * 1_000_000_000)
}

/// A closed log of several segments, and the disk that it is on.
pub(crate) fn closed_log() -> MemoryDisk {
    let memory = MemoryDisk::default();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let home = open(&disk).unwrap();
    let journal = home.begin(&origin(1), key_of(1), "boot-1", means(1)).unwrap();
    Memory::default().append(&journal, 1, 30).unwrap();
    journal.close().unwrap();
    memory.restarted()
}

/// Writes the record of a deletion into a running log, and proves that it is there.
fn recorded(
    journal: &Journal,
    disk: &dyn Disk,
    log: &Path,
    due: &Due,
    of: &str,
    now: UnixNanos,
    days: u64,
) -> Evidence {
    let id = RecordId::random(&mut rng(now.0));
    let draft = Draft::new(now, due.chain.clone(), id, &due.to_record(of, now, days)).unwrap();
    let placed = journal.append(draft, Durability::Synced).unwrap().wait(Duration::from_secs(20)).unwrap();
    journal.checkpoint().unwrap();
    let proof = journal.prove(placed.index).unwrap().unwrap();
    let records = read::newest(disk, log, usize::MAX).unwrap();
    let record = records.into_iter().find(|(index, _)| *index == placed.index).unwrap().1;
    Evidence { record, index: placed.index, proof: proof.hashes, note: proof.signed.note.clone() }
}

/// The evidence of a later life of the node, on a disk of its own, so that faults meet the deletion alone.
pub(crate) fn evidence(due: &Due, now: UnixNanos, days: u64) -> Evidence {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
    let home = open(&disk).unwrap();
    let journal = home.begin(&origin(2), key_of(2), "boot-1", means(2)).unwrap();
    recorded(&journal, &*disk, &folder(2), due, &origin(1).to_string(), now, days)
}

/// What is due of life 1 when everything but its last segment is old enough.
pub(crate) fn most(disk: &dyn Disk) -> Due {
    let ages = Ages::look(disk, &folder(1), later(0)).unwrap();
    let newest = ages.older(later(1), u64::MAX).unwrap();
    assert!(newest > 2, "{newest} segments are too few");
    due(disk, &folder(1), &acme(), newest - 1).unwrap().unwrap()
}

#[test]
fn what_retention_deleted_is_gone_and_every_proof_stays() {
    let memory = closed_log();
    let disk: &dyn Disk = &memory;
    let whole = judge(disk, 1, &[], &Scope::Whole).unwrap();
    let log = origin(1).to_string();
    let due = most(disk);
    let records = read::newest(disk, &folder(1), usize::MAX).unwrap();
    let own = |bytes: &[u8]| Record::read(bytes).unwrap().chain == acme();
    let oldest = records.iter().find(|(_, bytes)| own(bytes)).unwrap().0;
    let gone = prune(disk, &folder(1), &log, &due, evidence(&due, later(DAYS + 1), DAYS)).unwrap();
    assert!(gone >= 2);
    let pruned = judge(disk, 1, &keys(), &Scope::Whole).unwrap();
    assert_eq!((pruned.size, pruned.root, &pruned.chains), (whole.size, whole.root, &whole.chains));
    let said = &pruned.pruned[&acme()];
    assert_eq!(
        (said.seq, said.retention_days, said.by.0.as_str()),
        (due.opening.seq, DAYS, &*origin(2).to_string())
    );
    assert_eq!(pruned.records + said.seq, whole.records);
    // Of what is gone there is still a proof, and nothing of others went.
    let key = key_of(1).verifying_key().clone();
    assert!(prove(disk, &folder(1), &key, &keys(), oldest).unwrap().is_some());
    let left = read::newest(disk, &folder(1), usize::MAX).unwrap();
    assert_eq!(left.len() as u64, pruned.records);
    // An export shows the same.
    let out = MemoryDisk::default();
    export((disk, &folder(1)), &acme(), (&out, Path::new("/out"))).unwrap();
    let shown = verify_pruned(&out, Path::new("/out"), &key, &keys(), None, &Scope::Chain(acme())).unwrap();
    assert_eq!(shown.pruned[&acme()], *said);
    // Again is nothing, and everything else that is old follows.
    assert_eq!(sweep(disk, &folder(1), &acme()).unwrap(), 0);
    assert_eq!(aegis_audit::prune::due(disk, &folder(1), &acme(), due.segment).unwrap(), None);
    let rest = aegis_audit::prune::due(disk, &folder(1), &acme(), u64::MAX).unwrap().unwrap();
    prune(disk, &folder(1), &log, &rest, evidence(&rest, later(DAYS + 9), DAYS)).unwrap();
    let nothing_left = judge(disk, 1, &keys(), &Scope::Whole).unwrap();
    assert!(nothing_left.ended);
    assert_eq!(nothing_left.pruned[&acme()].seq, whole.chains[&acme()]);
}

/// Who deletes without a record of it, or with one that says something else, is found out.
#[test]
fn a_deletion_that_no_record_covers_is_damage() {
    let memory = closed_log();
    let disk: &dyn Disk = &memory;
    let log = origin(1).to_string();
    let due = most(disk);
    let sound = evidence(&due, later(DAYS + 1), DAYS);
    let stub = |evidence: Evidence, due: &Due| Stub {
        origin: log.clone(),
        segment: due.segment,
        chain: due.chain.clone(),
        opening: due.opening.clone(),
        record: evidence.record,
        index: evidence.index,
        proof: evidence.proof,
        note: evidence.note,
    };
    let path = folder(1).join(segment::folder(&acme())).join("pruned");
    // Deletes the chain's segments up to `upto` and puts `stub` there.
    let with = |stub: Option<Vec<u8>>, upto: u64| {
        let mut files = memory.files();
        let own = folder(1).join(segment::folder(&acme()));
        files.retain(|path, _| {
            let name = path.file_name().unwrap().to_str().unwrap();
            !path.starts_with(&own) || segment::number(name).is_none_or(|number| number > upto)
        });
        files.extend(stub.map(|stub| (path.clone(), stub)));
        files
    };
    let found = |files: &Files, keys: &[VerifyingKey]| {
        judge(&MemoryDisk::of_files(files), 1, keys, &Scope::Whole).map_err(|problem| problem.kind)
    };
    let good = stub(sound.clone(), &due).to_bytes();
    assert!(found(&with(Some(good.clone()), due.segment), &keys()).is_ok());
    let missing = |kind| matches!(kind, ProblemKind::Broken | ProblemKind::NotThere);
    assert!(missing(found(&with(None, due.segment), &keys()).unwrap_err()));
    // More is gone than the record covers.
    assert!(missing(found(&with(Some(good.clone()), due.segment + 1), &keys()).unwrap_err()));
    // The later log's key is not known, or is another's.
    assert_eq!(
        found(&with(Some(good.clone()), due.segment), &keys()[..1]).unwrap_err(),
        ProblemKind::PrunedBy
    );
    let stranger = aegis_audit::keys::SigningKey::generate(
        origin(2).key_name(),
        aegis_audit::keys::KeyKind::Note,
        &mut rng(99),
    );
    let wrong = [stranger.verifying_key().clone()];
    assert_eq!(found(&with(Some(good.clone()), due.segment), &wrong).unwrap_err(), ProblemKind::Pruned);
    // Before its time: the log's own ends of segments say how old the records are.
    let early = stub(evidence(&due, later(DAYS - 1), DAYS), &due).to_bytes();
    assert_eq!(found(&with(Some(early), due.segment), &keys()).unwrap_err(), ProblemKind::Pruned);
    // Another log's, another segment's, another place's record.
    let mut others = Vec::new();
    let other = Due { segment: due.segment - 1, ..due.clone() };
    others.push(stub(evidence(&other, later(DAYS + 1), DAYS), &due));
    others.push(Stub { index: sound.index + 1, ..stub(sound.clone(), &due) });
    others.push(Stub { origin: origin(3).to_string(), ..stub(sound.clone(), &due) });
    let mut opening = due.opening.clone();
    opening.seq -= 1;
    others.push(Stub { opening, ..stub(sound.clone(), &due) });
    for other in others {
        assert_eq!(
            found(&with(Some(other.to_bytes()), due.segment), &keys()).unwrap_err(),
            ProblemKind::Pruned
        );
    }
    // One chain's evidence does not cover another's records.
    let beta = folder(1).join(segment::folder(&"tenant/beta".parse().unwrap()));
    let mut files = with(Some(good.clone()), due.segment);
    files.retain(|path, _| !path.starts_with(&beta));
    assert_eq!(found(&files, &keys()).unwrap_err(), ProblemKind::NotThere);
    // And every byte of it counts.
    let mut random = rng(5);
    for _ in 0..60 {
        let mut changed = good.clone();
        let at = random.random_range(0..changed.len());
        changed[at] ^= 1 << random.random_range(0..7);
        if changed != good {
            let kind = found(&with(Some(changed), due.segment), &keys()).unwrap_err();
            assert!(matches!(kind, ProblemKind::Pruned | ProblemKind::PrunedBy), "byte {at}: {kind:?}");
        }
    }
}

/// A log that runs records what retention deletes of itself.
#[test]
fn a_running_log_deletes_its_own_first_segments() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
    let home = open(&disk).unwrap();
    let journal = home.begin(&origin(1), key_of(1), "boot-1", means(1)).unwrap();
    Memory::default().append(&journal, 1, 40).unwrap();
    let ages = || Ages::look(&*disk, &folder(1), later(0)).unwrap();
    aegis_testkit::eventually("sealed segments", Duration::from_secs(20), || {
        ages().older(later(1), u64::MAX).filter(|newest| *newest > 3)
    })
    .unwrap();
    let due = due(&*disk, &folder(1), &acme(), 2).unwrap().unwrap();
    let log = origin(1).to_string();
    let evidence = recorded(&journal, &*disk, &folder(1), &due, &log, later(DAYS + 1), DAYS);
    prune(&*disk, &folder(1), &log, &due, evidence).unwrap();
    let running = judge(&*disk, 1, &[], &Scope::Whole).unwrap();
    assert_eq!(running.pruned[&acme()].by.0, log);
    journal.close().unwrap();
    let ended = judge(&*disk, 1, &[], &Scope::Whole).unwrap();
    assert!(ended.ended && ended.pruned == running.pruned);
}

#[test]
fn nothing_goes_before_it_was_seen_for_as_long_and_is_in_the_store() {
    let memory = closed_log();
    let disk: &dyn Disk = &memory;
    // By the node's clock, everything is older than a year; by the control plane's, it was first seen now.
    let now = later(400);
    let ages = Ages::look(disk, &folder(1), now).unwrap();
    assert_eq!(ages.older(before(now, DAYS), u64::MAX), None);
    // The clock of the control plane goes on, and whoever looks meanwhile changes nothing.
    let half = Ages::look(disk, &folder(1), later(500)).unwrap();
    assert_eq!((&half, half.older(before(later(500), DAYS), u64::MAX)), (&ages, None));
    let over = later(400 + DAYS);
    let again = Ages::look(disk, &folder(1), over).unwrap();
    let newest = again.older(before(over, DAYS), u64::MAX).unwrap();
    assert_eq!(again.older(before(over, DAYS), newest), Some(newest - 1), "what is not in the store stays");
    assert_eq!(again.older(before(over, DAYS), 0), None);
    // A clock that goes back is not believed.
    assert_eq!(again.older(before(later(0), DAYS), u64::MAX), None);
    // Nor one that ran ahead while the records were written: then their own moments are in the future.
    assert_eq!(ages.older(later(0).min(UnixNanos(0)), u64::MAX), None);
    // What cannot be read counts as seen now.
    let mut files = memory.files();
    files.insert(folder(1).join("seen"), b"aegis-seen/v1\nnonsense\n".to_vec());
    let broken = MemoryDisk::of_files(&files);
    assert_eq!(Ages::look(&broken, &folder(1), over).unwrap().older(before(over, DAYS), u64::MAX), None);
}

/// Deletes under a fault at each call: whatever is found, is the whole log, or one with evidence; and again, it is done.
fn every_call(fault: Fault) {
    let step = if std::env::var("AEGIS_AUDIT_FAULTS").is_ok_and(|it| it == "all") { 1 } else { 2 };
    let files = closed_log().files();
    let sound = MemoryDisk::of_files(&files);
    let due = most(&sound);
    let evidence = evidence(&due, later(DAYS + 1), DAYS);
    let log = origin(1).to_string();
    let once = |disk: &dyn Disk| -> io::Result<()> {
        sweep(disk, &folder(1), &acme())?;
        Ages::look(disk, &folder(1), later(0))?;
        if aegis_audit::prune::due(disk, &folder(1), &acme(), due.segment)?.is_some() {
            prune(disk, &folder(1), &log, &due, evidence.clone())?;
        }
        Ok(())
    };
    for call in (1..).step_by(step) {
        let context = format!("{fault:?} at call {call}");
        let disk = MemoryDisk::of_files(&files).restarted();
        disk.fail(call, fault);
        let first = once(&disk);
        let struck = disk.struck();
        let found = disk.restarted();
        judge(&found, 1, &keys(), &Scope::Whole).unwrap_or_else(|problem| panic!("{context}: {problem}"));
        // Once more on the way, then in peace.
        found.fail(1 + call * 3 % 25, fault);
        drop(once(&found));
        let found = found.restarted();
        judge(&found, 1, &keys(), &Scope::Whole).unwrap_or_else(|problem| panic!("{context}: {problem}"));
        once(&found).unwrap_or_else(|error| panic!("{context}: {error}"));
        let done = judge(&found, 1, &keys(), &Scope::Whole).unwrap();
        assert_eq!(done.pruned[&acme()].segment, due.segment, "{context}");
        let own = found.list(&folder(1).join(segment::folder(&acme()))).unwrap();
        assert!(
            own.iter().all(|name| segment::number(name).is_none_or(|number| number > due.segment)),
            "{context}"
        );
        if !struck {
            first.unwrap();
            assert!(call > 20, "{call} calls are too few to mean something");
            return;
        }
    }
}

#[test]
fn a_kill_at_every_call_of_a_deletion() {
    every_call(Fault::Kill);
}

#[test]
fn a_power_cut_at_every_call_of_a_deletion() {
    every_call(Fault::PowerLoss);
}

#[test]
fn an_error_at_every_call_of_a_deletion() {
    every_call(Fault::Once(ErrorKind::Other));
}

#[test]
fn the_verifier_in_python_says_the_same_of_deletions() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: python3 is not here");
        return;
    }
    let memory = closed_log();
    let due = most(&memory);
    let files = |evidence: Evidence, also: &str| {
        let disk = MemoryDisk::of_files(&memory.files());
        prune(&disk, &folder(1), &origin(1).to_string(), &due, evidence).unwrap();
        let mut files = disk.files();
        files.retain(|path, _| also.is_empty() || !path.ends_with(also));
        files
    };
    let kept = segment::folder(&acme()).join(segment::file_name(due.segment + 1));
    let stub = segment::folder(&acme()).join("pruned");
    let sound = || evidence(&due, later(DAYS + 1), DAYS);
    let early = || evidence(&due, later(DAYS - 1), DAYS);
    let cases = [
        (files(sound(), ""), &keys()[..], true),
        (files(sound(), ""), &keys()[..1], false),
        (files(early(), ""), &keys()[..], false),
        (files(sound(), kept.to_str().unwrap()), &keys()[..], false),
        (files(sound(), stub.to_str().unwrap()), &keys()[..], false),
    ];
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/verify.py");
    let place = tempfile::tempdir().unwrap();
    for (number, (files, keys, ok)) in cases.into_iter().enumerate() {
        let ours = judge(&MemoryDisk::of_files(&files), 1, keys, &Scope::Whole);
        assert_eq!(ours.is_ok(), ok, "case {number}: {ours:?}");
        let log = place.path().join(number.to_string());
        for (path, bytes) in &files {
            if let Ok(path) = path.strip_prefix(folder(1)) {
                std::fs::create_dir_all(log.join(path).parent().unwrap()).unwrap();
                std::fs::write(log.join(path), bytes).unwrap();
            }
        }
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let ran = Command::new("python3").arg(&script).arg(&log).arg(keys.join(",")).output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert_eq!(report["ok"], ok, "case {number}: {report}");
        if let Ok(ours) = ours {
            assert_eq!(report["pruned"]["tenant/acme"], ours.pruned[&acme()].seq);
            assert_eq!(report["records"], ours.records);
        }
    }
}

#[test]
fn the_record_of_a_deletion_has_one_spelling() {
    let pruning = Pruning {
        entry: aegis_audit::hash::Hash::of(b"entry"),
        log: "prod.example/n1/1".to_owned(),
        now: later(3),
        retention_days: DAYS,
        segment: 2,
        seq: 9,
    };
    let draft = Draft::new(later(3), acme(), RecordId([7; 16]), &What::Pruning(pruning.clone())).unwrap();
    let encoded = draft.complete(1, None);
    let read = Record::read(&encoded.bytes).unwrap();
    assert_eq!(read.what, What::Pruning(pruning));
    assert!(aegis_audit::record::envelope(&encoded.bytes).is_ok());
}
