//! A witness cosigns no rollback and no fork, whatever its process or its disk did in between (AUD-1).

use std::io;
use std::path::Path;
use std::sync::Arc;

use aegis_audit::checkpoint::Checkpoint;
use aegis_audit::hash::Hash;
use aegis_audit::journal::Disk;
use aegis_audit::keys::{KeyKind, SigningKey};
use aegis_audit::tree;
use aegis_audit::witness::{Request, judge};
use aegis_audit::witness_memory::{Memory, MemoryError};

use crate::faulty::{Fault, MemoryDisk};
use crate::samples::*;

const ORIGIN: &str = "prod/control";
const ROOT: &str = "/var/witness";

fn own() -> SigningKey {
    key("witness.example", KeyKind::Cosignature)
}

fn leaves(branch: u8) -> Vec<Hash> {
    (0..40_u8).map(|n| tree::leaf(&[n, if n < 4 { 0 } else { branch }])).collect()
}

fn request(leaves: &[Hash], old: u64, new: u64) -> Request {
    let Ok(root) = tree::root_at(leaves, new);
    let Ok(proof) = tree::consistency(leaves, old, new);
    let checkpoint = Checkpoint { origin: ORIGIN.parse().unwrap(), size: new, root };
    Request { old_size: old, proof, note: checkpoint.sign(&key(ORIGIN, KeyKind::Note)) }
}

/// Asks as the log would: from the size that the witness says it knows. Whether it cosigned.
fn ask(memory: &mut Memory, leaves: &[Hash], new: u64) -> Result<(), ()> {
    let origin = ORIGIN.parse().unwrap();
    let known = memory.known(&origin).cloned();
    let old = known.as_ref().map_or(0, |known| known.size);
    if old > new {
        return Err(());
    }
    let log = key(ORIGIN, KeyKind::Note);
    let accepted = judge(known.as_ref(), &request(leaves, old, new), log.verifying_key()).map_err(drop)?;
    memory.cosign(known.as_ref(), &accepted, &own(), 1).map(drop).map_err(drop)
}

fn open(disk: &MemoryDisk) -> Result<Memory, MemoryError> {
    Memory::open(Arc::new(disk.clone()), Path::new(ROOT))
}

#[test]
fn what_was_cosigned_is_never_taken_back_whatever_fails() {
    let honest = leaves(0);
    let faults = [
        Fault::Once(io::ErrorKind::Other),
        Fault::From(io::ErrorKind::StorageFull),
        Fault::Kill,
        Fault::PowerLoss,
    ];
    let mut struck = 0;
    for fault in faults {
        for call in 1.. {
            let disk = MemoryDisk::failing(call, fault);
            let mut cosigned = 0;
            if let Ok(mut memory) = open(&disk) {
                for size in [5, 9, 9, 20] {
                    if ask(&mut memory, &honest, size).is_ok() {
                        cosigned = size;
                    }
                }
            }
            if !disk.struck() {
                assert_eq!(cosigned, 20);
                break;
            }
            struck += 1;
            let mut memory = open(&disk.restarted()).unwrap();
            let origin = ORIGIN.parse().unwrap();
            let known = memory.known(&origin).map_or(0, |it| it.size);
            assert!(known >= cosigned, "{fault:?} at call {call}: cosigned {cosigned}, remembers {known}");
            for size in [5, 9, 21] {
                let forked = ask(&mut memory, &leaves(1), size);
                assert!(cosigned == 0 || forked.is_err(), "{fault:?} at call {call}: a fork of size {size}");
            }
            if cosigned > 0 {
                ask(&mut memory, &honest, 40).unwrap();
            }
        }
    }
    assert!(struck > 20, "{struck} faults");
}

#[test]
fn a_damaged_memory_and_a_second_process_are_refused() {
    let disk = MemoryDisk::default();
    let mut memory = open(&disk).unwrap();
    ask(&mut memory, &leaves(0), 5).unwrap();
    assert!(matches!(open(&disk), Err(MemoryError::Locked(_))));
    drop(memory);
    let disk = disk.restarted();
    let name =
        disk.list(Path::new(ROOT)).unwrap().into_iter().find(|name| name.ends_with(".checkpoint")).unwrap();
    let path = Path::new(ROOT).join(name);
    let good = disk.read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        disk.remove(&path).unwrap();
        disk.create(&path).unwrap().append(&bad).unwrap();
        assert!(matches!(open(&disk.restarted()), Err(MemoryError::Damaged(_))), "byte {at}");
    }
    disk.remove(&path).unwrap();
    disk.create(&path).unwrap().append(&good).unwrap();
    assert_eq!(open(&disk.restarted()).unwrap().known(&ORIGIN.parse().unwrap()).unwrap().size, 5);
}

/// Two requests that were judged against the same checkpoint: the second is judged anew.
#[test]
fn what_was_judged_against_something_older_is_not_cosigned() {
    let (disk, log, honest) = (MemoryDisk::default(), key(ORIGIN, KeyKind::Note), leaves(0));
    let mut memory = open(&disk).unwrap();
    let first = judge(None, &request(&honest, 0, 5), log.verifying_key()).unwrap();
    let second = judge(None, &request(&honest, 0, 3), log.verifying_key()).unwrap();
    memory.cosign(None, &first, &own(), 1).unwrap();
    assert!(matches!(memory.cosign(None, &second, &own(), 1), Err(MemoryError::Overtaken)));
}
