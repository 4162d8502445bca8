//! AUD-1 under every fault at every call: what was acknowledged is there, or lies in a signed gap where its chain asked for
//! no more; and every checkpoint that was ever seen is a beginning of what is found.

use std::io::ErrorKind;
use std::sync::Arc;

use aegis_audit::journal::Disk;

use crate::faulty::{Fault, MemoryDisk};
use crate::node::{Memory, check, live};

fn shared(disk: &MemoryDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

/// How many calls lie between two that fail: a sample, unless `AEGIS_AUDIT_FAULTS=all` asks for every one.
fn step() -> usize {
    if std::env::var("AEGIS_AUDIT_FAULTS").is_ok_and(|it| it == "all") { 1 } else { 7 }
}

/// Where the sample begins: elsewhere for each fault.
fn fault_number(fault: Fault) -> u64 {
    if step() == 1 { 0 } else { format!("{fault:?}").len() as u64 % 7 }
}

/// Runs two lives with a fault at each call in turn, until there is none left to fail; gives how many there were.
#[expect(clippy::print_stdout, reason = "the bar reads the figures")]
fn every_call(name: &str, fault: Fault, same_boot: bool, in_recovery: Option<Fault>) -> u64 {
    let boot = if same_boot { "boot-1" } else { "boot-2" };
    for call in (1 + fault_number(fault)..).step_by(step()) {
        let disk = MemoryDisk::failing(call, fault);
        let mut memory = Memory::default();
        let ended = live(&shared(&disk), 1, "boot-1", &mut memory)
            .and_then(|()| live(&shared(&disk), 2, "boot-1", &mut memory));
        if !disk.struck() {
            assert_eq!(ended, Ok(()));
            println!("{{\"name\": \"audit-faults/{name}\", \"value\": {}, \"unit\": \"calls\"}}", call - 1);
            return call - 1;
        }
        let mut found = disk.restarted();
        if let Some(again) = in_recovery {
            // Another fault while the first one is repaired, at a place that moves along.
            found.fail(1 + call * 7 % 90, again);
            let mut nothing = Memory::default();
            drop(live(&shared(&found), 3, boot, &mut nothing));
            found = found.restarted();
            memory.newest.extend(nothing.newest);
            memory.acknowledged.extend(nothing.acknowledged);
        }
        let boot = if in_recovery == Some(Fault::PowerLoss) { "boot-3" } else { boot };
        let context = format!("{fault:?} at call {call}, then {in_recovery:?}");
        let logs = check(&shared(&found), boot, &memory, &context);
        if same_boot && in_recovery.is_none() && fault == Fault::Kill {
            assert!(logs.iter().all(|log| log.gaps.is_empty()), "{context}: a kill loses nothing");
        }
        // And the folder is as good as new.
        live(&shared(&found), 9, boot, &mut memory).unwrap_or_else(|error| panic!("{context}: {error}"));
        check(&shared(&found), boot, &memory, &context);
    }
    unreachable!()
}

#[test]
fn a_kill_at_every_call() {
    let calls = every_call("kill", Fault::Kill, true, None);
    assert!(calls > 200, "{calls} calls are too few to mean something");
}

#[test]
fn a_power_cut_at_every_call() {
    every_call("power_loss", Fault::PowerLoss, false, None);
}

#[test]
fn a_power_cut_at_every_call_and_another_in_the_repair() {
    every_call("power_loss_twice", Fault::PowerLoss, false, Some(Fault::PowerLoss));
}

#[test]
fn a_kill_at_every_call_and_another_in_the_repair() {
    every_call("kill_twice", Fault::Kill, true, Some(Fault::Kill));
}

#[test]
fn an_error_at_every_call() {
    every_call("error", Fault::Once(ErrorKind::Other), true, None);
}

#[test]
fn a_full_disk_from_every_call_on() {
    every_call("full", Fault::From(ErrorKind::StorageFull), true, None);
}

#[test]
fn a_read_only_disk_from_every_call_on() {
    every_call("read_only", Fault::From(ErrorKind::ReadOnlyFilesystem), true, None);
}
