//! What was written is there after closing and opening again.

use std::sync::Arc;
use std::time::Duration;

use aegis_raft_store::snapshot::Head;
use aegis_raft_store::state::StateStore;
use aegis_raft_store::store::{Store, StoreOptions};
use aegis_raft_store::tables::{StateRead, StoreError};
use aegis_raft_store::types::Response;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt, RaftStateMachine};
use openraft::{RaftLogReader, RaftSnapshotBuilder, Vote};

use crate::machine::{COUNTS, ROWS, Rows, batch, log_id, number, open};

async fn apply(
    state: &mut StateStore,
    entries: Vec<openraft::Entry<aegis_raft_store::types::TypeConfig>>,
) -> Vec<Vec<Response>> {
    state.apply(entries).await.expect("applies")
}

#[tokio::test]
async fn log_vote_committed_and_state_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (mut log, mut state, handle) = open(directory.path());
    let node_id = handle.node_id();
    let entries = vec![batch(1, 0, 10, &["put a 1"]), batch(1, 1, 20, &["put b 2", "put c 3"])];
    log.save_vote(&Vote::new_committed(1, 7)).await.unwrap();
    log.blocking_append(entries.clone()).await.unwrap();
    log.save_committed(Some(log_id(1, 1))).await.unwrap();
    assert_eq!(apply(&mut state, entries.clone()).await.len(), 2);
    let applied = *handle.applied().borrow();
    assert_eq!((applied.history, applied.index, applied.log_time_ms), (1, 1, 20));
    handle.close().await.unwrap();
    assert!(matches!(handle.view(), Err(StoreError::Closed)));

    let (mut log, mut state, handle) = open(directory.path());
    assert_eq!(handle.node_id(), node_id);
    assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new_committed(1, 7)));
    assert_eq!(log.read_committed().await.unwrap(), Some(log_id(1, 1)));
    assert_eq!(log.try_get_log_entries(..).await.unwrap(), entries);
    assert_eq!(state.applied_state().await.unwrap().0, Some(log_id(1, 1)));
    assert_eq!(*handle.applied().borrow(), applied);
    let view = handle.view().unwrap();
    assert_eq!(view.applied().unwrap(), applied);
    assert_eq!(view.get(ROWS, b"c").unwrap().as_deref(), Some(b"3".as_slice()));
    assert_eq!(number(&view.get(COUNTS, b"count").unwrap().unwrap()), 3, "each command once");
}

#[tokio::test]
async fn log_time_never_goes_back() {
    let directory = tempfile::tempdir().unwrap();
    let (_log, mut state, handle) = open(directory.path());
    let mut times = Vec::new();
    for (index, proposed) in [(0, 100), (1, 90), (2, 101)] {
        let answers = apply(&mut state, vec![batch(1, index, proposed, &["time"])]).await;
        times.push(number(&answers[0][0]));
    }
    assert_eq!(times, [100, 100, 101]);
    assert_eq!(handle.applied().borrow().log_time_ms, 101);
}

#[tokio::test]
async fn an_entry_is_applied_once_and_in_turn() {
    for index in [0, 2] {
        let directory = tempfile::tempdir().unwrap();
        let (_log, mut state, handle) = open(directory.path());
        apply(&mut state, vec![batch(1, 0, 0, &["put a 1"])]).await;
        assert!(state.apply([batch(1, index, 0, &["put a 2"])]).await.is_err());
        assert!(handle.failure().get().is_some(), "the node stops");
        assert!(handle.view().is_err(), "nothing is served after a failure");
    }
}

#[tokio::test]
async fn a_hole_in_the_log_stops_the_node() {
    let directory = tempfile::tempdir().unwrap();
    let (mut log, _state, handle) = open(directory.path());
    log.blocking_append([batch(1, 0, 0, &[])]).await.unwrap();
    assert!(log.blocking_append([batch(1, 2, 0, &[])]).await.is_err());
    assert!(handle.failure().get().is_some());
    assert!(log.save_vote(&Vote::new(2, 1)).await.is_err(), "nothing is written after a failure");
}

#[tokio::test]
async fn a_panic_in_the_machine_stops_the_node() {
    let directory = tempfile::tempdir().unwrap();
    let (_log, mut state, handle) = open(directory.path());
    assert!(state.apply([batch(1, 0, 0, &["panic"])]).await.is_err());
    assert!(handle.failure().wait().await.contains("panicked"));
}

#[tokio::test]
async fn a_table_that_the_machine_did_not_name_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (_log, mut state, handle) = open(directory.path());
    assert!(state.apply([batch(1, 0, 0, &["elsewhere"])]).await.is_err());
    assert!(handle.failure().get().is_some());
}

#[tokio::test]
async fn what_the_state_lacks_is_not_purged() {
    let directory = tempfile::tempdir().unwrap();
    // A snapshot may be on its way, so that it waits; here none is.
    let options = StoreOptions { install_patience: Duration::from_millis(50), ..StoreOptions::default() };
    let (mut log, mut state, handle) = Store::open(directory.path(), options, Arc::new(Rows)).unwrap();
    let entries: Vec<_> = (0..4).map(|index| batch(1, index, 0, &["put a 1"])).collect();
    log.blocking_append(entries.clone()).await.unwrap();
    apply(&mut state, entries[..3].to_vec()).await;
    assert_eq!(handle.counters().state_synced, 0);
    log.purge(log_id(1, 2)).await.unwrap();
    assert_eq!(handle.counters().state_synced, 1, "the state is synced before its entries go");
    assert!(log.purge(log_id(1, 3)).await.is_err());
}

#[tokio::test]
async fn one_append_is_one_sync_whatever_it_holds() {
    let directory = tempfile::tempdir().unwrap();
    let (mut log, _state, handle) = open(directory.path());
    log.blocking_append((0..200).map(|index| batch(1, index, 0, &["put a 1"]))).await.unwrap();
    assert_eq!(handle.counters().log_synced, 1);
    assert_eq!(handle.counters().log_entries, 200);
}

#[tokio::test]
async fn a_small_cache_reads_the_rest_from_disk() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions { log_cache_bytes: 600, ..StoreOptions::default() };
    let (mut log, _state, _handle) = Store::open(directory.path(), options, Arc::new(Rows)).unwrap();
    let entries: Vec<_> = (0..50).map(|index| batch(1, index, index, &["put a 1"])).collect();
    for chunk in entries.chunks(7) {
        log.blocking_append(chunk.to_vec()).await.unwrap();
    }
    let mut reader = log.get_log_reader().await;
    assert_eq!(reader.try_get_log_entries(..).await.unwrap(), entries);
    assert_eq!(reader.try_get_log_entries(10..=48).await.unwrap(), entries[10..=48]);
    assert_eq!(reader.limited_get_log_entries(3, 9).await.unwrap(), entries[3..9]);
    log.truncate(log_id(1, 20)).await.unwrap();
    assert_eq!(log.get_log_state().await.unwrap().last_log_id, Some(log_id(1, 19)));
    assert_eq!(reader.try_get_log_entries(..).await.unwrap(), entries[..20]);
    log.blocking_append([batch(2, 20, 0, &[])]).await.unwrap();
    assert_eq!(reader.try_get_log_entries(18..).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_snapshot_goes_from_node_to_node() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_log, mut from, from_handle) = open(here.path());
    let (_log, mut to, to_handle) = open(there.path());
    apply(&mut from, vec![batch(3, 0, 50, &["put a 1", "put b 2", "delete a"])]).await;
    apply(&mut to, vec![batch(1, 0, 10, &["put old 1"])]).await;
    let old_view = to_handle.view().unwrap();

    let mut made = from.get_snapshot_builder().await.build_snapshot().await.unwrap();
    let head: Head = made.snapshot.check().await.unwrap();
    assert_eq!(head.meta(), made.meta);
    let mut received = to.begin_receiving_snapshot().await.unwrap();
    tokio::io::copy(&mut made.snapshot.file, &mut received.file).await.unwrap();
    received.check().await.unwrap();
    to.install_snapshot(&made.meta, received).await.unwrap();

    assert_eq!(*to_handle.applied().borrow(), *from_handle.applied().borrow());
    let view = to_handle.view().unwrap();
    assert_eq!(view.get(ROWS, b"b").unwrap().as_deref(), Some(b"2".as_slice()));
    assert_eq!(view.get(ROWS, b"old").unwrap(), None);
    assert_eq!(
        old_view.get(ROWS, b"old").unwrap().as_deref(),
        Some(b"1".as_slice()),
        "a view does not change"
    );
    assert_eq!(to.get_current_snapshot().await.unwrap().unwrap().meta, made.meta);

    drop((view, old_view));
    to_handle.close().await.unwrap();
    let (_log, mut to, to_handle) = open(there.path());
    assert_eq!(*to_handle.applied().borrow(), *from_handle.applied().borrow());
    assert_eq!(to.get_current_snapshot().await.unwrap().unwrap().meta, made.meta);
}

#[tokio::test]
async fn digests_of_each_entry_are_the_same_however_entries_were_put_together() {
    let (one_by_one, at_once) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_log, mut first, first_handle) = open(one_by_one.path());
    let (_log, mut second, second_handle) = open(at_once.path());
    assert_eq!(first_handle.checkpoints(), []);
    let entries: Vec<_> = (0..6).map(|index| batch(1, index, index, &[&format!("put {index} x")])).collect();
    for entry in entries.clone() {
        apply(&mut first, vec![entry]).await;
    }
    apply(&mut second, entries).await;
    let all = first_handle.checkpoints();
    assert_eq!(all, second_handle.checkpoints());
    assert_eq!(
        all.iter().map(|it| (it.history, it.index)).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5].map(|at| (1, at))
    );
    assert!(all.windows(2).all(|pair| pair[0].digest != pair[1].digest), "{all:?}");
    let newest = *all.last().unwrap();
    assert_eq!(newest.digest, first_handle.applied().borrow().digest);

    // A node that is opened anew, or was given a snapshot, knows one point, and it is the same.
    second_handle.close().await.unwrap();
    let (_log, _second, reopened) = open(at_once.path());
    assert_eq!(reopened.checkpoints(), [newest]);
    let made = first.get_snapshot_builder().await.build_snapshot().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (_log, mut third, third_handle) = open(directory.path());
    let mut received = third.begin_receiving_snapshot().await.unwrap();
    let mut sent = made.snapshot;
    tokio::io::copy(&mut sent.file, &mut received.file).await.unwrap();
    third.install_snapshot(&made.meta, received).await.unwrap();
    assert_eq!(third_handle.checkpoints(), [newest]);
}
