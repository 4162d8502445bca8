//! Files that other lives left, whole and damaged, and a process that is killed: nothing is credited beyond what was left (LIM-1).

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use aegis_limits::lease::Lease;
use aegis_limits::ledger::LeaseId;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const BOOT: Boot = Boot(*b"0f9b2a1c-0000-4000-8000-000000000001");

fn life(incarnation: u64) -> Identity {
    Identity { cluster: "test".parse().unwrap(), node_id: 7, incarnation, history: 3 }
}

fn entry(ledger: u64, lease: u64, amount: u64) -> Entry {
    Entry { ledger, lease, amount: Micros(amount), incarnation: 1 }
}

/// Ledger, lease and rest of everything that was recovered, in order.
fn found(recovered: &[Recovered]) -> Vec<(u64, u64, u64)> {
    let mut found: Vec<_> = recovered.iter().map(|it| (it.entry.ledger, it.entry.lease, it.rest.0)).collect();
    found.sort_unstable();
    found
}

type Opened = Result<(Journal, Vec<Recovered>), JournalError>;

fn open(path: &Path, incarnation: u64) -> Opened {
    open_as(path, &life(incarnation), Some(BOOT))
}

fn open_as(path: &Path, owner: &Identity, boot: Option<Boot>) -> Opened {
    for _ in 0..1_000 {
        match Journal::open(path, owner, boot) {
            // A process that another test starts has this one's files for the moment between its fork and its exec.
            Err(JournalError::InUse(_)) => std::thread::sleep(std::time::Duration::from_millis(1)), // expect(sleep): that moment
            opened => return opened,
        }
    }
    Journal::open(path, owner, boot)
}

fn enter(journal: &Journal, entry: Entry) -> Lease<SlotWord> {
    let slot = journal.enter(entry).unwrap();
    Lease::in_cell(LeaseId(entry.lease), entry.amount, slot.lease_word())
}

/// A journal with three leases that were spent from, as a killed process leaves it.
fn left(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("leases.journal");
    let (journal, recovered) = open(&path, 1).unwrap();
    assert!(recovered.is_empty());
    let leases = [(1, 1, 100), (1, 2, 1_000), (2, 1, 50)];
    let leases = leases.map(|(ledger, lease, amount)| enter(&journal, entry(ledger, lease, amount)));
    leases[0].spend(Micros(30)).unwrap();
    leases[1].spend(Micros(1_000)).unwrap();
    leases[1].refund(Micros(1)).unwrap();
    leases[2].take_rest().unwrap();
    journal.settle();
    path
}

const LEFT: [(u64, u64, u64); 3] = [(1, 1, 70), (1, 2, 1), (2, 1, 50)];

#[test]
fn the_next_life_finds_what_was_left_until_it_is_returned() {
    let folder = tempfile::tempdir().unwrap();
    let path = left(&folder);
    let (journal, recovered) = open(&path, 2).unwrap();
    assert_eq!(found(&recovered), LEFT);
    journal.leave(&recovered[0].slot);
    let lease = enter(&journal, Entry { incarnation: 2, ..entry(9, 9, 90) });
    lease.spend(Micros(1)).unwrap();
    let mut expected = found(&recovered[1..]);
    expected.push((9, 9, 89));
    // The lock is held as long as any word of the file is.
    drop((journal, lease));
    assert!(matches!(Journal::open(&path, &life(3), Some(BOOT)), Err(JournalError::InUse(_))));
    drop(recovered);
    let (_, again) = open(&path, 3).unwrap();
    assert_eq!(found(&again), expected);
}

#[test]
fn it_is_complete_once_the_leader_has_heard_and_nothing_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leases.journal");
    let (first, _) = open(&path, 1).unwrap();
    assert!(!first.is_complete(), "a new file knows nothing of earlier lives");
    drop((enter(&first, entry(1, 1, 10)), first));
    let (second, recovered) = open(&path, 2).unwrap();
    assert!(!second.is_complete(), "nobody heard of it");
    second.settle();
    recovered.iter().for_each(|found| second.leave(&found.slot));
    drop((enter(&second, Entry { incarnation: 2, ..entry(1, 2, 10) }), second, recovered));
    let (third, recovered) = open(&path, 3).unwrap();
    assert!(third.is_complete());
    drop((third, recovered));
    // A slot of which nobody knows what it was.
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start((HEADER_BYTES + 100 * SLOT_BYTES) as u64)).unwrap();
    file.write_all(&[1]).unwrap();
    drop(file);
    for life in [4, 5] {
        let (opened, recovered) = open(&path, life).unwrap();
        assert!(!opened.is_complete() && recovered.len() == 1);
    }
}

#[test]
fn a_life_does_not_recover_its_own_leases_or_those_of_a_later_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = left(&folder);
    assert_eq!(found(&open(&path, 1).unwrap().1), []);
}

#[test]
fn anything_but_this_nodes_own_file_proves_nothing() {
    let other_boot = Boot(*b"0f9b2a1c-0000-4000-8000-000000000002");
    let others = [
        ("another boot", life(2), Some(other_boot)),
        ("no boot", life(2), None),
        ("another node", Identity { node_id: 8, ..life(2) }, Some(BOOT)),
        ("another history", Identity { history: 4, ..life(2) }, Some(BOOT)),
        ("an earlier history", Identity { history: 2, ..life(2) }, Some(BOOT)),
    ];
    for (name, owner, boot) in others {
        let folder = tempfile::tempdir().unwrap();
        let path = left(&folder);
        let (journal, recovered) = open_as(&path, &owner, boot).unwrap();
        assert!(recovered.is_empty(), "{name}");
        // And it can be used from now on.
        drop(enter(&journal, entry(1, 1, 1)));
    }
}

#[test]
fn where_the_boot_has_no_name_not_even_the_own_file_proves_anything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leases.journal");
    let (journal, _) = open_as(&path, &life(1), None).unwrap();
    drop((enter(&journal, entry(1, 1, 1)), journal));
    assert!(open_as(&path, &life(2), None).unwrap().1.is_empty());
}

#[test]
fn a_copy_of_the_file_proves_nothing_and_the_file_that_was_moved_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = left(&folder);
    let copy = folder.path().join("copy");
    std::fs::copy(&path, &copy).unwrap();
    assert_eq!(found(&open(&copy, 2).unwrap().1), []);
    let moved = folder.path().join("moved");
    std::fs::rename(&path, &moved).unwrap();
    assert_eq!(found(&open(&moved, 2).unwrap().1), LEFT);
}

#[test]
fn two_processes_do_not_share_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = left(&folder);
    let held = open(&path, 2).unwrap();
    let refused = Journal::open(&path, &life(3), Some(BOOT));
    assert!(matches!(refused, Err(JournalError::InUse(_))));
    drop(held);
    assert!(open(&path, 3).is_ok());
}

#[test]
fn it_grows_in_steps_and_ends_at_its_bound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leases.journal");
    let (journal, _) = open(&path, 1).unwrap();
    let mut leases = Vec::new();
    for lease in 0..caps::LEASE_SLOTS_STEP as u64 {
        leases.push(enter(&journal, entry(1, lease, 10)));
    }
    assert!(journal.enter(entry(1, 0, 10)).is_err() && journal.wants_to_grow());
    journal.grow().unwrap();
    leases.push(enter(&journal, entry(2, 1, 10)));
    leases.iter().for_each(|lease| lease.spend(Micros(3)).unwrap());
    drop((leases, journal));
    let (journal, recovered) = open(&path, 2).unwrap();
    assert_eq!(recovered.len(), caps::LEASE_SLOTS_STEP + 1);
    assert!(recovered.iter().all(|it| it.rest == Micros(7)));
    while journal.wants_to_grow() || lock(&journal.slots).steps.len() < 3 {
        journal.grow().unwrap();
        lock(&journal.slots).free.clear();
        if lock(&journal.slots).steps.len() * caps::LEASE_SLOTS_STEP >= caps::LEASES_PER_NODE_MAX {
            break;
        }
    }
    assert!(!journal.wants_to_grow(), "its bound");
}

#[test]
fn a_process_that_was_killed_while_it_grew_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = left(&folder);
    let length = std::fs::metadata(&path).unwrap().len();
    for part in [1, 63, 64, 4_097, STEP_BYTES as u64 - 1] {
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(length + part).unwrap();
        let (journal, recovered) = open(&path, 2).unwrap();
        assert_eq!(found(&recovered), LEFT);
        journal.grow().unwrap();
        file.set_len(length).unwrap();
    }
}

#[test]
fn what_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leases.journal");
    std::fs::create_dir(&path).unwrap();
    let refused = open(&path, 1).unwrap_err().to_string();
    assert!(refused.contains("leases.journal` cannot be opened"), "{refused}");
    let nowhere = folder.path().join("nowhere/leases.journal");
    let refused = open(&nowhere, 1).unwrap_err().to_string();
    assert!(refused.contains("cannot be made"), "{refused}");
}

#[test]
fn a_disk_that_is_full_is_noticed_before_anything_is_mapped() {
    // Every write to this device fails as on a full disk; a journal stands there only as a file to write to.
    let Ok(full) = OpenOptions::new().read(true).write(true).open("/dev/full") else { return };
    let head = tempfile::tempfile().unwrap();
    head.set_len(HEADER_BYTES as u64).unwrap();
    let journal = Journal {
        head: Mapping::of(&head, 0, HEADER_BYTES).unwrap(),
        complete: true,
        file: full,
        key: Header { boot: BOOT, node: 7, history: 3, device: 0, inode: 0 }.slot_key(),
        slots: Mutex::default(),
    };
    assert!(journal.grow().is_err());
    assert!(journal.enter(entry(1, 1, 1)).is_err(), "nothing is kept where nothing can be");
}

/// The bytes of [`left`], and its path, which keeps device and inode: whoever writes to it damages the same file.
///
/// Whoever says that it holds everything, holds everything.
fn damaged(damage: impl FnOnce(&mut Vec<u8>)) -> Vec<(u64, u64, u64)> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    static LEFT_BYTES: OnceLock<(TempDir, PathBuf, Vec<u8>)> = OnceLock::new();
    let _one = lock(&ONE_AT_A_TIME);
    let (_, path, bytes) = LEFT_BYTES.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = left(&folder);
        let bytes = std::fs::read(&path).unwrap();
        (folder, path, bytes)
    });
    let mut bytes = bytes.clone();
    damage(&mut bytes);
    let owner = life(2);
    let mut file = OpenOptions::new().read(true).write(true).truncate(true).open(path).unwrap();
    file.write_all(&bytes).unwrap();
    let Ok(key) = Journal::read(&mut file, &owner, Some(BOOT)).unwrap() else { return Vec::new() };
    let (journal, recovered) = Journal::recover(file, key, &owner).unwrap();
    let credited = found(&recovered);
    assert!(!journal.is_complete() || credited.len() == LEFT.len(), "complete, and only {credited:?}");
    if !journal.is_complete() {
        // The next life knows it, too, if nobody heard of it.
        drop((journal, recovered));
        let mut file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let key = Journal::read(&mut file, &owner, Some(BOOT)).unwrap().unwrap();
        assert!(!Journal::recover(file, key, &owner).unwrap().0.is_complete());
    }
    credited
}

/// Whether nothing is credited that was not left: each lease once, and none with more than it had.
fn is_no_more_than_left(credited: &[(u64, u64, u64)]) -> bool {
    let known = |lease: &(u64, u64, u64)| {
        LEFT.iter().any(|left| (left.0, left.1) == (lease.0, lease.1) && lease.2 <= left.2)
    };
    credited.iter().all(known) && credited.windows(2).all(|pair| pair[0] < pair[1])
}

/// The bytes that say anything: the header's and those of the first slots.
fn telling() -> impl Iterator<Item = usize> {
    (0..136).chain(4_096..4_128).chain(HEADER_BYTES..HEADER_BYTES + 4 * SLOT_BYTES)
}

#[test]
fn no_flipped_byte_credits_more_than_was_left() {
    assert_eq!(damaged(|_| {}), LEFT, "undamaged");
    for at in telling() {
        for flips in [0x40, 0xff] {
            let credited = damaged(|bytes| bytes[at] ^= flips);
            assert!(is_no_more_than_left(&credited), "byte {at} ^ {flips:x}: {credited:?}");
        }
    }
}

#[test]
fn no_length_to_which_it_is_cut_credits_more_than_was_left() {
    let lengths =
        telling().chain([HEADER_BYTES + STEP_BYTES - 1, HEADER_BYTES + STEP_BYTES, HEADER_BYTES - 1]);
    for length in lengths {
        let credited = damaged(|bytes| bytes.truncate(length));
        assert!(is_no_more_than_left(&credited), "{length}: {credited:?}");
        assert_eq!(credited.is_empty(), length < HEADER_BYTES + STEP_BYTES);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_damage_at_one_place_credits_more_than_was_left(
        at in prop_oneof![0..192_usize, HEADER_BYTES..HEADER_BYTES + 3 * SLOT_BYTES],
        garbage in prop::collection::vec(any::<u8>(), 1..8),
    ) {
        // Within one word: its complement says what was left.
        let end = (at / 8 + 1) * 8;
        let credited = damaged(|bytes| {
            for (byte, garbage) in bytes[at..end].iter_mut().zip(&garbage) {
                *byte = *garbage;
            }
        });
        prop_assert!(is_no_more_than_left(&credited), "{:?}", credited);
    }

    #[test]
    fn a_file_of_garbage_proves_nothing(garbage in prop::collection::vec(any::<u8>(), 0..2_048)) {
        prop_assert_eq!(damaged(|bytes| *bytes = garbage), vec![]);
    }
}

/// Where the process of the test below keeps its journal; only that process has it.
const KILLED: &str = "AEGIS_TEST_JOURNAL_TO_BE_KILLED";

const THREADS: u64 = 4;

/// Spends until it is killed, and says what was spent after it was.
#[test]
fn process_that_is_killed() {
    let Ok(path) = std::env::var(KILLED) else { return };
    let (journal, _) = Journal::open(Path::new(&path), &life(1), Boot::read()).unwrap();
    let leases: Vec<_> = (1..=3).map(|lease| enter(&journal, entry(1, lease, 1 << 40))).collect();
    // What is spent before it says that it is at it, it spends exactly.
    (0..1_000).for_each(|_| leases[0].spend(Micros(7)).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for spent in 1_u64.. {
                    leases[1].spend(Micros(1)).unwrap();
                    if spent % 3 == 0 {
                        leases[2].spend(Micros(2)).unwrap();
                        leases[2].refund(Micros(2)).unwrap();
                    }
                    // One line at a time.
                    if spent.is_multiple_of(64) {
                        println!("spent 64");
                    }
                }
            });
        }
    });
}

#[test]
fn a_killed_process_leaves_its_exact_rests() {
    let Some(boot) = Boot::read() else { return };
    for round in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leases.journal");
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["limits::journal::tests::process_that_is_killed", "--exact", "--nocapture"])
            .env(KILLED, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let spending = |line: &io::Result<String>| line.as_ref().unwrap().ends_with("spent 64");
        let before = lines.by_ref().filter(spending).take(1 + round * 50).count();
        // SIGKILL, in the midst of it.
        process.kill().unwrap();
        process.wait().unwrap();
        // What it said before it died and nobody had read yet.
        let said = before + lines.filter(|line| line.is_ok()).filter(spending).count();
        let (_, recovered) = open_as(&path, &life(2), Some(boot)).unwrap();
        let rests = found(&recovered);
        let spent = |lease: usize| (1 << 40) - rests[lease].2;
        assert_eq!(spent(0), 7_000, "exactly, where nobody was at it");
        let told = 64 * said as u64;
        assert!((told..=told + 64 * THREADS + THREADS).contains(&spent(1)), "{told} {}", spent(1));
        assert!(spent(2) <= 2 * THREADS, "in flight: {}", spent(2));
    }
}
