//! Snapshots: damaged ones are refused, old ones removed, and a crash while one is installed leaves the old or the new
//! state.

use std::path::Path;
use std::sync::Arc;

use aegis_raft_store::state::{Applied, StateStore};
use aegis_raft_store::store::{Files, Store, StoreOptions};
use aegis_raft_store::tables::StateRead;
use aegis_raft_store::types::{Peer, SnapshotFile};
use openraft::storage::RaftStateMachine;
use openraft::{RaftSnapshotBuilder, SnapshotMeta};

use crate::disk::{Disk, Rig};
use crate::machine::{ROWS, Rows, batch, open};

type Meta = SnapshotMeta<u64, Peer>;

/// The bytes of a snapshot of some rows.
async fn made(rows: u64) -> (Vec<u8>, Meta, Applied) {
    let directory = tempfile::tempdir().unwrap();
    let (_log, mut state, handle) = open(directory.path());
    let commands: Vec<String> = (0..rows).map(|row| format!("put key-{row} value-{row}")).collect();
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    state.apply([batch(2, 0, 7, &commands)]).await.unwrap();
    let snapshot = state.get_snapshot_builder().await.build_snapshot().await.unwrap();
    (std::fs::read(&snapshot.snapshot.path).unwrap(), snapshot.meta, *handle.applied().borrow())
}

async fn received(state: &mut StateStore, bytes: &[u8]) -> Box<SnapshotFile> {
    use tokio::io::AsyncWriteExt;
    let mut file = state.begin_receiving_snapshot().await.unwrap();
    file.file.write_all(bytes).await.unwrap();
    file.file.flush().await.unwrap();
    file
}

#[tokio::test]
async fn every_flipped_bit_and_every_cut_is_refused() {
    let (bytes, _, _) = made(3).await;
    let directory = tempfile::tempdir().unwrap();
    let (_log, mut state, _handle) = open(directory.path());
    received(&mut state, &bytes).await.check().await.unwrap();
    for place in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[place] ^= 1 << (place % 8);
        assert!(received(&mut state, &flipped).await.check().await.is_err(), "byte {place}");
    }
    for length in 0..bytes.len() {
        assert!(received(&mut state, &bytes[..length]).await.check().await.is_err(), "cut to {length}");
    }
    let longer = [bytes.as_slice(), b"x"].concat();
    assert!(received(&mut state, &longer).await.check().await.is_err());
}

#[tokio::test]
async fn a_damaged_snapshot_is_not_installed_even_unchecked() {
    let (bytes, meta, _) = made(50).await;
    for place in [bytes.len() - 40, bytes.len() / 2] {
        let directory = tempfile::tempdir().unwrap();
        let (_log, mut state, handle) = open(directory.path());
        let mut flipped = bytes.clone();
        flipped[place] ^= 1;
        let file = received(&mut state, &flipped).await;
        assert!(state.install_snapshot(&meta, file).await.is_err());
        handle.close().await.unwrap_err();
        let (_log, mut state, handle) = open(directory.path());
        assert_eq!(handle.view().unwrap().get(ROWS, b"key-1").unwrap(), None, "nothing of it is there");
        assert!(state.get_current_snapshot().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_snapshot_that_is_not_the_announced_one_is_refused() {
    let (bytes, meta, _) = made(3).await;
    let directory = tempfile::tempdir().unwrap();
    let (_log, mut state, _handle) = open(directory.path());
    let file = received(&mut state, &bytes).await;
    let announced = Meta { last_log_id: None, ..meta };
    assert!(state.install_snapshot(&announced, file).await.is_err());
}

#[tokio::test]
async fn records_that_are_not_those_of_the_digest_are_refused() {
    use sha2::Digest;
    let (mut bytes, meta, _) = made(50).await;
    let place = bytes.windows(7).position(|bytes| bytes == b"value-7").unwrap();
    bytes[place] = b'V';
    // Whoever wrote it so also wrote the checksum.
    let end = bytes.len() - 32;
    let checksum: [u8; 32] = sha2::Sha256::digest(&bytes[..end]).into();
    bytes[end..].copy_from_slice(&checksum);
    let directory = tempfile::tempdir().unwrap();
    let (_log, mut state, handle) = open(directory.path());
    let mut file = received(&mut state, &bytes).await;
    file.check().await.unwrap();
    assert!(state.install_snapshot(&meta, file).await.is_err());
    assert!(handle.failure().wait().await.contains("digest"));
}

#[tokio::test]
async fn only_the_current_snapshot_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (_log, mut state, _handle) = open(directory.path());
    for index in 0..4 {
        state.apply([batch(1, index, 0, &["put a 1"])]).await.unwrap();
        let snapshot = state.get_snapshot_builder().await.build_snapshot().await.unwrap();
        assert_eq!(files(directory.path()), 1);
        assert_eq!(state.get_current_snapshot().await.unwrap().unwrap().meta, snapshot.meta);
    }
    for _ in 0..10 {
        state.begin_receiving_snapshot().await.unwrap();
    }
    assert!(files(directory.path()) <= 6, "what senders gave up does not pile up");
}

fn files(directory: &Path) -> usize {
    std::fs::read_dir(directory.join("snapshots")).unwrap().count()
}

#[tokio::test]
async fn a_snapshot_that_rots_is_made_anew_or_removed() {
    let directory = tempfile::tempdir().unwrap();
    let (log, mut state, handle) = open(directory.path());
    state.apply([batch(1, 0, 0, &["put a 1"])]).await.unwrap();
    let snapshot = state.get_snapshot_builder().await.build_snapshot().await.unwrap();
    rot(&snapshot.snapshot.path);
    let mut again = state.get_current_snapshot().await.unwrap().unwrap();
    again.snapshot.check().await.unwrap();
    rot(&again.snapshot.path);
    handle.close().await.unwrap();
    drop((log, state));
    let (_log, mut state, _handle) = open(directory.path());
    assert!(state.get_current_snapshot().await.unwrap().is_none(), "Raft makes one when it needs it");
}

fn rot(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_crash_while_installing_leaves_the_old_or_the_new_state() {
    let (bytes, meta, after) = made(400).await;
    let (mut old, mut new) = (0, 0);
    for crash in (0..120).step_by(4) {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::default();
        let disks = (Disk::new(&rig, Vec::new()), Disk::new(&rig, Vec::new()));
        let (_log, mut state, handle) = over(folder.path(), &disks);
        state.apply([batch(1, 0, 3, &["put old 1"])]).await.unwrap();
        handle.state().sync().await.unwrap();
        let before = *handle.applied().borrow();
        let file = received(&mut state, &bytes).await;
        rig.crash_after(crash);
        let installed = state.install_snapshot(&meta, file).await.is_ok();
        rig.crash();
        drop((_log, state, handle));

        let images = (disks.0.image(crash), disks.1.image(crash + 1));
        let rig = Rig::default();
        let disks = (Disk::new(&rig, images.0), Disk::new(&rig, images.1));
        let (_log, mut state, handle) = over(folder.path(), &disks);
        let applied = *handle.applied().borrow();
        let view = handle.view().unwrap();
        assert_eq!(view.recompute_digest(&[ROWS, crate::machine::COUNTS]).unwrap(), applied.digest);
        if applied == after {
            new += 1;
        } else {
            assert!(!installed, "crash {crash}: an installed snapshot is lost");
            assert_eq!(applied, before, "crash {crash}");
            let current = state.get_current_snapshot().await.unwrap();
            assert!(current.is_none(), "crash {crash}: a snapshot ahead of the state is kept");
            old += 1;
        }
    }
    assert!(old > 2 && new > 2, "{old} crashes before, {new} after");
}

fn over(folder: &Path, disks: &(Disk, Disk)) -> aegis_raft_store::store::Opened {
    let database = |disk: &Disk| Store::builder(1 << 20).create_with_backend(disk.clone()).unwrap();
    let (log, state) = (database(&disks.0), database(&disks.1));
    let files = Files { log, state, directory: folder.to_owned(), lock: None };
    Store::over(files, StoreOptions::default(), Arc::new(Rows)).unwrap()
}
