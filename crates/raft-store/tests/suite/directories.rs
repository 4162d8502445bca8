//! A directory that is not this node's, or not a node's at all, is refused with a reason, and left alone.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use aegis_model::ids::ClusterId;
use aegis_raft_store::store::{ClusterError, OpenError, Opened, Store, StoreOptions};
use openraft::Vote;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use redb::TableDefinition;

use crate::machine::{Rows, batch, open};

const IDENTITY: TableDefinition<'static, &'static str, &'static [u8]> =
    TableDefinition::new("aegis/identity");

fn try_open(directory: &Path, options: StoreOptions) -> Result<Opened, OpenError> {
    Store::open(directory, options, Arc::new(Rows))
}

fn refusal(directory: &Path, options: StoreOptions) -> String {
    match try_open(directory, options) {
        Ok(_) => "opened".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// A node that gave a vote and has an entry.
async fn used(directory: &Path) -> u64 {
    let (mut log, _state, handle) = open(directory);
    log.save_vote(&Vote::new(1, 1)).await.unwrap();
    log.blocking_append([batch(1, 0, 0, &["put a 1"])]).await.unwrap();
    handle.close().await.unwrap();
    handle.node_id()
}

fn cluster(name: &str) -> ClusterId {
    name.parse().unwrap()
}

#[tokio::test]
async fn a_node_id_is_made_once_and_kept() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = (used(one.path()).await, used(other.path()).await);
    assert_ne!(first, second);
    assert!(0 < first && first < 1 << 53, "it survives readers that keep numbers as doubles");
    assert_eq!(used_again(one.path()).await, first);
    let options = StoreOptions { node_id: Some(second), ..StoreOptions::default() };
    let said = refusal(one.path(), options);
    assert!(said.contains(&format!("belongs to node {first}, not to node {second}")), "{said}");
}

async fn used_again(directory: &Path) -> u64 {
    let (_log, _state, handle) = open(directory);
    handle.close().await.unwrap();
    handle.node_id()
}

#[tokio::test]
async fn a_cluster_is_set_once_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (_log, _state, handle) = open(directory.path());
    assert_eq!(handle.cluster_id().await, None);
    handle.set_cluster_id(&cluster("ours")).await.unwrap();
    handle.set_cluster_id(&cluster("ours")).await.unwrap();
    let other = handle.set_cluster_id(&cluster("theirs")).await;
    assert!(matches!(other, Err(ClusterError::OtherCluster { .. })));
    handle.close().await.unwrap();

    let options = StoreOptions { cluster_id: Some(cluster("theirs")), ..StoreOptions::default() };
    let said = refusal(directory.path(), options);
    assert!(said.contains("belongs to cluster `ours`, not to `theirs`"), "{said}");
    let options = StoreOptions { cluster_id: Some(cluster("ours")), ..StoreOptions::default() };
    let (_log, _state, handle) = try_open(directory.path(), options).unwrap();
    assert_eq!(handle.cluster_id().await, Some(cluster("ours")));
}

#[tokio::test]
async fn files_of_two_nodes_do_not_make_one() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    used(one.path()).await;
    used(other.path()).await;
    std::fs::copy(other.path().join("state.redb"), one.path().join("state.redb")).unwrap();
    assert!(refusal(one.path(), StoreOptions::default()).contains("belongs to node"));
    std::fs::copy(other.path().join("log.redb"), other.path().join("state.redb")).unwrap();
    assert!(refusal(other.path(), StoreOptions::default()).contains("not what its name says"));
}

#[tokio::test]
async fn a_node_without_one_of_its_files_does_not_return() {
    for file in ["log.redb", "state.redb"] {
        let directory = tempfile::tempdir().unwrap();
        let (mut log, mut state, handle) = open(directory.path());
        log.blocking_append([batch(1, 0, 0, &["put a 1"])]).await.unwrap();
        openraft::storage::RaftStateMachine::apply(&mut state, [batch(1, 0, 0, &["put a 1"])]).await.unwrap();
        handle.close().await.unwrap();
        std::fs::remove_file(directory.path().join(file)).unwrap();
        // Also the second time: the attempt did not make it look new.
        for _ in 0..2 {
            let said = refusal(directory.path(), StoreOptions::default());
            assert!(said.contains("is missing or empty, but node"), "{file}: {said}");
        }
    }
}

#[test]
fn a_crash_while_a_node_is_made_leaves_one_that_opens() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("log.new"), b"half of a file").unwrap();
    let first = try_open(directory.path(), StoreOptions::default()).unwrap().2.node_id();
    std::fs::remove_file(directory.path().join("log.redb")).unwrap();
    // The threads of the first close in their own time.
    let second = loop {
        match try_open(directory.path(), StoreOptions::default()) {
            Ok((_log, _state, handle)) => break handle.node_id(),
            Err(OpenError::Locked { .. }) => std::thread::yield_now(),
            Err(error) => std::panic::resume_unwind(Box::new(error.to_string())),
        }
    };
    assert_eq!(first, second, "Raft wrote nothing yet, so nothing was forgotten");
}

#[tokio::test]
async fn a_newer_format_is_left_alone() {
    for file in ["log.redb", "state.redb"] {
        let directory = tempfile::tempdir().unwrap();
        used(directory.path()).await;
        let path = directory.path().join(file);
        {
            let database = redb::Database::create(&path).unwrap();
            let transaction = database.begin_write().unwrap();
            let body = br#"{"format":2,"something":"else"}"#;
            let record = sealed(&[b"aegis/identity"], body);
            transaction.open_table(IDENTITY).unwrap().insert("identity", record.as_slice()).unwrap();
            transaction.commit().unwrap();
        }
        let said = refusal(directory.path(), StoreOptions::default());
        assert!(said.contains("has format 2; this program knows formats up to 1"), "{said}");
    }
}

/// A record as the store seals it, written down once more so that the form cannot change unnoticed.
fn sealed(place: &[&[u8]], body: &[u8]) -> Vec<u8> {
    use sha2::Digest;
    let mut hash = sha2::Sha256::new();
    for part in place {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update(body);
    let hash: [u8; 32] = hash.finalize().into();
    [&hash[..8], body].concat()
}

#[test]
fn a_directory_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _open = open(directory.path());
    let said = refusal(directory.path(), StoreOptions::default());
    assert!(said.contains("in use by another process"), "{said}");
}

/// `flock` of util-linux holds the lock as another process would.
#[test]
fn a_directory_locked_by_another_process_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let lock = directory.path().join("lock");
    let held = directory.path().join("held");
    let script = "touch \"$1\"; read _";
    let mut other = Command::new("flock");
    other.arg(&lock).args(["sh", "-c", script, "sh"]).arg(&held);
    let Ok(mut other) = other.stdin(std::process::Stdio::piped()).spawn() else {
        return;
    };
    while !held.exists() {
        std::thread::yield_now();
    }
    let said = refusal(directory.path(), StoreOptions::default());
    drop(other.stdin.take());
    other.wait().unwrap();
    assert!(said.contains("in use by another process"), "{said}");
}

#[test]
fn what_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("log.redb"), vec![7; 10_000]).unwrap();
    let said = refusal(directory.path(), StoreOptions::default());
    assert!(said.contains("log.redb"), "{said}");
    let file = directory.path().join("file");
    std::fs::write(&file, b"no directory").unwrap();
    assert!(refusal(&file, StoreOptions::default()).contains("file"));
}
