//! The contract of `Disk`, for the machine's own and for the one that tests let fail.

use std::io::ErrorKind;
use std::path::Path;

use aegis_audit::journal::{Disk, SystemDisk};

use crate::faulty::{Fault, MemoryDisk};

fn contract(disk: &dyn Disk, root: &Path) {
    let (folder, one, two) = (root.join("a/b"), root.join("a/b/one"), root.join("a/b/two"));
    disk.create_dir(&folder).unwrap();
    disk.create_dir(&folder).unwrap();
    assert_eq!(disk.read(&one).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(disk.open(&one).map(drop).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(disk.remove(&one).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(disk.remove_dir(&root.join("none")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(disk.list(&root.join("none")).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(disk.create(&root.join("none/file")).is_err(), "no folder is made on the way");

    let mut file = disk.create(&one).unwrap();
    file.append(b"first ").unwrap();
    file.append(b"second").unwrap();
    file.sync().unwrap();
    assert_eq!(disk.create(&one).map(drop).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(disk.read(&one).unwrap(), b"first second");
    let part = |offset, bytes| {
        let mut into = b"before ".to_vec();
        disk.read_part(&one, offset, bytes, &mut into).map(|()| String::from_utf8(into).unwrap())
    };
    assert_eq!(part(0, 5).unwrap(), "before first");
    assert_eq!(part(6, 100).unwrap(), "before second");
    assert_eq!((part(12, 1).unwrap(), part(1 << 40, 9).unwrap()), ("before ".into(), "before ".into()));
    assert_eq!(disk.read_part(&two, 0, 1, &mut Vec::new()).unwrap_err().kind(), ErrorKind::NotFound);
    let mut again = disk.open(&one).unwrap();
    again.truncate(6).unwrap();
    again.append(b"third").unwrap();
    assert_eq!(disk.read(&one).unwrap(), b"first third");
    assert!(disk.list(&one).is_err(), "a file has no names in it");
    let mut growing = disk.grow(&one).unwrap();
    let mut expected = b"first third".to_vec();
    for part in [&b"fourth"[..], &[b'x'; 300_000], b"y", &[b'z'; 300_000]] {
        growing.append(part).unwrap();
        growing.sync().unwrap();
        expected.extend_from_slice(part);
        let read = disk.read(&one).unwrap();
        assert_eq!(read[..expected.len()], expected, "{} bytes", part.len());
        assert!(read[expected.len()..].iter().all(|byte| *byte == 0), "nothing but zeros ahead");
    }
    growing.truncate(11).unwrap();
    growing.append(b"!").unwrap();
    growing.truncate(11).unwrap();
    assert_eq!(disk.read(&one).unwrap(), b"first third");
    assert_eq!(disk.grow(&two).map(drop).unwrap_err().kind(), ErrorKind::NotFound);

    disk.create(&two).unwrap().append(b"old").unwrap();
    assert_eq!(disk.list(&folder).unwrap(), ["one", "two"]);
    disk.rename(&one, &two).unwrap();
    assert_eq!(
        (disk.list(&folder).unwrap(), disk.read(&two).unwrap()),
        (vec!["two".to_owned()], b"first third".to_vec())
    );
    disk.sync_dir(&folder).unwrap();
    disk.rename(&root.join("a"), &root.join("c")).unwrap();
    assert_eq!(disk.read(&root.join("c/b/two")).unwrap(), b"first third");
    disk.remove(&root.join("c/b/two")).unwrap();
    disk.remove_dir(&root.join("c")).unwrap();
    assert_eq!(disk.list(root).unwrap(), Vec::<String>::new());

    let lock = disk.lock(&root.join("lock")).unwrap();
    assert!(lock.is_some() && disk.lock(&root.join("lock")).unwrap().is_none());
    drop(lock);
    assert!(disk.lock(&root.join("lock")).unwrap().is_some());
}

#[test]
fn the_machines_disk_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    contract(&SystemDisk, folder.path());
}

#[test]
fn the_failing_disk_keeps_the_contract_until_it_fails() {
    let disk = MemoryDisk::default();
    disk.create_dir(Path::new("/disk")).unwrap();
    contract(&disk, Path::new("/disk"));
}

/// The test disk does forget: without that, tests of power cuts would show nothing.
#[test]
fn what_was_not_synced_may_be_gone_after_a_power_cut() {
    let (mut names_lost, mut bytes_lost) = (0, 0);
    for seed in 1..60 {
        let disk = MemoryDisk::default();
        disk.create_dir(Path::new("/disk")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        let mut file = disk.create(Path::new("/disk/kept")).unwrap();
        file.append(b"synced").unwrap();
        file.sync().unwrap();
        disk.sync_dir(Path::new("/disk")).unwrap();
        file.append(b", and not").unwrap();
        disk.create(Path::new("/disk/new")).unwrap();
        // The fault comes with the call of this number from here: a sync that never returns.
        disk.fail(seed, Fault::PowerLoss);
        while !disk.struck() {
            drop(disk.list(Path::new("/disk")));
        }
        let after = disk.restarted();
        let found = after.read(Path::new("/disk/kept")).unwrap();
        assert!(found.starts_with(b"synced"));
        bytes_lost += u64::from(found != b"synced, and not");
        names_lost += u64::from(after.list(Path::new("/disk")).unwrap() == ["kept"]);
    }
    assert!(names_lost > 10 && bytes_lost > 10, "{names_lost} names and {bytes_lost} files in 59 power cuts");
}
