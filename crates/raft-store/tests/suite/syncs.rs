//! Nothing is said to be durable before the disk said so (RAFT-1).

use std::sync::Arc;

use aegis_raft_store::store::{Files, Opened, Store, StoreOptions};
use openraft::storage::{RaftLogStorage, RaftLogStorageExt, RaftStateMachine};
use openraft::{RaftLogReader, Vote};

use crate::disk::{Disk, Rig};
use crate::machine::{Rows, batch, log_id};

struct Bench {
    rig: Rig,
    /// Snapshots lie here.
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> (Self, Opened) {
        let bench = Self { rig: Rig::default(), folder: tempfile::tempdir().unwrap() };
        let database =
            || Store::builder(1 << 20).create_with_backend(Disk::new(&bench.rig, Vec::new())).unwrap();
        let files = Files {
            log: database(),
            state: database(),
            directory: bench.folder.path().to_owned(),
            lock: None,
        };
        let opened = Store::over(files, StoreOptions::default(), Arc::new(Rows)).unwrap();
        (bench, opened)
    }

    /// While syncs wait, `asked` is not answered; once they go on, it is.
    async fn answered_after_sync(&self, asked: impl Future<Output = ()> + Send + 'static) {
        self.rig.hold_syncs();
        let mut tasks = tokio::task::JoinSet::new();
        let task = tasks.spawn(asked);
        let rig = self.rig.clone();
        tokio::task::spawn_blocking(move || rig.await_held_sync()).await.unwrap();
        assert!(!task.is_finished(), "answered before the sync");
        self.rig.let_sync();
        tasks.join_next().await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_is_answered_after_its_sync_and_read_before() {
    let (bench, (mut log, _state, _handle)) = Bench::new();
    let mut reader = log.get_log_reader().await;
    let (append, read) = (batch(1, 0, 0, &["put a 1"]), batch(1, 0, 0, &["put a 1"]));
    bench.answered_after_sync(async move { log.blocking_append([append]).await.unwrap() }).await;
    assert_eq!(reader.try_get_log_entries(..).await.unwrap(), [read]);
    let _ = bench.folder;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_is_readable_while_its_sync_waits() {
    let (bench, (mut log, _state, _handle)) = Bench::new();
    let mut reader = log.get_log_reader().await;
    bench.rig.hold_syncs();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move { log.blocking_append([batch(1, 0, 0, &[])]).await.unwrap() });
    let rig = bench.rig.clone();
    tokio::task::spawn_blocking(move || rig.await_held_sync()).await.unwrap();
    assert_eq!(reader.try_get_log_entries(..).await.unwrap().len(), 1);
    bench.rig.let_sync();
    tasks.join_next().await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vote_and_a_truncation_are_answered_after_their_sync() {
    let (bench, (mut log, _state, _handle)) = Bench::new();
    log.blocking_append([batch(1, 0, 0, &[])]).await.unwrap();
    bench
        .answered_after_sync(async move {
            log.save_vote(&Vote::new(1, 1)).await.unwrap();
            log.truncate(log_id(1, 0)).await.unwrap();
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_of_the_state_is_one() {
    let (bench, (_log, mut state, handle)) = Bench::new();
    state.apply([batch(1, 0, 0, &["put a 1"])]).await.unwrap();
    bench.answered_after_sync(async move { handle.state().sync().await.unwrap() }).await;
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_written_and_nothing_served() {
    for operation in 0..6 {
        let (bench, (mut log, _state, handle)) = Bench::new();
        bench.rig.fail_after(operation);
        let failed = log.blocking_append([batch(1, 0, 0, &["put a 1"])]).await.is_err()
            || log.save_vote(&Vote::new(1, 1)).await.is_err();
        assert!(failed, "operation {operation} did not fail");
        assert!(handle.failure().wait().await.contains("planted"));
        assert!(log.save_vote(&Vote::new(2, 1)).await.is_err());
        assert!(log.get_log_state().await.is_err());
        assert!(handle.view().is_err());
    }
}
