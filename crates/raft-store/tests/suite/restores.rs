//! Backups: written while the node works, restored as a new node in a new history.

use std::path::Path;
use std::sync::Arc;

use aegis_raft_store::backup::{self, RestoreError};
use aegis_raft_store::store::StoreOptions;
use aegis_raft_store::tables::StateRead;
use aegis_raft_store::types::Peer;
use openraft::storage::{RaftLogStorage, RaftStateMachine, StorageHelper};
use openraft::{EntryPayload, Membership};

use crate::machine::{ROWS, Rows, batch, log_id, open};

async fn backup_of_three(folder: &Path) -> std::path::PathBuf {
    let (_log, mut state, handle) = open(&folder.join("node"));
    let members = Membership::new(vec![[1, 2, 3].into()], ());
    let mut joined = batch(4, 1, 0, &[]);
    joined.payload = EntryPayload::Membership(members);
    state.apply([batch(4, 0, 90, &["put a 1"]), joined, batch(4, 2, 95, &["put b 2"])]).await.unwrap();
    let path = folder.join("backup");
    let head = handle.write_backup(&path).await.unwrap();
    assert_eq!((head.history, head.last_log_id), (1, Some(log_id(4, 2))));
    assert!(handle.write_backup(&path).await.is_err(), "a backup is never overwritten");
    path
}

fn peer() -> Peer {
    Peer { name: "control-9".into(), address: "https://control-9:7071".into() }
}

#[tokio::test]
async fn a_restored_node_is_alone_in_a_new_history() {
    let folder = tempfile::tempdir().unwrap();
    let path = backup_of_three(folder.path()).await;
    assert_eq!(backup::check(&path).unwrap().log_time_ms, 95);
    let cluster_id = Some("ours".parse().unwrap());
    let options = StoreOptions { cluster_id, ..StoreOptions::default() };
    let directory = folder.path().join("restored");
    let restored = backup::restore(&directory, &path, peer(), &options, &Rows).unwrap();
    assert_eq!(restored.history, 2);

    let (mut log, mut state, handle) = open(&directory);
    assert_eq!(handle.node_id(), restored.node_id);
    assert_eq!(handle.cluster_id().await, options.cluster_id);
    let applied = *handle.applied().borrow();
    assert_eq!((applied.history, applied.index, applied.log_time_ms), (2, 2, 95));
    assert_eq!(handle.view().unwrap().get(ROWS, b"b").unwrap().as_deref(), Some(b"2".as_slice()));

    let (last, members) = state.applied_state().await.unwrap();
    assert_eq!(last, Some(log_id(4, 2)));
    assert_eq!(members.voter_ids().collect::<Vec<_>>(), [restored.node_id]);
    let ends = log.get_log_state().await.unwrap();
    assert_eq!((ends.last_purged_log_id, ends.last_log_id), (last, last));
    assert!(
        log.read_vote().await.unwrap().unwrap().leader_id().term >= 4,
        "its terms go on from the backup's"
    );
    // Raft starts from it, and has a snapshot for those who join.
    StorageHelper::new(&mut log, &mut state).get_initial_state().await.unwrap();
    assert_eq!(state.get_current_snapshot().await.unwrap().unwrap().meta.last_log_id, last);
    assert!(handle.failure().get().is_none());
}

#[tokio::test]
async fn a_backup_is_restored_into_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = backup_of_three(folder.path()).await;
    let used = folder.path().join("node");
    let said = backup::restore(&used, &path, peer(), &StoreOptions::default(), &Rows);
    assert!(matches!(said, Err(RestoreError::NotEmpty { .. })), "{said:?}");

    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let new = folder.path().join("new");
    let said = backup::restore(&new, &path, peer(), &StoreOptions::default(), &Rows);
    assert!(matches!(said, Err(RestoreError::Backup { .. })), "{said:?}");
    assert!(!new.exists(), "a damaged backup leaves nothing");
    let _machine: Arc<Rows> = Arc::new(Rows);
}

#[tokio::test]
async fn an_empty_backup_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (_log, _state, handle) = open(&folder.path().join("node"));
    let path = folder.path().join("backup");
    handle.write_backup(&path).await.unwrap();
    let said = backup::restore(&folder.path().join("new"), &path, peer(), &StoreOptions::default(), &Rows);
    assert!(matches!(said, Err(RestoreError::Nothing)), "{said:?}");
}
