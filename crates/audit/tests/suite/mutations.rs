//! C2: a log that was changed in any way is found out, given the newest checkpoint. By us, and by the verifier in Python.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use aegis_audit::checkpoint::Checkpoint;
use aegis_audit::export::export;
use aegis_audit::journal::{Disk, Durability, Means, Settings, Ticket};
use aegis_audit::keys::{KeyKind, SigningKey};
use aegis_audit::record::{Chain, Draft, RecordId};
use aegis_audit::tiles::{Maker, read_bundle};
use aegis_audit::verify::{Scope, verify};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::faulty::MemoryDisk;
use crate::node::{TENANTS, key_of, means, open, origin};
use crate::samples::*;

type Files = BTreeMap<PathBuf, Vec<u8>>;

const RECORDS: u64 = 300;

/// The files of a closed log under the root, and its last checkpoint. From record `fork` on it says something else.
fn log(records: u64, fork: u64, key: SigningKey) -> (Files, Checkpoint) {
    let memory = MemoryDisk::default();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let home = open(&disk).unwrap();
    let settings = Settings { segment_bytes: 60_000, checkpoint_entries: 50, ..means(1).settings };
    let journal = home.begin(&origin(1), key, "boot-1", Means { settings, ..means(1) }).unwrap();
    let append = |number: u64| {
        let (chain, _) = TENANTS[(number % 3) as usize];
        let id = RecordId::random(&mut rng(number));
        let what = decision(if number < fork { number } else { number + 1_000_000 });
        let draft = Draft::new(moment(number), chain.parse().unwrap(), id, &what).unwrap();
        journal.append(draft, Durability::Synced).unwrap()
    };
    let tickets: Vec<Ticket> = (0..records).map(append).collect();
    tickets.iter().for_each(|ticket| assert!(ticket.wait(Duration::from_secs(60)).is_ok()));
    let last = journal.close().unwrap();
    (below(&memory.files(), "/journal/1"), last.checkpoint.clone())
}

/// The files below a folder that a verifier looks at, by their names from there.
fn below(files: &Files, folder: &str) -> Files {
    let kept = |path: &Path| !["boot", "key", "verifier"].iter().any(|name| path.ends_with(name));
    let inside = files.iter().filter_map(|(path, bytes)| Some((path.strip_prefix(folder).ok()?, bytes)));
    inside.filter(|(path, _)| kept(path)).map(|(path, bytes)| (path.to_owned(), bytes.clone())).collect()
}

fn exported(files: &Files, chain: &Chain) -> Files {
    let at = |files: &Files| {
        files.iter().map(|(path, bytes)| (Path::new("/log").join(path), bytes.clone())).collect()
    };
    let mut with_key: Files = at(files);
    with_key.insert("/log/verifier".into(), Vec::new());
    let out = MemoryDisk::default();
    export((&MemoryDisk::of_files(&with_key), Path::new("/log")), chain, (&out, Path::new("/out"))).unwrap();
    below(&out.files(), "/out")
}

struct Case {
    files: Files,
    scope: Scope,
    newest: Checkpoint,
    key: SigningKey,
}

impl Case {
    fn judge(
        &self,
        files: &Files,
        trusted: bool,
    ) -> Result<aegis_audit::verify::Verified, aegis_audit::verify::Problem> {
        let files: Files =
            files.iter().map(|(path, bytes)| (Path::new("/log").join(path), bytes.clone())).collect();
        let newest = trusted.then_some(&self.newest);
        verify(
            &MemoryDisk::of_files(&files),
            Path::new("/log"),
            self.key.verifying_key(),
            newest,
            &self.scope,
        )
    }
}

/// One log and one export, and what an attacker may have: an earlier state, and two other logs under the same key.
struct World {
    cases: Vec<Case>,
    others: Vec<Files>,
}

fn world() -> World {
    let key = key_of(1);
    let (files, newest) = log(RECORDS, u64::MAX, key.clone());
    let chain: Chain = "tenant/acme".parse().unwrap();
    let shown = exported(&files, &chain);
    let case = |files, scope| Case { files, scope, newest: newest.clone(), key: key.clone() };
    let stranger = SigningKey::generate(origin(1).key_name(), KeyKind::Note, &mut rng(77));
    let others = vec![
        log(RECORDS - 40, u64::MAX, key.clone()).0,
        log(RECORDS, 120, key.clone()).0,
        log(RECORDS + 40, 299, key.clone()).0,
        log(RECORDS, u64::MAX, stranger).0,
    ];
    World { cases: vec![case(files, Scope::Whole), case(shown, Scope::Chain(chain))], others }
}

/// Changes something. Whether it differs from before is for the caller to look at.
fn mutate(random: &mut StdRng, world: &World, case: &Case) -> (&'static str, Files) {
    let mut files = case.files.clone();
    let path = files.keys().nth(random.random_range(0..files.len())).unwrap().clone();
    let other = files.keys().nth(random.random_range(0..files.len())).unwrap().clone();
    let mut bytes = files[&path].clone();
    let at = random.random_range(0..bytes.len());
    let to = random.random_range(at..=bytes.len().min(at + 300));
    let what = match random.random_range(0..14) {
        0 | 1 => {
            bytes[at] ^= 1 << random.random_range(0..8);
            "flip"
        }
        2 => {
            bytes.drain(at..to);
            "drop bytes"
        }
        3 => {
            let new: Vec<u8> = (at..to).map(|_| random.random()).collect();
            bytes.splice(at..at, new);
            "insert bytes"
        }
        4 => {
            bytes.truncate(at);
            "truncate"
        }
        5 => {
            files.remove(&path);
            return ("remove a file", files);
        }
        6 => {
            bytes = files[&other].clone();
            files.insert(other.clone(), files[&path].clone());
            "swap files"
        }
        7 => {
            files.insert(path.with_extension("bak"), bytes);
            return (
                "add a file",
                files.into_iter().filter(|(path, _)| !path.ends_with("checkpoint.bak")).collect(),
            );
        }
        8 => {
            return (
                "another log under the same name",
                world.others[random.random_range(0..world.others.len())].clone(),
            );
        }
        9 => {
            let (from, to) = (random.random_range(0..bytes.len()), random.random_range(0..bytes.len()));
            bytes.swap(from, to);
            "swap bytes"
        }
        10 => return ("sign again", signed_again(random, &files)),
        11 => return ("rewrite tree", rewritten(random, &files)),
        _ => {
            if !path.starts_with("segments") {
                return ("nothing", files);
            }
            let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
            let (one, two) = (random.random_range(0..lines.len()), random.random_range(0..lines.len()));
            let what = match random.random_range(0..3) {
                0 => {
                    lines.swap(one, two);
                    "reorder lines"
                }
                1 => {
                    lines.remove(one);
                    "drop a line"
                }
                _ => {
                    lines.insert(two, lines[one]);
                    "repeat a line"
                }
            };
            bytes = lines.concat();
            what
        }
    };
    files.insert(path, bytes);
    (what, files)
}

/// A smaller or larger size, signed with the log's own key.
fn signed_again(random: &mut StdRng, files: &Files) -> Files {
    let mut files = files.clone();
    let key = key_of(1);
    let mut checkpoint = Checkpoint::open(&files[Path::new("checkpoint")], key.verifying_key()).unwrap();
    match random.random_range(0..3) {
        0 => checkpoint.size += 1,
        1 => checkpoint.size -= 1,
        _ => checkpoint.root.0[random.random_range(0..32)] ^= 1,
    }
    files.insert("checkpoint".into(), checkpoint.sign(&key).to_bytes());
    files
}

/// An entry replaced, with every tile made anew, and sometimes the checkpoint signed anew as well.
fn rewritten(random: &mut StdRng, files: &Files) -> Files {
    let mut files = files.clone();
    let key = key_of(1);
    let mut checkpoint = Checkpoint::open(&files[Path::new("checkpoint")], key.verifying_key()).unwrap();
    let mut entries = Vec::new();
    for tile in
        aegis_audit::tiles::Tile::between(0, checkpoint.size).iter().filter(|tile| tile.level.is_none())
    {
        entries.extend(read_bundle(&files[Path::new(&tile.to_string())], tile.width).unwrap());
    }
    let at = random.random_range(0..entries.len());
    entries[at].0[0] ^= 1;
    let mut maker = Maker::default();
    for entry in entries {
        maker.push(entry, |tile, bytes| drop(files.insert(tile.to_string().into(), bytes)));
    }
    files.extend(maker.parts().into_iter().map(|(tile, bytes)| (tile.to_string().into(), bytes)));
    if random.random() {
        checkpoint.root = maker.compact().root();
        files.insert("checkpoint".into(), checkpoint.sign(&key).to_bytes());
    }
    files
}

fn count() -> u64 {
    std::env::var("AEGIS_AUDIT_MUTATIONS").ok().and_then(|it| it.parse().ok()).unwrap_or(240)
}

#[test]
fn every_mutation_is_detected_given_the_newest_checkpoint() {
    let world = world();
    for case in &world.cases {
        let whole = case.judge(&case.files, true).unwrap();
        assert_eq!(whole.complete_to, Some(whole.size));
    }
    let (mut tried, mut undetected, mut named) = (0, 0, 0);
    let mut seed = 0;
    while tried < count() {
        seed += 1;
        let mut random = rng(seed);
        let case = &world.cases[random.random_range(0..2)];
        let (what, files) = mutate(&mut random, &world, case);
        if files == case.files {
            continue;
        }
        tried += 1;
        match case.judge(&files, true) {
            Ok(_) => {
                undetected += 1;
                println!("undetected: seed {seed}, {what}");
            }
            Err(problem) => named += u64::from(problem.index.is_some()),
        }
    }
    for (name, value) in [("tried", tried), ("undetected", undetected), ("named_an_index", named)] {
        println!("{{\"name\": \"audit-mutations/{name}\", \"value\": {value}, \"unit\": \"count\"}}");
    }
    assert_eq!(undetected, 0);
}

/// Where a record alone was changed, its index is named exactly.
#[test]
fn the_first_bad_index_is_named() {
    let world = world();
    let case = &world.cases[0];
    let segments: Vec<&PathBuf> = case.files.keys().filter(|path| path.starts_with("segments")).collect();
    for path in segments {
        let text = &case.files[path];
        let mut at = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let first = std::str::from_utf8(line).unwrap().split(' ').next().unwrap();
            if let Ok(index) = first.parse::<u64>() {
                let mut changed = text.clone();
                changed[at + line.len() / 2] ^= 1;
                let mut files = case.files.clone();
                files.insert(path.clone(), changed);
                // Some bits make a line of two.
                let found = case.judge(&files, true).unwrap_err().index;
                assert_eq!(found, Some(index), "{} line of {index}", path.display());
                if index > 40 {
                    break;
                }
            }
            at += line.len();
        }
    }
}

fn write(files: &Files, folder: &Path) {
    for (path, bytes) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

#[test]
fn the_verifier_in_python_says_the_same() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/verify.py");
    let lines = std::fs::read_to_string(&script).unwrap().lines().count();
    assert!(lines <= 250, "{lines} lines are more than somebody reads before trusting them");
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: python3 is not here");
        return;
    }
    let world = world();
    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("newest");
    let note = world.cases[0].newest.sign(&key_of(1)).to_bytes();
    std::fs::write(&trusted, note).unwrap();
    let ask = |name: &str, case: &Case, files: &Files, with: bool| -> serde_json::Value {
        let log = folder.path().join(name);
        write(files, &log);
        let mut command = Command::new("python3");
        command.arg(&script).arg(&log).arg(case.key.verifying_key().to_string());
        if with {
            command.arg("--trusted").arg(&trusted);
        }
        if let Scope::Chain(chain) = &case.scope {
            command.args(["--chain", &chain.to_string()]);
        }
        let output = command.output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(report["ok"], output.status.success());
        report
    };
    for (number, case) in world.cases.iter().enumerate() {
        let ours = case.judge(&case.files, true).unwrap();
        let theirs = ask(&format!("whole-{number}"), case, &case.files, true);
        assert_eq!(theirs["ok"], true, "{theirs}");
        assert_eq!(theirs["records"], ours.records);
        assert_eq!((theirs["size"].as_u64(), theirs["ended"].as_bool()), (Some(ours.size), Some(ours.ended)));
        assert_eq!(theirs["complete_to"].as_u64(), ours.complete_to);
        assert_eq!(
            ask(&format!("alone-{number}"), case, &case.files, false)["complete_to"],
            serde_json::Value::Null
        );
    }
    let mut tried = 0;
    for seed in 1.. {
        let mut random = rng(seed);
        let case = &world.cases[random.random_range(0..2)];
        let (what, files) = mutate(&mut random, &world, case);
        if files == case.files {
            continue;
        }
        let theirs = ask(&format!("mutated-{seed}"), case, &files, true);
        assert_eq!(theirs["ok"], false, "seed {seed}, {what}: {theirs}");
        // Without the checkpoint from elsewhere, both say the same as well.
        let alone = ask(&format!("mutated-alone-{seed}"), case, &files, false);
        assert_eq!(alone["ok"], case.judge(&files, false).is_ok(), "seed {seed}, {what}: {alone}");
        tried += 1;
        if tried == 40 {
            break;
        }
    }
}
